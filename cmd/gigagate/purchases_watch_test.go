package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// watching is a running `gigagate purchases watch`.
type watching struct {
	out, err *watched
	stop     context.CancelFunc // what Ctrl-C does
	ended    chan struct{}
	status   int // valid once ended
}

func (g *gateway) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{out: newWatched(), err: newWatched(), stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		w.status = run(ctx, append([]string{"purchases", "watch", "--address=" + g.grpc}, args...), console{out: w.out, err: w.err})
	}()
	t.Cleanup(func() {
		cancel()
		<-w.ended
	})
	return w
}

// shows waits until the watch has printed a match of pattern.
func (w *watching) shows(t *testing.T, pattern string) {
	t.Helper()
	w.out.waitFor(t, w.ended, pattern)
}

// uncertain makes a purchase that the gateway cannot settle by itself, and returns its id.
func (g *gateway) uncertain(t *testing.T, requestID string) (id string) {
	t.Helper()
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"metatag_rewritten"}`)
	if got := g.sell(t, requestID, "--timeout=2s"); got.status != exitIndeterminate {
		t.Fatalf("%+v", got)
	}
	return decode(t, g.purchases(t, "list", "--request-id="+requestID), &gigagatev1.ListPurchasesResponse{}).GetPurchases()[0].GetId()
}

func (g *gateway) nothingSold(t *testing.T, id string) {
	t.Helper()
	if got := g.purchases(t, "resolve", id, "--nothing-sold", "--force", "--operator=maria", "--note=x"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
}

// TestWatchShowsWhatHappens: open purchases at the start, and then each purchase that is new or changes. A settled purchase
// from before is not shown. The watch outlives an outage of the gateway.
func TestWatchShowsWhatHappens(t *testing.T) {
	t.Parallel()
	journal := "--journal=sqlite:" + filepath.Join(t.TempDir(), "gigagate.db")
	g := startGateway(t, journal, "--log-level=error")
	decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{})
	open := g.uncertain(t, "order-2")
	w := g.watch(t)
	line := func(requestID, state string) string {
		return `(?m)^\{"id":"\w{26}","caller":"default","requestId":"` + requestID + `","kind":"PURCHASE_KIND_REGISTER","state":"PURCHASE_STATE_` + state + `",.*\}$`
	}
	w.shows(t, line("order-2", "UNCERTAIN"))
	decode(t, g.sell(t, "order-3"), &gigagatev1.RegisterResponse{})
	w.shows(t, line("order-3", "SUCCEEDED"))
	g.nothingSold(t, open)
	w.shows(t, line("order-2", "FAILED"))

	g.exit()
	w.err.waitFor(t, w.ended, `(?m)^Unavailable: .*; trying again every 1s$`)
	again := startGateway(t, journal, "--grpc-listen="+g.grpc, "--log-level=error")
	w.err.waitFor(t, w.ended, `(?m)^the gateway answers again$`)
	decode(t, again.sell(t, "order-4"), &gigagatev1.RegisterResponse{})
	w.shows(t, line("order-4", "SUCCEEDED"))
	w.stop()
	if <-w.ended; w.status != 0 || strings.Contains(w.out.String(), "order-1") {
		t.Errorf("exit status %d: %s%s", w.status, w.out, w.err)
	}
	for _, requestID := range []string{"order-2", "order-3", "order-4"} {
		if n := strings.Count(w.out.String(), requestID); n > 3 {
			t.Errorf("%s is shown %d times:\n%s", requestID, n, w.out)
		}
	}
}

// TestWatchOfOnePurchase: each event once, until the purchase is settled. The exit status is that of purchases wait.
func TestWatchOfOnePurchase(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=error")
	sold := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{}).GetPurchaseId()
	w := g.watch(t, sold)
	if <-w.ended; w.status != 0 || strings.Count(w.out.String(), "\n") != 2 || !strings.Contains(w.out.String(), `"event":"PURCHASE_EVENT_TYPE_ANSWERED_APPLIED"`) {
		t.Errorf("exit status %d: %s%s", w.status, w.out, w.err)
	}

	open := g.uncertain(t, "order-2")
	left := g.watch(t, open)
	left.shows(t, "ANSWERED_UNKNOWN")
	left.stop()
	if <-left.ended; left.status != exitIndeterminate || !strings.Contains(left.err.String(), "it may have been sold") {
		t.Errorf("a watch that ends before its purchase: exit status %d: %s", left.status, left.err)
	}
	w = g.watch(t, open, "--output=table")
	w.shows(t, `(?m)^TIME +EVENT +SEND  STATE +BY +EVIDENCE\n\S+  CLAIMED +1 +SENDING +gateway\n\S+  ANSWERED_UNKNOWN +1 +UNCERTAIN +gateway +\S.*\nIt is not settled. It waits for `)
	g.nothingSold(t, open)
	if <-w.ended; w.status != exitFailed || strings.Count(w.out.String(), "CLAIMED") != 1 || !strings.Contains(w.out.String(), "RESOLVED_ABSENT") || !strings.Contains(w.err.String(), "nothing was bought") {
		t.Errorf("exit status %d: %s%s", w.status, w.out, w.err)
	}
	w = g.watch(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	if <-w.ended; w.status != exitIndeterminate || !strings.Contains(w.err.String(), "PURCHASE_NOT_FOUND") {
		t.Errorf("an unknown purchase: exit status %d: %s", w.status, w.err)
	}
}

// TestWatchEndsWithItsOutput: nobody reads the output any more.
func TestWatchEndsWithItsOutput(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=error")
	if status := run(t.Context(), []string{"purchases", "watch", "--address=" + g.grpc, "--output=table"}, console{out: full{}, err: newWatched()}); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
}

// manyPurchases is a gateway with purchases, the newest last.
type manyPurchases struct {
	gigagatev1.PurchaseServiceClient
	purchases []*gigagatev1.Purchase
	calls     int
}

// add makes purchases in a state, a millisecond apart.
func (m *manyPurchases) add(n int, state gigagatev1.PurchaseState) {
	for range n {
		at := time.UnixMilli(int64(1_800_000_000_000 + len(m.purchases)))
		p := &gigagatev1.Purchase{Id: ulid.MustNew(ulid.Timestamp(at), nil).String(), State: state, CreateTime: timestamppb.New(at), UpdateTime: timestamppb.New(at)}
		if m.purchases = append(m.purchases, p); state >= gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED {
			p.SettleTime = p.GetUpdateTime()
		}
	}
}

func (m *manyPurchases) ListPurchases(_ context.Context, req *gigagatev1.ListPurchasesRequest, _ ...grpc.CallOption) (*gigagatev1.ListPurchasesResponse, error) {
	m.calls++
	page := &gigagatev1.ListPurchasesResponse{}
	for _, p := range slices.Backward(m.purchases) {
		switch {
		case req.GetPageToken() != "" && p.GetId() >= req.GetPageToken(), req.GetState() != 0 && p.GetState() != req.GetState(),
			req.GetFromTime() != nil && p.GetCreateTime().AsTime().Before(req.GetFromTime().AsTime()):
		case len(page.GetPurchases()) == int(req.GetPageSize()):
			page.NextPageToken = page.GetPurchases()[len(page.GetPurchases())-1].GetId()
			return page, nil
		default:
			page.Purchases = append(page.Purchases, p)
		}
	}
	return page, nil
}

func (m *manyPurchases) GetPurchase(_ context.Context, req *gigagatev1.GetPurchaseRequest, _ ...grpc.CallOption) (*gigagatev1.GetPurchaseResponse, error) {
	m.calls++
	for _, p := range m.purchases {
		if p.GetId() == req.GetId() {
			return &gigagatev1.GetPurchaseResponse{Purchase: p}, nil
		}
	}
	return nil, fmt.Errorf("no %s", req.GetId())
}

// TestWatchIsBounded: a look makes a bounded number of calls and remembers a bounded number of purchases, however many there
// are. It says that it cannot show all.
func TestWatchIsBounded(t *testing.T) {
	t.Parallel()
	var said []string
	many := &manyPurchases{}
	seen := &seenPurchases{client: many, timeout: time.Minute, say: func(text string) { said = append(said, text) }}
	look := func() []*gigagatev1.Purchase {
		t.Helper()
		many.calls = 0
		changed, err := seen.look(t.Context())
		if err != nil || many.calls > 1+5*watchedPages+watchedReads || len(seen.seen) > 3*watchedPage*watchedPages {
			t.Errorf("%v: %d calls, %d purchases remembered", err, many.calls, len(seen.seen))
		}
		return changed
	}
	look()
	for round := range 6 {
		many.add(5_000, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED)
		many.add(5_000, gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN)
		if changed := look(); len(changed) < watchedPage*watchedPages {
			t.Errorf("round %d: %d purchases are shown", round, len(changed))
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "more than 2000 purchases") {
		t.Errorf("it said %q", said)
	}
}

// TestWatchSeesOldPurchasesSettle: a purchase that is no longer among the newest is shown when it is settled, and then
// forgotten.
func TestWatchSeesOldPurchasesSettle(t *testing.T) {
	t.Parallel()
	many := &manyPurchases{}
	many.add(3, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR)
	seen := &seenPurchases{client: many, timeout: time.Minute, say: func(text string) { t.Error(text) }}
	for _, step := range []struct {
		happens func()
		changed int
		kept    int
	}{
		{func() {}, 3, 3},
		{func() { // twenty seconds later
			many.add(20_000, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED)
			many.purchases = append(many.purchases[:3:3], many.purchases[20_000:]...)
		}, 3, 6},
		{func() {}, 0, 6},
		{func() {
			p := many.purchases[0]
			many.purchases[0] = &gigagatev1.Purchase{Id: p.GetId(), State: gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, UpdateTime: timestamppb.Now(), SettleTime: timestamppb.Now(), CreateTime: p.GetCreateTime()}
		}, 1, 5},
		{func() {}, 0, 5},
	} {
		step.happens()
		changed, err := seen.look(t.Context())
		if err != nil || len(changed) != step.changed || len(seen.seen) != step.kept {
			t.Errorf("%v: %d changed, %d remembered, want %+v", err, len(changed), len(seen.seen), step)
		}
	}
}
