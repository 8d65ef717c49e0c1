package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// rivals is how many callers make the same purchase at once.
const rivals = 50

// TestRaceOfOneRequestID: rivals call two replicas of one PostgreSQL with the same request id.
func TestRaceOfOneRequestID(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	replicas := []*replica{newReplica(t, s, server.URL).start(t), newReplica(t, s, server.URL).start(t)}
	for round := range 10 {
		id := fmt.Sprintf("race-%d", round)
		same := make([]*intent, rivals)
		for i := range same {
			same[i] = newRegister(id)
		}
		answers := race(t, replicas, same)
		first := answers[0]
		replayed := 0
		for _, a := range answers {
			if a.sold == nil || !proto.Equal(a.sold, first.sold) {
				t.Fatalf("%s: one was told %q, another %q", id, first, a)
			}
			if a.replayed {
				replayed++
			}
		}
		if replayed != rivals-1 {
			t.Errorf("%s: %d of %d answers are marked as replayed", id, replayed, rivals)
		}
		checkOne(t, s, round+1, first)
	}
}

// TestRaceOfTwoOrders: half of the rivals order another package with the same request id.
func TestRaceOfTwoOrders(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	replicas := []*replica{newReplica(t, s, server.URL).start(t), newReplica(t, s, server.URL).start(t)}
	for round := range 5 {
		id := fmt.Sprintf("clash-%d", round)
		orders := make([]*intent, rivals)
		for i := range orders {
			orders[i] = newRegister(id)
			// Either replica gets both orders.
			orders[i].register.InventoryItemId = items[i/2%len(items)]
		}
		answers := race(t, replicas, orders)
		won := slices.IndexFunc(answers, func(a told) bool { return a.sold != nil })
		if won < 0 {
			t.Fatalf("%s: nobody bought; the first was told %q", id, answers[0])
		}
		for i, a := range answers {
			if orders[i].register.GetInventoryItemId() == orders[won].register.GetInventoryItemId() {
				if !proto.Equal(a.sold, answers[won].sold) {
					t.Errorf("%s: one was told %q, another %q", id, answers[won], a)
				}
				continue
			}
			if a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED ||
				a.purchase != answers[won].purchase || a.outcome.GetFieldViolations()[0].GetField() != "inventory_item_id" {
				t.Errorf("%s: the other order was told %q, %v", id, a, a.outcome)
			}
		}
		checkOne(t, s, round+1, answers[won])
	}
}

// race makes all calls at once, distributed over the replicas.
func race(t *testing.T, replicas []*replica, all []*intent) []told {
	t.Helper()
	conns := connect(t, replicas...)
	answers := make([]told, len(all))
	start := make(chan struct{})
	var calls sync.WaitGroup
	for i, in := range all {
		calls.Go(func() {
			<-start
			answers[i] = in.buyWithin(t.Context(), conns[i%len(conns)], soon)
		})
	}
	close(start)
	calls.Wait()
	return answers
}

// connect returns connections to the replicas.
func connect(t *testing.T, replicas ...*replica) []grpc.ClientConnInterface {
	t.Helper()
	conns := make([]grpc.ClientConnInterface, len(replicas))
	for i, r := range replicas {
		conn, err := r.connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
	}
	return conns
}

// checkOne checks that each round had one POST and one sale, and that the answer matches the last sale.
func checkOne(t *testing.T, s *shop, rounds int, a told) {
	t.Helper()
	ledger := s.ledger(t)
	if posts := ledger.Requests[registerPath]; posts != rounds || len(ledger.Sales) != rounds {
		t.Fatalf("%d POSTs and %d sales after %d rounds", posts, len(ledger.Sales), rounds)
	}
	if last := ledger.Sales[rounds-1]; last.ItemUID != a.item || last.Requests != 1 {
		t.Errorf("was told %q, the ledger has %+v", a, last)
	}
}
