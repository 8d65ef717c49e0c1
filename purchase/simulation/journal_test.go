package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
	"gigagate.internal/purchase/sealed"
	"gigagate.internal/purchase/sqlite"
)

// store holds the journal's rows. It outlives the processes that use them.
type store interface {
	// open gives a starting process its way to the journal. If only one process can have the rows,
	// the earlier process is dead by then.
	open() (way, error)
	// journal returns a journal for reading the rows in checks.
	journal() purchase.Journal
	close()
}

// way is one process's way to the journal.
type way struct {
	purchase.Journal
	link *link // nil if the process has no connection to its journal
}

// cut breaks the process's connections, as the death of a process does.
func (w way) cut() {
	if w.link != nil {
		w.link.cut()
	}
}

func (w way) close() {
	if w.link != nil {
		_ = w.Close()
	}
}

// inMemory is a journal that outlives every process, as a database server does.
type inMemory struct{ *memory.Journal }

func openMemory(_ *testing.T, now func() time.Time) store { return inMemory{memory.Open(now)} }

func (s inMemory) open() (way, error)        { return way{Journal: s.Journal}, nil }
func (s inMemory) journal() purchase.Journal { return s.Journal }
func (s inMemory) close()                    { _ = s.Close() }

// inFile is a sealed journal in a file. One process at a time has it open.
type inFile struct {
	path string
	keys *sealed.Keyring
	now  func() time.Time

	mu   sync.Mutex
	file *sealed.Journal
}

func openSQLite(t *testing.T, now func() time.Time) store {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "keys")
	err := os.WriteFile(keyFile, []byte(sealed.NewKey(now())), 0o600)
	keys, errKeys := sealed.ReadKeys(keyFile)
	if err := errors.Join(err, errKeys); err != nil {
		t.Fatal(err)
	}
	return &inFile{path: filepath.Join(t.TempDir(), "journal.db"), keys: keys, now: now}
}

func (s *inFile) journal() purchase.Journal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

