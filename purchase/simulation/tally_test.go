package simulation

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The kinds of what can be wrong with a history.
const (
	double = "DOUBLE" // a purchase was sold twice, or sent more often than permitted
	lost   = "LOST"   // a sale is not in the journal, or a purchase is never settled
	untrue = "UNTRUE" // an answer or the journal contradicts the ledger
	broken = "BROKEN" // another rule was broken
)

// tally counts histories, and those with something wrong.
type tally struct {
	mu        sync.Mutex
	histories int
	wrong     map[string]int // by kind
}

// add counts one history. Each of wrong starts with its kind.
func (c *tally) add(wrong []string) {
	kinds := map[string]bool{}
	for _, text := range wrong {
		kind, _, _ := strings.Cut(text, ":")
		kinds[kind] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.histories++
	for kind := range kinds {
		c.wrong[kind]++
	}
}

// String is what the command of the proofs prints.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d histories, %d double, %d lost, %d untrue, %d otherwise wrong",
		c.histories, c.wrong[double], c.wrong[lost], c.wrong[untrue], c.wrong[broken])
}

// sideBySide calls play with n numbers from first on, atOnce at the same time. play returns what is wrong with a
// history. sideBySide stops when the test has failed. Then it reports the tally.
func sideBySide(t *testing.T, atOnce int, first uint64, n int, play func(number uint64) []string) {
	t.Helper()
	found := &tally{wrong: map[string]int{}}
	long := n >= 1000 && (*histories > 0 || *playsAll)
	var next atomic.Int64
	var players sync.WaitGroup
	for range min(n, atOnce) {
		players.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !t.Failed(); i = int(next.Add(1)) - 1 {
				if long && i > 0 && i%(n/10) == 0 {
					t.Logf("%s; to go on from here: -seed %d", found, first+uint64(max(0, i-atOnce))) // the last ones may still run
				}
				found.add(play(first + uint64(i)))
			}
		})
	}
	players.Wait()
	t.Logf("proof: %s", found)
}
