package simulation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

const (
	permitLife = 10 * time.Second // the engine's own
	// lastByteAfter is how long after its permit a send may still have an effect.
	lastByteAfter = permitLife + vendorTimeout

	listPath      = "/gigastore/activations/activated-items"
	inventoryPath = "/gigastore/products/inventory"
	registerPath  = "/gigastore/activations/register"
)

// stage sets up a world for one direct test. The planned faults begin when play is called.
func stage(t *testing.T, p plan, play func(t *testing.T, w *world)) {
	t.Helper()
	stageOn(t, openMemory, p, play)
}

// stageOn is stage with another kind of journal.
func stageOn(t *testing.T, open func(*testing.T, func() time.Time) store, p plan, play func(t *testing.T, w *world)) {
	t.Helper()
	if p.settings == (sandbox.Settings{}) {
		p.settings = sandbox.DefaultSettings()
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, open)
		defer w.close()
		w.setUp()
		w.setFaulty(true)
		play(t, w)
		if t.Failed() {
			t.Log(w.story())
		}
	})
}

// register is a call that registers without an e-mail, so that its sale can be found only in the list.
func register(key string, mode gigastore.ActivationMode) call {
	return call{key: key, order: order(purchase.Register, mode, key), personal: personal(purchase.Register, false)}
}

// of reads the purchase of a key from the journal.
func (w *world) of(t *testing.T, key string) purchase.Purchase {
	t.Helper()
	p, err := w.store.journal().Lookup(context.Background(), purchase.Key{Caller: "default", RequestID: key})
	if err != nil {
		t.Fatalf("%s: %v\n%s", key, err, w.story())
	}
	return p
}

// becomes waits until the purchase of a key is in a state. It returns the purchase and the time that took.
func (w *world) becomes(t *testing.T, key string, state purchase.State, within time.Duration) (purchase.Purchase, time.Duration) {
	t.Helper()
	for began := time.Now(); ; pause(250 * time.Millisecond) {
		p, took := w.of(t, key), time.Since(began)
		if p.State == state {
			return p, took
		}
		if took > within || p.State.Settled() {
			t.Fatalf("%s is %s %s after %s, want %s\n%s", key, p.State, p.Reason, took, state, w.story())
		}
	}
}

func (w *world) inject(t *testing.T, path, name string, count int, params m) {
	t.Helper()
	if err := w.box.Inject(sandbox.Fault{Path: path, Fault: name, Count: count, Params: params}); err != nil {
		t.Fatal(err)
	}
}

// posts is how many paid requests arrived beyond those of setUp.
func (w *world) posts(before sandbox.Ledger) int {
	n := 0
	for path, count := range w.box.Ledger().Requests {
		n += count - before.Requests[path]
	}
	return n
}

// salesOf lists the sales for a key's purchase.
func (w *world) salesOf(t *testing.T, key string) []sandbox.Sale {
	t.Helper()
	p := w.of(t, key)
	mark := p.Mark()
	var sales []sandbox.Sale
	for _, sale := range w.box.Ledger().Sales {
		if len(sale.Metatag) >= len(mark) && sale.Metatag[:len(mark)] == mark {
			sales = append(sales, sale)
		}
	}
	return sales
}

func wants(t *testing.T, a answer, want outcome) {
	t.Helper()
	if a.outcome != want {
		t.Errorf("%s was told %s, want %s", a.call.key, a, want)
	}
}
