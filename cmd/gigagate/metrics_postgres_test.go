package main

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestReplicasReportOnce: the sum over two replicas on PostgreSQL is the number of open purchases. When the one that reports
// stops, the other one takes over.
func TestReplicasReportOnce(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	replicas := []*replica{newReplica(t, s, server.URL).start(t), newReplica(t, s, server.URL).start(t)}
	s.inject(t, "/gigastore/activations/register", "commit_then_reset", 1, nil)
	s.inject(t, "/gigastore/activations/activated-items", "list_fail", 1_000_000, nil)
	conn, err := replicas[0].connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() { // the call waits until the replica is gone
		_, _ = gigagatev1.NewActivationServiceClient(conn).Register(t.Context(), &gigagatev1.RegisterRequest{
			RequestId: "order-1", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
		})
	}()
	counts := func(replicas ...*replica) (counts []float64) {
		for _, r := range replicas {
			metrics := get(t, "http://"+r.adminAddress()+"/metrics").body
			open := 0.0 // also without a value
			for _, value := range seriesOf(metrics, "gigagate_purchase_open", "") {
				count, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				open += count
			}
			counts = append(counts, open)
		}
		return counts
	}
	reports := 0
	eventually(t, "one replica reports", func() error {
		switch now := counts(replicas...); {
		case now[0]+now[1] > 1:
			t.Fatal("both report the purchase")
		case now[0]+now[1] < 1:
			return fmt.Errorf("the replicas report %v", now)
		case now[1] == 1:
			reports = 1
		}
		return nil
	})
	replicas[reports].process().signal(t, syscall.SIGTERM)
	eventually(t, "the other replica reports", func() error {
		if now := counts(replicas[1-reports]); now[0] != 1 {
			return fmt.Errorf("it reports %v", now)
		}
		return nil
	})
}
