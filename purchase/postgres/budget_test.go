package postgres_test

import (
	"errors"
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
				if !errors.Is(err, purchase.ErrNotWritten) {
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
