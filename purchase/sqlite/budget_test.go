package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"gigagate.internal/purchase"
)

// budgeted returns a claim of some units on a budget with a limit in total.
func budgeted(caller string, units, limit purchase.Micros) purchase.Claim {
	claim := newClaim()
	claim.Key.Caller = caller
	claim.Budget, claim.Amount = &purchase.Budget{Currency: "EUR", Total: &limit}, units
	return claim
}

// wantTotal compares the total of a caller without an end.
func wantTotal(t *testing.T, j *Journal, caller string, reserved, spent purchase.Micros) {
	t.Helper()
	totals, err := j.BudgetTotals(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	var got purchase.BudgetTotal
	for _, total := range totals {
		if total.Period == purchase.PeriodTotal {
			got = total
		}
	}
	if got.Reserved != reserved || got.Spent != spent {
		t.Errorf("%s: reserved %d, spent %d; want %d, %d", caller, got.Reserved, got.Spent, reserved, spent)
	}
}

// The claims and settlements of one group see what the others of the group have reserved, released and spent.
func TestBudgetsInAGroup(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	const limit = 10
	failing, err := j.Claim(t.Context(), budgeted("shop", 6, limit))
	if err != nil {
		t.Fatal(err)
	}
	fails := purchase.Transition{Event: purchase.AnsweredRefused, Attempt: failing.Attempt, Reason: "PAYMENT_FAILED", By: "gateway"}
	step, err := purchase.Decide(failing, fails)
	if err != nil {
		t.Fatal(err)
	}
	release := held(t, j)
	var group []*operation
	claims := func(n int) {
		for range n {
			group = append(group, enqueue(t, j, claiming(budgeted("shop", 2, limit), j)))
		}
	}
	claims(4) // 4 units are left, for two of them
	group = append(group, enqueue(t, j, func(c *connection) error { return c.step(step, "{}", j.began) }))
	claims(4) // 6 more units are left, for three of them
	group = append(group, enqueue(t, j, claiming(budgeted("other", 3, limit), j)))
	release()
	text := ""
	for _, o := range group {
		_, isOver := errors.AsType[*purchase.BudgetError](answer(t, o))
		text += fmt.Sprintf("%t ", isOver)
	}
	if want := "false false true true false false false false true false "; text != want {
		t.Errorf("refused by the budget: %s, want %s", text, want)
	}
	wantTotal(t, j, "shop", limit, 0)
	wantTotal(t, j, "other", 3, 0)
}

// If one write of a group cannot be written, the others are written alone, and each posts once.
func TestBudgetsInABrokenGroup(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	release := held(t, j)
	broken := errors.New("cannot be written")
	first := enqueue(t, j, claiming(budgeted("shop", 4, 10), j))
	bad := enqueue(t, j, func(*connection) error { return broken })
	second := enqueue(t, j, claiming(budgeted("shop", 4, 10), j))
	release()
	if err := errors.Join(answer(t, first), answer(t, second)); err != nil {
		t.Fatal(err)
	}
	if err := answer(t, bad); !errors.Is(err, broken) || !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the bad write: %v", err)
	}
	wantTotal(t, j, "shop", 8, 0)
}

// If the totals cannot be written, no claim of the group is.
func TestTotalsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	inWriter(t, j, func(c *connection) {
		if err := c.exec("CREATE TEMP TRIGGER broken BEFORE INSERT ON main.budget_total WHEN new.caller = 'bad' BEGIN SELECT raise(ABORT, 'no'); END"); err != nil {
			t.Error(err)
		}
	})
	release := held(t, j)
	bad, good := budgeted("bad", 4, 10), budgeted("good", 4, 10)
	first, second := enqueue(t, j, claiming(bad, j)), enqueue(t, j, claiming(good, j))
	release()
	if err := answer(t, first); !errors.Is(err, purchase.ErrNotWritten) || exists(t, j, bad.ID) {
		t.Errorf("a claim whose reservation cannot be written: %v", err)
	}
	if err := answer(t, second); err != nil || !exists(t, j, good.ID) {
		t.Errorf("another claim of its group: %v", err)
	}
	wantTotal(t, j, "good", 4, 0)
}
