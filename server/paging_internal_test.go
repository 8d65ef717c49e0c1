package server

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// slowLists is a journal in which nothing fits, and that takes a while to find this out.
type slowLists struct {
	purchase.Journal
	takes time.Duration
	reads *int
}

func (j slowLists) List(context.Context, purchase.Filter, purchase.Page) (list []purchase.Purchase, next string, err error) {
	*j.reads++
	<-time.After(j.takes)
	return nil, ulid.Make().String(), nil
}

// TestSearchEnds: a search that finds nothing answers within a short time, and says where to go on. It always reads at least once.
func TestSearchEnds(t *testing.T) {
	t.Parallel()
	vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1:1", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	for takes, want := range map[time.Duration]int{time.Microsecond: mostReads, 10 * time.Millisecond: 5, 20 * time.Millisecond: 3, time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			reads := 0
			engine := purchase.NewEngine(purchase.Config{Journal: slowLists{takes: takes, reads: &reads}, Vendor: vendor, Logger: slog.New(slog.DiscardHandler)})
			defer engine.Close()
			service := purchaseService{Server: &Server{engine: engine}}
			found, err := service.ListPurchases(access.With(t.Context(), access.Open), &gigagatev1.ListPurchasesRequest{})
			if err != nil || reads != want || found.GetNextPageToken() == "" {
				t.Errorf("reads of %v: %d of them, want %d; the list goes on at %q, err = %v", takes, reads, want, found.GetNextPageToken(), err)
			}
		})
	}
}
