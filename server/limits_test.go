package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// hungLists is a journal whose lists hang until the test releases them.
type hungLists struct {
	purchase.Journal
	entered chan struct{}
	letGo   chan struct{}
}

func (j *hungLists) List(context.Context, purchase.Filter, purchase.Page) ([]purchase.Purchase, string, error) {
	j.entered <- struct{}{}
	<-j.letGo
	return nil, "", nil
}

// A list waits for a place and is refused if it gets none. A purchase does not wait for lists. One client has half of the
// eight places.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	const places, more = 4, 20
	j := &hungLists{newJournal(), make(chan struct{}, more), make(chan struct{})}
	g := open(t, setup{journal: j})
	list := &gigagatev1.ListPurchasesRequest{}
	var lists sync.WaitGroup
	answers := make(chan answer, more)
	for range more {
		lists.Go(func() { answers <- g.overGRPC(t, t.Context(), ask(list)) })
	}
	for range places {
		<-j.entered
	}
	began := time.Now()
	g.overREST(t, t.Context(), ask(register())).ok(t)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a purchase took %s", took)
	}
	for range more - places {
		(<-answers).check(t, want{codes.ResourceExhausted, http.StatusTooManyRequests, "OVERLOADED", "NOT_STARTED", nil})
	}
	close(j.letGo)
	lists.Wait()
	for range places {
		(<-answers).ok(t)
	}
	if n := len(j.entered); n > 0 {
		t.Errorf("%d lists more than there are places", n)
	}
}

// grpc-go refuses a header list that is too large before it keeps any of it.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "canary", strings.Repeat("h", 17<<10))
	a := g.overGRPC(t, ctx, ask(register()))
	if a.code == codes.OK {
		t.Errorf("the call was served: %s", a.text)
	}
	if sales := g.box.Ledger().Sales; len(sales) > 0 {
		t.Errorf("%d sales", len(sales))
	}
}
