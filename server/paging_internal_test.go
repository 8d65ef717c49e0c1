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

// sparseLists is a journal that examines as many purchases as it can for one page, and finds one or none.
type sparseLists struct {
	purchase.Journal
	takes time.Duration
	finds int
	reads int
}

func (j *sparseLists) List(context.Context, purchase.Filter, purchase.Page) ([]purchase.Purchase, string, error) {
	j.reads++
	<-time.After(j.takes)
	found := purchase.Purchase{ID: ulid.Make().String()}
	return []purchase.Purchase{found}[:j.finds], found.ID, nil
}

// listSparse asks for a page and checks how often the journal was read for it.
func listSparse(t *testing.T, j sparseLists, asked int32, want int) {
	t.Helper()
	vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1:1", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		engine := purchase.NewEngine(purchase.Config{Journal: &j, Vendor: vendor, Logger: slog.New(slog.DiscardHandler)})
		defer engine.Close()
		service := purchaseService{Server: &Server{engine: engine}}
		page, err := service.ListPurchases(access.With(t.Context(), access.Open), &gigagatev1.ListPurchasesRequest{PageSize: asked})
		if err != nil || j.reads != want || len(page.GetPurchases()) != want*j.finds || page.GetNextPageToken() == "" {
			t.Errorf("reads of %v for a page of %d: %d of them, want %d; %d purchases, the list goes on at %q, err = %v",
				j.takes, asked, j.reads, want, len(page.GetPurchases()), page.GetNextPageToken(), err)
		}
	})
}

// TestSearchEnds: a search that finds nothing answers within a short time, and says where to go on. It always reads at least once.
func TestSearchEnds(t *testing.T) {
	t.Parallel()
	for takes, want := range map[time.Duration]int{time.Microsecond: mostReads, 10 * time.Millisecond: 5, 20 * time.Millisecond: 3, time.Second: 1} {
		listSparse(t, sparseLists{takes: takes}, 50, want)
	}
}

// TestSparsePages: a page is filled by several reads of the journal, but not by any number of them.
func TestSparsePages(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int32]int{1: 1, 7: 7, 100: mostReads} {
		listSparse(t, sparseLists{takes: time.Microsecond, finds: 1}, asked, want)
	}
}
