package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/sqlite"
)

var errJournal = errors.New("CANARY of the journal")

// faultyJournal is a journal whose methods can be made to fail.
type faultyJournal struct {
	purchase.Journal
	// A method whose error is set does nothing and returns it.
	lookup, secrets, record, reads, audit atomic.Pointer[error]
	// claim, if set, replaces Claim.
	claim atomic.Pointer[claimFunc]
}

type claimFunc = func(context.Context, purchase.Claim) (purchase.Purchase, error)

func newFaultyJournal() *faultyJournal { return &faultyJournal{Journal: newJournal()} }

func failing(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func (j *faultyJournal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	if err := failing(&j.lookup); err != nil {
		return purchase.Purchase{}, err
	}
	return j.Journal.Lookup(ctx, key)
}

func (j *faultyJournal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	if stand := j.claim.Load(); stand != nil {
		return (*stand)(ctx, claim)
	}
	return j.Journal.Claim(ctx, claim)
}

func (j *faultyJournal) Write(ctx context.Context, step purchase.Step) (purchase.Purchase, error) {
	if err := failing(&j.record); err != nil {
		return purchase.Purchase{}, err
	}
	return j.Journal.Write(ctx, step)
}

func (j *faultyJournal) Audit(ctx context.Context, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	if err := failing(&j.audit); err != nil {
		return purchase.AuditRecord{}, err
	}
	return j.Journal.Audit(ctx, record)
}

func (j *faultyJournal) Freeze(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.Freeze, error) {
	if err := failing(&j.audit); err != nil {
		return purchase.Freeze{}, err
	}
	return j.Journal.Freeze(ctx, target, record)
}

func (j *faultyJournal) OfItem(ctx context.Context, uid string, accounts []string) (purchase.Purchase, error) {
	if err := failing(&j.reads); err != nil {
		return purchase.Purchase{}, err
	}
	return j.Journal.OfItem(ctx, uid, accounts)
}

func (j *faultyJournal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	if err := failing(&j.secrets); err != nil {
		return purchase.Secrets{}, err
	}
	return j.Journal.Secrets(ctx, id)
}

func (j *faultyJournal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	if err := failing(&j.reads); err != nil {
		return purchase.Purchase{}, err
	}
	return j.Journal.Get(ctx, id)
}

func (j *faultyJournal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	if err := failing(&j.reads); err != nil {
		return nil, err
	}
	return j.Journal.BudgetTotals(ctx, caller)
}

func (j *faultyJournal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) ([]purchase.Purchase, string, error) {
	if err := failing(&j.reads); err != nil {
		return nil, "", err
	}
	return j.Journal.List(ctx, filter, page)
}

var journalUnavailable = want{codes.Unavailable, http.StatusServiceUnavailable, "JOURNAL_UNAVAILABLE", "NOT_STARTED", nil}

// idUnread is the answer if the journal could not look the request id up. An earlier call may have bought.
var idUnread = want{codes.Unavailable, http.StatusServiceUnavailable, "JOURNAL_UNAVAILABLE", "INDETERMINATE", nil}

var overloaded = want{codes.ResourceExhausted, http.StatusTooManyRequests, "OVERLOADED", "NOT_STARTED", nil}

// Without the journal nothing is sent. The answer says that nothing was started only if the journal said, before it failed,
// that it has no purchase under the id, and wrote none.
func TestJournalOutOfOrder(t *testing.T) {
	t.Parallel()
	notWritten := fmt.Errorf("%w: %w", purchase.ErrNotWritten, errJournal)
	full := fmt.Errorf("%w: %w", purchase.ErrNotWritten, purchase.ErrQueueFull)
	refuse := func(j *faultyJournal, err error) {
		j.claim.Store(new(func(context.Context, purchase.Claim) (purchase.Purchase, error) {
			return purchase.Purchase{}, err
		}))
	}
	for _, c := range []struct {
		name  string
		broke func(*faultyJournal)
		want  want
	}{
		{"no look-up", func(j *faultyJournal) { refuse(j, notWritten); j.lookup.Store(&errJournal) }, idUnread},
		{"claim not written", func(j *faultyJournal) { refuse(j, notWritten) }, journalUnavailable},
		{"queue full", func(j *faultyJournal) { refuse(j, full) }, overloaded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			journal := newFaultyJournal()
			g := open(t, setup{journal: journal})
			customer := g.sold(t).GetCustomer().GetUid()
			sent := g.box.Ledger().Requests
			c.broke(journal)
			var messages []proto.Message
			for _, d := range g.transports() {
				for _, message := range paidRequests(customer) {
					a := d.call(t, t.Context(), ask(message))
					a.check(t, c.want)
					newCanaries().absentFrom(t, "error", a.text)
					messages = append(messages, message)
				}
				d.call(t, t.Context(), ask(getCustomer(customer))).ok(t) // calls that need no journal still succeed
			}
			if after := g.box.Ledger().Requests; !sameCalls(sent, after) {
				t.Errorf("paid requests %v, before %v", after, sent)
			}
			newCanaries().absentFrom(t, "log", g.logs.String())
			journal.lookup.Store(nil)
			journal.claim.Store(nil)
			for _, message := range messages { // the journal works again, and the same ids succeed
				g.overREST(t, t.Context(), ask(message)).ok(t)
			}
		})
	}
}

