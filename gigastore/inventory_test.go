package gigastore

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestInventoryIsDecodedWhenItChanges: an answer that equals the one before is not decoded again. Another price is seen at once, and an
// answer that cannot be decoded fails, even after a good one.
func TestInventoryIsDecodedWhenItChanges(t *testing.T) {
	t.Parallel()
	list := fixture(t, "inventory-list.json")
	dearer := bytes.Replace(list, []byte(`"priceValue": 4.2`), []byte(`"priceValue": 4.7`), 1)
	if bytes.Equal(dearer, list) {
		t.Fatal("the fixture has no such price")
	}
	answers := [][]byte{list, list, dearer, []byte(`{"items": 7}`), dearer, list}
	client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authenticates(w, r) {
			return
		}
		writeJSON(w, 200, string(answers[0]))
		answers = answers[1:]
	}), Config{})
	read := func() []InventoryItem {
		t.Helper()
		read, err := client.InventoryWithin(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return read.Items
	}
	first, second, third := read(), read(), read()
	if &first[0] != &second[0] {
		t.Error("the same answer was decoded twice")
	}
	if before, now := first[0].Prices[0].Value, third[0].Prices[0].Value; before == now {
		t.Errorf("the price is still %s after it changed", now)
	}
	if got, err := client.InventoryWithin(t.Context(), 0); err == nil {
		t.Errorf("an answer that is no inventory gave %d items", len(got.Items))
	}
	if again := read(); &again[0] != &third[0] {
		t.Error("an answer that failed took the place of the last good one")
	}
	if last := read(); last[0].Prices[0].Value != first[0].Prices[0].Value {
		t.Errorf("the price is %s after it changed back", last[0].Prices[0].Value)
	}
}

// TestFreshInventoryIsBounded: a caller who needs the present price does not wait longer than freshWait for a vendor that hangs, and
// neither does one who joins later. A caller who only wants a list may wait for the client's own timeout.
func TestFreshInventoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !authenticates(w, r) {
				<-r.Context().Done()
			}
		}), Config{Timeout: time.Minute})
		began := time.Now()
		var readers sync.WaitGroup
		wait := func(age, longest time.Duration) {
			readers.Go(func() {
				if _, err := client.InventoryWithin(t.Context(), age); err == nil {
					t.Error("there is an inventory")
				}
				if took := time.Since(began); took < longest || took > longest+time.Second {
					t.Errorf("an inventory of age %s took %s, want %s", age, took, longest)
				}
			})
		}
		wait(0, freshWait)
		wait(InventoryAge, time.Minute)
		<-time.After(freshWait - time.Second) // on synctest's clock
		wait(0, freshWait)
		readers.Wait()
	})
}

// TestSlowInventoryReplacesNoNewerOne: a read that takes long does not take the place of one that began later.
func TestSlowInventoryReplacesNoNewerOne(t *testing.T) {
	t.Parallel()
	const slow = 10 * time.Second
	list := fixture(t, "inventory-list.json")
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !authenticates(w, r) {
				if reads.Add(1) == 1 {
					<-time.After(slow) // on synctest's clock
				}
				writeJSON(w, 200, string(list))
			}
		}), Config{Timeout: time.Minute})
		read := func(age time.Duration) InventoryRead {
			read, err := client.InventoryWithin(t.Context(), age)
			if err != nil {
				t.Error(err)
			}
			return read
		}
		var reader sync.WaitGroup
		reader.Go(func() { read(InventoryAge) })
		<-time.After(slow / 2)
		newer := read(0)
		reader.Wait()
		if kept := read(InventoryAge); !kept.At.Equal(newer.At) {
			t.Errorf("the inventory of %s was replaced by that of %s", newer.At, kept.At)
		}
	})
}
