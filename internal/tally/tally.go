// Package tally counts histories of purchases in tests, and what is wrong with them.
package tally

import (
	"fmt"
	"strings"
	"sync"
)

// The kinds of what can be wrong with a history.
const (
	Double = "DOUBLE" // a purchase was sold twice, or sent more often than permitted
	Lost   = "LOST"   // a sale is not in the journal, or a purchase is never settled
	Untrue = "UNTRUE" // an answer or the journal contradicts the ledger
	Broken = "BROKEN" // another rule was broken
)

// Finding describes one thing that is wrong.
func Finding(kind, format string, args ...any) string {
	return kind + ": " + fmt.Sprintf(format, args...)
}

// Tally counts histories, and those with something wrong.
type Tally struct {
	mu        sync.Mutex
	histories int
	wrong     map[string]int // by kind
}

// Add counts one history with its findings.
func (t *Tally) Add(findings []string) {
	kinds := map[string]int{}
	for _, finding := range findings {
		kind, _, _ := strings.Cut(finding, ":")
		kinds[kind] = 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.histories++
	if t.wrong == nil {
		t.wrong = map[string]int{}
	}
	for kind := range kinds {
		t.wrong[kind]++
	}
}

// String is the line that `make proof` looks for.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("proof: %d histories, %d double, %d lost, %d untrue, %d otherwise wrong",
		t.histories, t.wrong[Double], t.wrong[Lost], t.wrong[Untrue], t.wrong[Broken])
}