// If the answer to a commit is lost, the gateway asks again with the same purchase id. If the answer never comes, it sends
// nothing. The effect is then indeterminate.
func TestClaimWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"once", "always"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := newFaultyJournal()
			g := open(t, setup{journal: journal})
			var claims atomic.Int64
			journal.claim.Store(new(func(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
				p, err := journal.Journal.Claim(ctx, claim)
				if name == "always" || claims.Add(1) == 1 {
					return purchase.Purchase{}, errJournal
				}
				return p, err
			}))
			message := register()
			a := g.overREST(t, t.Context(), ask(message))
			if name == "once" {
				a.ok(t)
				g.checkReplay(t, g.transports()[0], message, a)
				if sent := g.sends.of(message.GetRequestId()); sent != 1 {
					t.Errorf("sent %d times", sent)
				}
				return
			}
			a.check(t, idUnread)
			again := g.overGRPC(t, t.Context(), ask(message))
			again.check(t, neverSent)
			if sent := g.sends.of(message.GetRequestId()); sent != 0 {
				t.Errorf("sent %d times", sent)
			}
		})
	}
}

// An outcome is told only once the journal has recorded it.
func TestOutcomeIsToldOnceItIsJournaled(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	journal.record.Store(&errJournal)
	message := register()
	g.within(t, 1500*time.Millisecond, message).check(t, outcomeUnknown)
	g.logs.line(t, "purchase event not recorded yet", "ANSWERED_APPLIED")
	if n := len(g.box.Ledger().Sales); n != 1 {
		t.Errorf("%d sales", n)
	}
	journal.record.Store(nil)
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(message))
		a.ok(t)
		if a.replayed != "true" {
			t.Errorf("replayed %q", a.replayed)
		}
	}
	if sent := g.sends.of(message.GetRequestId()); sent != 1 {
		t.Errorf("sent %d times", sent)
	}
}

// If the order of a known purchase cannot be compared, its outcome is not told.
func TestKnownPurchaseThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	message := register()
	g.bought(t, message)
	journal.secrets.Store(&errJournal)
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(message)).check(t, idUnread)
		d.call(t, t.Context(), ask(other(message, func(r *reg) { r.Metatag = "elsewhere" }))).check(t, idUnread)
	}
}