func (s *inFile) open() (way, error) {
	s.close()
	file, err := sqlite.Open(context.Background(), s.path, sqlite.Options{Now: s.now})
	if err != nil {
		return way{}, err
	}
	journal, err := sealed.New(context.Background(), file, s.keys, slog.New(slog.DiscardHandler))
	if err != nil {
		return way{}, errors.Join(err, file.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = journal
	return way{Journal: journal}, nil
}

func (s *inFile) close() {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
}

var (
	errDead   = errors.New("the process is dead")
	errOutage = errors.New("the journal cannot be reached")
	errLost   = errors.New("the connection broke before the commit was confirmed")
	errFull   = fmt.Errorf("%w: %w", purchase.ErrNotWritten, purchase.ErrQueueFull)
	errRefuse = fmt.Errorf("%w: the journal is read-only", purchase.ErrNotWritten)
)

// journal is one replica's way to the journal. It plays the faults that are planned for the replica.
type journal struct {
	purchase.Journal
	replica *replica
}

// do performs one call and plays the fault that is planned for it. Without an error, the caller gets the
// call's own result. With an error, the call may have been performed nevertheless.
func (j *journal) do(ctx context.Context, step string, call func(context.Context)) error {
	r := j.replica
	r.stand()
	if r.isDead() {
		return errDead
	}
	f, planned := r.world.visit(r.name, step)
	r.mu.Lock()
	if planned && f.do == doOutage {
		r.outage = time.Now().Add(f.d)
	}
	if planned && f.do == doReadOnly {
		r.readOnly = time.Now().Add(f.d)
	}
	writes := step == "claim" || step == "freeze" || step == "thaw" || strings.HasPrefix(step, "record ")
	out, readOnly := time.Now().Before(r.outage), writes && time.Now().Before(r.readOnly)
	r.mu.Unlock()
	switch {
	case out:
		return errOutage
	case readOnly:
		return errRefuse
	case planned:
		return j.spoil(ctx, f, call)
	}
	call(ctx)
	return j.after()
}

func (j *journal) spoil(ctx context.Context, f fault, call func(context.Context)) error {
	r := j.replica
	switch f.do {
	case doRefuse:
		return errRefuse
	case doFull:
		return errFull
	case doLoseBefore:
		if r.way.link == nil {
			return errLost
		}
		r.way.link.lose(statementLost)
	case doLoseAfter:
		if r.way.link == nil {
			call(ctx)
			return errLost
		}
		r.way.link.lose(answerLost)
	case doCommitLate:
		r.world.running.Go(func() {
			pause(f.d)
			call(context.WithoutCancel(ctx))
		})
		return errLost
	case doAnswerLate:
		call(ctx)
		select {
		case <-time.After(f.d):
			return j.after()
		case <-ctx.Done():
			return ctx.Err()
		}
	case doHang:
		<-ctx.Done()
		return ctx.Err()
	case doSlow:
		select {
		case <-time.After(f.d):
		case <-ctx.Done():
			return ctx.Err()
		}
	case doKillBefore:
		r.kill(f.d)
		return errDead
	case doKillAfter:
		call(ctx)
		r.kill(f.d)
		return errDead
	case doStopBefore:
		r.stop(f.d)
		r.stand()
	case doStopAfter:
		call(ctx)
		r.stop(f.d)
		return j.after()
	}
	if r.isDead() {
		return errDead
	}
	call(ctx)
	return j.after()
}

// after is called when a call was performed. It fails if the process has died meanwhile.
func (j *journal) after() error {
	j.replica.stand()
	if j.replica.isDead() {
		return errDead
	}
	return nil
}

// Lookup implements [purchase.Journal].
func (j *journal) Lookup(ctx context.Context, key purchase.Key) (p purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "lookup", func(ctx context.Context) { p, err = j.Journal.Lookup(ctx, key) }); spoiled != nil {
		return purchase.Purchase{}, spoiled
	}
	return p, err
}

// Claim implements [purchase.Journal].
func (j *journal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	type result struct {
		p   purchase.Purchase
		err error
	}
	claim.Lease -= j.replica.world.leaseCut()
	done := make(chan result, 1) // buffered, because nobody receives the result of a late commit
	if spoiled := j.do(ctx, "claim", func(ctx context.Context) {
		j.replica.world.claimBegins(claim)
		p, err := j.Journal.Claim(ctx, claim)
		if err == nil && p.ID == claim.ID {
			j.replica.world.claimWritten(claim.ID)
		}
		j.replica.world.note(j.replica.name, "claim %s %s: won %t, %s, error %v", claim.Key.RequestID, claim.ID, p.ID == claim.ID, p.State, err)
		done <- result{p, err}
	}); spoiled != nil {
		return purchase.Purchase{}, spoiled
	}
	r := <-done
	return r.p, r.err
}

// Write implements [purchase.Journal].
func (j *journal) Write(ctx context.Context, step purchase.Step) (purchase.Purchase, error) {
	type result struct {
		p   purchase.Purchase
		err error
	}
	transition := step.Transition
	if transition.Lease > 0 {
		step.Transition.Lease -= j.replica.world.leaseCut()
	}
	done := make(chan result, 1)
	if spoiled := j.do(ctx, "record "+string(transition.Event), func(ctx context.Context) {
		p, err := j.Journal.Write(ctx, step)
		j.replica.world.note(j.replica.name, "record %s of attempt %d for %s, revision %d: %s, verdict %s, error %v (%s %s)",
			transition.Event, transition.Attempt, step.Before.ID, step.Before.Revision, p.State, step.Verdict, err, transition.Reason, transition.Evidence.Explanation)
		done <- result{p, err}
	}); spoiled != nil {
		return purchase.Purchase{}, spoiled
	}
	r := <-done
	return r.p, r.err
}

// Freeze implements [purchase.Journal].
func (j *journal) Freeze(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (f purchase.Freeze, err error) {
	if spoiled := j.do(ctx, "freeze", func(ctx context.Context) { f, err = j.Journal.Freeze(ctx, target, record) }); spoiled != nil {
		return purchase.Freeze{}, spoiled
	}
	return f, err
}

// Thaw implements [purchase.Journal].
func (j *journal) Thaw(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (r purchase.AuditRecord, err error) {
	if spoiled := j.do(ctx, "thaw", func(ctx context.Context) { r, err = j.Journal.Thaw(ctx, target, record) }); spoiled != nil {
		return purchase.AuditRecord{}, spoiled
	}
	return r, err
}

// Lapsed implements [purchase.Journal].
func (j *journal) Lapsed(ctx context.Context, limit int) (list []purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "lapsed", func(ctx context.Context) { list, err = j.Journal.Lapsed(ctx, limit) }); spoiled != nil {
		return nil, spoiled
	}
	return list, err
}

// Get implements [purchase.Journal].
func (j *journal) Get(ctx context.Context, id string) (p purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "get", func(ctx context.Context) { p, err = j.Journal.Get(ctx, id) }); spoiled != nil {
		return purchase.Purchase{}, spoiled
	}
	return p, err
}

// OfItem implements [purchase.Journal].
func (j *journal) OfItem(ctx context.Context, uid string, accounts []string) (p purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "of item", func(ctx context.Context) { p, err = j.Journal.OfItem(ctx, uid, accounts) }); spoiled != nil {
		return purchase.Purchase{}, spoiled
	}
	return p, err
}

