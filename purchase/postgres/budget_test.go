package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestBudgetZones: the day of a budget is the one that the database says. A zone that the database does not know refuses
// its own claims only.
func TestBudgetZones(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal := open(t, server.URL, postgres.Options{Schema: server.Schema(t)})
	kiritimati, err := time.LoadLocation("Pacific/Kiritimati") // 14 hours before UTC
	if err != nil {
		t.Fatal(err)
	}
	var claims sync.WaitGroup
	for i := range 60 {
		claim := newClaim()
		claim.Budget, claim.Amount = &purchase.Budget{Currency: "EUR", Zone: kiritimati}, 1
		if i%3 == 0 {
			claim.Budget.Zone = time.FixedZone("Nowhere", 3600)
		}
		claims.Go(func() {
			p, err := journal.Claim(t.Context(), claim)
			if i%3 == 0 {
				// The zone is refused before the claim joins a group. Otherwise the whole group would be repeated one by one.
				if !errors.Is(err, purchase.ErrNotWritten) || !strings.Contains(err.Error(), `the time in the budget's zone "Nowhere"`) {
					t.Errorf("an unknown zone: err = %v", err)
				}
				return
			}
			if err != nil {
				t.Errorf("claim: %v", err)
				return
			}
			if want := p.ClaimedAt.In(kiritimati).Format(time.DateOnly); p.Reservation.Day != want {
				t.Errorf("the day is %s, want %s", p.Reservation.Day, want)
			}
		})
	}
	claims.Wait()
	totals, err := journal.BudgetTotals(t.Context(), "")
	if err != nil || len(totals) != 3 || totals[2].Reserved != 40 {
		t.Errorf("totals = %v, err = %v", totals, err)
	}
}

// TestGroupsOfTheSameBudgets: two groups claim and settle on the same two budgets, each on the one that the other takes
// last. They never wait for each other in a circle.
func TestGroupsOfTheSameBudgets(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t, "-c", "deadlock_timeout=10ms")
	replicas := make([]*postgres.Journal, 2)
	var owned []purchase.Purchase
	budgeted := func(i int) purchase.Claim {
		claim := newClaim()
		claim.Key.Caller = fmt.Sprintf("shop-%d", i)
		claim.Budget, claim.Amount = &purchase.Budget{Currency: "EUR"}, 4
		return claim
	}
	for i := range replicas {
		replicas[i] = open(t, server.URL+"&pool_max_conns=1&application_name=gigagate", postgres.Options{})
		p, err := replicas[i].Claim(t.Context(), budgeted(i))
		if err != nil {
			t.Fatal(err)
		}
		owned = append(owned, p)
	}
	locker := connect(t, server)
	if _, err := locker.Exec(t.Context(), `BEGIN; SELECT FROM gigagate.purchase_open FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	var results []*result
	for i, journal := range replicas {
		g := newGroup(t, journal)
		other := owned[1-i]
		results = append(results, g.claim(budgeted(i)), g.write(other, applied(other.ID)))
		both.Go(g.commit)
	}
	eventually(t, func(ctx context.Context) error {
		var waiting int
		err := locker.QueryRow(ctx, `SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted`).Scan(&waiting)
		if err == nil && waiting < 2 {
			err = fmt.Errorf("%d groups wait", waiting)
		}
		return err
	})
	if _, err := locker.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Error(err)
	}
	both.Wait()
	for _, r := range results {
		if r.err != nil {
			t.Error(r.err)
		}
	}
	totals, err := replicas[0].BudgetTotals(t.Context(), "")
	if err != nil || len(totals) != 6 {
		t.Errorf("totals = %v, err = %v", totals, err)
	}
	for _, total := range totals {
		if total.Reserved != 4 || total.Spent != 4 {
			t.Errorf("%+v, want 4 reserved and 4 spent", total)
		}
	}
	hasNoDeadlocks(t, server, replicas)
}
