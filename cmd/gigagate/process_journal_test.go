package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/tally"
)

// heldAnswer makes the sandbox sell at once and answer later, so that the journal can fail in between.
func heldAnswer(t *testing.T, s *shop, d time.Duration) {
	t.Helper()
	s.inject(t, registerPath, "commit_late", 1, map[string]any{"delay": d.String(), "answer": true})
}

// checkRefused checks that calls fail because of the journal, that readiness says why, and that the vendor
// gets no purchase. If the journal cannot be read either, the outcome of the request id is unknown.
func checkRefused(t *testing.T, s *shop, r *replica, prefix string, lookedUp bool) []*intent {
	t.Helper()
	before := s.ledger(t).Requests[registerPath]
	effect := gigagatev1.Effect_EFFECT_INDETERMINATE
	if lookedUp {
		effect = gigagatev1.Effect_EFFECT_NOT_STARTED
	}
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := make([]*intent, 8)
	var calls sync.WaitGroup
	for i := range refused {
		refused[i] = newRegister(fmt.Sprintf("%s-%d", prefix, i))
		calls.Go(func() {
			a := refused[i].buyWithin(t.Context(), conn, 20*time.Second)
			if a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE || a.outcome.GetEffect() != effect {
				t.Errorf("%s: %s", refused[i].requestID, a)
			}
		})
	}
	calls.Wait()
	if got := r.readyz(t); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "the journal cannot write: ") {
		t.Errorf("readyz: %d %s", got.status, got.body)
	} else {
		t.Logf("readyz: %s", got.body)
	}
	if after := s.ledger(t).Requests[registerPath]; after != before {
		t.Errorf("%d requests went to the vendor", after-before)
	}
	return refused
}

// checkRecovered checks that the gateway becomes ready again by itself, that the purchase held meanwhile is
// settled, and that each refused purchase can now be bought once. If a claim may have been written, nothing will ever be
// sent for it, and another id buys.
func checkRecovered(t *testing.T, s *shop, r *replica, held *intent, refused []*intent) {
	t.Helper()
	eventually(t, "ready again", r.isReady(t))
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range append(refused, held) {
		a := in.buyWithin(t.Context(), conn, soon)
		abandoned := in != held && a.outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_NEVER_SENT
		if a.sold == nil && !abandoned {
			t.Errorf("%s afterwards: %s", in.requestID, a)
		}
	}
	check(t, s, r, append(refused, held)...)
}

// check compares intents with the ledger.
func check(t *testing.T, s *shop, r *replica, intents ...*intent) {
	t.Helper()
	page, err := r.purchases(t).ListPurchases(t.Context(), &gigagatev1.ListPurchasesRequest{PageSize: 500})
	if err != nil {
		t.Fatal(newCallError(err))
	}
	is := newTruth(s.ledger(t), page.GetPurchases())
	var found tally.Tally
	for _, in := range intents {
		violations := is.violations(in)
		found.Add(violations)
		for _, text := range violations {
			t.Error(text)
		}
	}
	t.Log(&found)
}

// startHeld starts a purchase that waits for the vendor's answer. It returns the purchase, and a function
// that waits for its caller's answer.
func startHeld(t *testing.T, s *shop, r *replica, id string, answerAfter time.Duration) (*intent, func() told) {
	t.Helper()
	before := s.ledger(t).Requests[registerPath]
	heldAnswer(t, s, answerAfter)
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held, answer := newRegister(id), make(chan told, 1)
	go func() { answer <- held.buyWithin(t.Context(), conn, 12*time.Second) }()
	eventually(t, "the vendor has the request", func() error {
		if s.ledger(t).Requests[registerPath] == before {
			return errors.New("not yet")
		}
		return nil
	})
	return held, func() told { return <-answer }
}

// TestFullDisk runs a gateway whose journal is on a small separate file system.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	inNamespace := []string{
		"unshare", "--map-root-user", "--mount", "/bin/sh", "-c",
		`mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"`, disk,
	}
	if text, err := exec.CommandContext(t.Context(), inNamespace[0], append(inNamespace[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs a mount namespace: %v %s", err, text)
	}
	s := newShop(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(disk, "journal.db"), "--gigastore-timeout=20s")
	r.wrapper = inNamespace
	r.start(t)
	// Only the process sees the file system. From outside it is reached through /proc.
	filler := fmt.Sprintf("/proc/%d/root%s", r.process().command.Process.Pid, filepath.Join(disk, "filler"))

	for round := range times(1) {
		held, answer := startHeld(t, s, r, fmt.Sprintf("held-%d", round), 8*time.Second)
		stopFilling := keepFull(t, filler)
		filling := useUp(t, r, fmt.Sprintf("filling-%d", round))
		refused := checkRefused(t, s, r, fmt.Sprintf("refused-%d", round), false)
		if a := answer(); a.sold != nil {
			t.Errorf("the purchase whose answer could not be recorded: %s", a)
		}
		stopFilling()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		checkRecovered(t, s, r, held, append(refused, filling...))
	}
}

// useUp buys until the journal is full. The pages that SQLite already has are enough for some more commits.
func useUp(t *testing.T, r *replica, prefix string) []*intent {
	t.Helper()
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []*intent
	stuck := 0
	eventually(t, "no room", func() error {
		in := newRegister(fmt.Sprintf("%s-%d", prefix, len(all)))
		all = append(all, in)
		a := in.buyWithin(t.Context(), conn, time.Second)
		if a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE {
			stuck = 0
			return fmt.Errorf("%s: %s", in.requestID, a)
		}
		if stuck++; stuck < 20 {
			return a.err
		}
		return nil
	})
	told := map[string]int{}
	for _, in := range all {
		told[codeOf(in.answers()[0])]++
	}
	t.Logf("until the disk was full:%s", counts(told))
	return all
}

// keepFull takes all free pages of a file system, and each page that becomes free later.
func keepFull(t *testing.T, path string) (stop func()) {
	t.Helper()
	fill(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	var filling sync.WaitGroup
	filling.Go(func() {
		for pause(ctx, time.Millisecond) {
			fill(t, path)
		}
	})
	stop = func() {
		cancel()
		filling.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// fill takes the pages that are free at the moment.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = file.Close() }()
	for page := make([]byte, 4096); err == nil; {
		_, err = file.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}