func TestPurchaseServiceWithoutTheJournal(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	id := g.bought(t, register())
	journal.reads.Store(&errJournal)
	for _, d := range g.transports() {
		for _, message := range []proto.Message{getPurchase(id), &gigagatev1.ListPurchasesRequest{}, waitPurchase(id, time.Second)} {
			a := d.call(t, t.Context(), ask(message))
			a.check(t, journalUnavailable)
			newCanaries().absentFrom(t, "error", a.text)
		}
		// The journal may still have recorded the operator's decision.
		a := d.call(t, t.Context(), ask(nothingSold(id)))
		a.check(t, want{codes.Unavailable, 503, "JOURNAL_UNAVAILABLE", "INDETERMINATE", nil})
	}
	newCanaries().absentFrom(t, "log", g.logs.String())
}

// The next gateway that opens the journal file gives the same answers, field by field.
func TestReplaysFromAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gigagate.db")
	type told struct {
		message proto.Message
		answer  answer
	}
	var kept []told
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			journal, err := sqlite.Open(t.Context(), file, sqlite.Options{Now: func() time.Time { return time.Now().Add(-time.Minute) }})
			if err != nil {
				t.Fatal(err)
			}
			g := open(t, setup{journal: journal})
			for i, before := range kept {
				g.checkReplay(t, g.transports()[i%2], before.message, before.answer)
				id := before.answer.purchaseID(t)
				if r := g.read(t, g.transports()[i%2], id); r.GetPurchase().GetRequestId() != requestIDOf(before.message) || len(r.GetHistory()) < 2 {
					t.Errorf("%v", r)
				}
			}
			if name == "second" {
				return
			}
			customer := g.sold(t).GetCustomer().GetUid()
			tell := func(message proto.Message) {
				kept = append(kept, told{message, g.overREST(t, t.Context(), ask(message))})
			}
			for path, message := range paidRequests(customer) {
				tell(message)
				g.inject(t, path, "refuse", params{"reason": "insufficientCredits"})
				tell(paidRequests(customer)[path])
				g.inject(t, path, "commit_then_reset", nil)
				tell(paidRequests(customer)[path])
			}
			g.injectMany(t, pathRegister, "unauthorized", 2, nil)
			tell(register())
		})
	}
	if len(kept) != 10 {
		t.Errorf("%d purchases", len(kept))
	}
}

// maxOwners is how many purchases one process can have under way.
const maxOwners = 2000

// Purchases outlive their callers, so their number has a separate limit.
func TestOverload(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	known := register()
	before := g.overREST(t, t.Context(), ask(known))
	before.ok(t)
	customer := before.reply.(*gigagatev1.RegisterResponse).GetCustomer().GetUid()
	entered, held := make(chan struct{}, 2*maxOwners), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	journal.claim.Store(new(func(context.Context, purchase.Claim) (purchase.Purchase, error) {
		entered <- struct{}{}
		<-held
		return purchase.Purchase{}, purchase.ErrNotWritten
	}))
	var group sync.WaitGroup
	for i := range maxOwners {
		group.Go(func() {
			_, err := g.engine.Buy(t.Context(), &purchase.Request{
				Key:   purchase.Key{Caller: "default", RequestID: fmt.Sprintf("load-%d", i)},
				Order: purchase.Order{Kind: purchase.Register, InventoryItemID: sandbox.ItemWorldwide1GB, Metatag: "load"},
			})
			if err == nil {
				t.Error("a purchase without a claim")
			}
		})
	}
	for range maxOwners {
		<-entered
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, d := range g.transports() {
		for _, message := range paidRequests(customer) {
			d.call(t, ctx, ask(message)).check(t, overloaded)
		}
		g.checkReplay(t, d, known, before)
		d.call(t, t.Context(), ask(getCustomer(customer))).ok(t) // reads go on
	}
	if n := len(g.box.Ledger().Sales); n != 1 {
		t.Errorf("%d sales", n)
	}
	release()
	group.Wait()
	journal.claim.Store(nil)
	g.overREST(t, t.Context(), ask(register())).ok(t)
}