// ConfirmPermit implements [purchase.Journal].
func (j *journal) ConfirmPermit(ctx context.Context, id string, attempt int) (err error) {
	if spoiled := j.do(ctx, "confirm", func(ctx context.Context) { err = j.Journal.ConfirmPermit(ctx, id, attempt) }); spoiled != nil {
		return spoiled
	}
	return err
}

// Secrets implements [purchase.Journal].
func (j *journal) Secrets(ctx context.Context, id string) (s purchase.Secrets, err error) {
	if spoiled := j.do(ctx, "secrets", func(ctx context.Context) { s, err = j.Journal.Secrets(ctx, id) }); spoiled != nil {
		return purchase.Secrets{}, spoiled
	}
	return s, err
}

// History implements [purchase.Journal].
func (j *journal) History(ctx context.Context, id string) (entries []purchase.HistoryEntry, err error) {
	if spoiled := j.do(ctx, "history", func(ctx context.Context) { entries, err = j.Journal.History(ctx, id) }); spoiled != nil {
		return nil, spoiled
	}
	return entries, err
}

// List implements [purchase.Journal].
func (j *journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) (list []purchase.Purchase, next string, err error) {
	if spoiled := j.do(ctx, "list", func(ctx context.Context) { list, next, err = j.Journal.List(ctx, filter, page) }); spoiled != nil {
		return nil, "", spoiled
	}
	return list, next, err
}

// Watched implements [purchase.Journal].
func (j *journal) Watched(ctx context.Context, absentFor time.Duration) (list []purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "watched", func(ctx context.Context) { list, err = j.Journal.Watched(ctx, absentFor) }); spoiled != nil {
		return nil, spoiled
	}
	return list, errors.Join(err, j.replica.world.leftOut())
}

// Witnesses implements [purchase.Journal].
func (j *journal) Witnesses(
	ctx context.Context, like purchase.Likeness, span purchase.Span, limit int,
) (list []purchase.Purchase, err error) {
	if spoiled := j.do(ctx, "witnesses", func(ctx context.Context) { list, err = j.Journal.Witnesses(ctx, like, span, limit) }); spoiled != nil {
		return nil, spoiled
	}
	return list, errors.Join(err, j.replica.world.leftOut())
}

// leftOut is the error by which lists report an order that they cannot read.
func (w *world) leftOut() error {
	if w.unreadable.Load() {
		return fmt.Errorf("purchase 1: %w", purchase.ErrUnreadableOrder)
	}
	return nil
}
