package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const noPurchase = "01ARZ3NDEKTSV4RRFFQ69G5FAV" // a valid id

func getPurchase(id string) *gigagatev1.GetPurchaseRequest {
	return &gigagatev1.GetPurchaseRequest{Id: id}
}

func waitPurchase(id string, timeout time.Duration) *gigagatev1.WaitPurchaseRequest {
	return &gigagatev1.WaitPurchaseRequest{Id: id, Timeout: durationpb.New(timeout)}
}

func nothingSold(id string) *gigagatev1.ResolvePurchaseRequest {
	return &gigagatev1.ResolvePurchaseRequest{
		Id: id, Resolution: &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true}, Operator: "maria", Note: "ticket 17", Force: true,
	}
}

func itemSold(id, uid string) *gigagatev1.ResolvePurchaseRequest {
	r := nothingSold(id)
	r.Resolution = &gigagatev1.ResolvePurchaseRequest_ActivatedItemUid{ActivatedItemUid: uid}
	return r
}

// read gets a purchase and its history over a transport.
func (g *gateway) read(t *testing.T, d transport, id string) *gigagatev1.GetPurchaseResponse {
	t.Helper()
	a := d.call(t, t.Context(), ask(getPurchase(id)))
	a.ok(t)
	return a.reply.(*gigagatev1.GetPurchaseResponse)
}

// list gets a page of purchases over a transport.
func (g *gateway) list(t *testing.T, d transport, request *gigagatev1.ListPurchasesRequest) *gigagatev1.ListPurchasesResponse {
	t.Helper()
	a := d.call(t, t.Context(), ask(request))
	a.ok(t)
	return a.reply.(*gigagatev1.ListPurchasesResponse)
}

// events writes a history as text, one line for each entry: event, state after it, reason, vendor's status, actor.
func events(history []*gigagatev1.PurchaseEvent) string {
	var b strings.Builder
	for _, e := range history {
		who := strings.ToLower(strings.TrimPrefix(e.GetActor().GetType().String(), "ACTOR_TYPE_"))
		fmt.Fprintf(&b, "%d %s %s %s %d %s\n", e.GetAttempt(), strings.TrimPrefix(e.GetEvent().String(), "PURCHASE_EVENT_TYPE_"),
			strings.TrimPrefix(e.GetState().String(), "PURCHASE_STATE_"), reasonWord(e.GetReason()), e.GetVendorStatus(), who)
	}
	return b.String()
}

// reasonWord is a reason without the enum's prefix, or "" if there is none.
func reasonWord(reason gigagatev1.ErrorReason) string {
	if reason == gigagatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// A purchase shows the order, its outcome, and every step with its evidence. It is the same over both transports.
func TestPurchasesAndTheirHistory(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	sale := register(mode(firstUse))
	refused := topUp(customer, func(r *top) { r.ExpectedPrice = usd("1") })
	retried := topUp(customer, withProfile())
	found := register()
	ids := map[string]string{"sold": g.bought(t, sale)}
	ids["refused"] = g.overREST(t, t.Context(), ask(refused)).purchaseID(t)
	g.inject(t, pathTopUpProfile, "unauthorized", nil)
	ids["retried"] = g.bought(t, retried)
	g.inject(t, pathRegister, "commit_then_5xx", nil)
	ids["found"] = g.bought(t, found)
	for _, c := range []struct {
		name    string
		order   proto.Message
		kind    gigagatev1.PurchaseKind
		state   gigagatev1.PurchaseState
		reason  gigagatev1.ErrorReason
		effect  gigagatev1.Effect
		sends   int32
		history string
	}{
		{
			"sold", sale, gigagatev1.PurchaseKind_PURCHASE_KIND_REGISTER, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, 0, gigagatev1.Effect_EFFECT_APPLIED, 1,
			"1 CLAIMED SENDING  0 gateway\n1 ANSWERED_APPLIED SUCCEEDED  200 gateway\n",
		},
		{
			"refused", refused, gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP, gigagatev1.PurchaseState_PURCHASE_STATE_FAILED, gigagatev1.ErrorReason_ERROR_REASON_PRICE_MISMATCH, gigagatev1.Effect_EFFECT_NOT_APPLIED, 1,
			"1 CLAIMED SENDING  0 gateway\n1 ANSWERED_REFUSED FAILED PRICE_MISMATCH 400 gateway\n",
		},
		{
			"retried", retried, gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP_WITH_PROFILE, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, 0, gigagatev1.Effect_EFFECT_APPLIED, 2,
			"1 CLAIMED SENDING  0 gateway\n1 ANSWERED_NO_EFFECT ACCEPTED  401 gateway\n1 PERMITTED SENDING  0 gateway\n2 ANSWERED_APPLIED SUCCEEDED  200 gateway\n",
		},
		{
			"found", found, gigagatev1.PurchaseKind_PURCHASE_KIND_REGISTER, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, 0, gigagatev1.Effect_EFFECT_APPLIED, 1,
			"1 CLAIMED SENDING  0 gateway\n1 ANSWERED_UNKNOWN UNCERTAIN  502 gateway\n1 FOUND SUCCEEDED  0 reconciler\n",
		},
	} {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				r := g.read(t, d, ids[c.name])
				p := r.GetPurchase()
				want := &gigagatev1.Purchase{
					Id: ids[c.name], Caller: "default", RequestId: requestIDOf(c.order), Kind: c.kind, State: c.state, Reason: c.reason,
					Effect: c.effect, InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: c.order.(interface{ GetMetatag() string }).GetMetatag(),
					ActivationMode: c.order.(interface {
						GetActivationMode() gigagatev1.ActivationMode
					}).GetActivationMode(),
					Attempts: c.sends, CreateTime: p.GetCreateTime(), UpdateTime: p.GetUpdateTime(), SettleTime: p.GetSettleTime(),
					CustomerUid: customer, TraceId: p.GetTraceId(),
				}
				if sales := g.salesOf(ids[c.name]); len(sales) == 1 {
					want.ActivatedItemUid, want.CustomerUid = sales[0].ItemUID, sales[0].CustomerUID
				}
				if !proto.Equal(p, want) {
					t.Errorf("got  %v\nwant %v", p, want)
				}
				if p.GetSettleTime() == nil || p.GetCreateTime().AsTime().After(p.GetSettleTime().AsTime()) {
					t.Errorf("times of %v", p)
				}
				checkHistory(t, r, c.history)
				waited := d.call(t, t.Context(), ask(waitPurchase(ids[c.name], 0)))
				waited.ok(t)
				if again := waited.reply.(*gigagatev1.WaitPurchaseResponse).GetPurchase(); !proto.Equal(again, p) {
					t.Errorf("wait has %v", again)
				}
				if listed := g.list(t, d, &gigagatev1.ListPurchasesRequest{RequestId: p.GetRequestId()}).GetPurchases(); len(listed) != 1 || !proto.Equal(listed[0], p) {
					t.Errorf("list has %v", listed)
				}
			})
		}
	}
}

func checkHistory(t *testing.T, r *gigagatev1.GetPurchaseResponse, want string) {
	t.Helper()
	if got := events(r.GetHistory()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for i, e := range r.GetHistory() {
		if i > 0 && e.GetTime().AsTime().Before(r.GetHistory()[i-1].GetTime().AsTime()) || e.GetTime() == nil || e.GetContradicts() {
			t.Errorf("%v", e)
		}
		if e.GetVendorStatus() != 0 && e.GetBytesWritten() == 0 {
			t.Errorf("an answer, but no bytes were sent: %v", e)
		}
		if e.GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED && e.GetActivatedItemUid() != r.GetPurchase().GetActivatedItemUid() {
			t.Errorf("item %q of %v", e.GetActivatedItemUid(), r.GetPurchase())
		}
	}
}

// WaitPurchase answers as soon as the purchase is settled. If the timeout or the caller's deadline ends first, it answers
// with the purchase as it is.
func TestWaitPurchase(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	message := register()
	bought := make(chan answer, 1)
	go func() { bought <- g.overGRPC(t, t.Context(), ask(message)) }()
	<-held.entered
	id := g.list(t, g.transports()[0], &gigagatev1.ListPurchasesRequest{RequestId: message.GetRequestId()}).GetPurchases()[0].GetId()
	for _, d := range g.transports() {
		for _, timeout := range []time.Duration{0, 300 * time.Millisecond} {
			began := time.Now()
			a := d.call(t, t.Context(), ask(waitPurchase(id, timeout)))
			a.ok(t)
			p := a.reply.(*gigagatev1.WaitPurchaseResponse).GetPurchase()
			if p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_SENDING || p.GetEffect() != gigagatev1.Effect_EFFECT_INDETERMINATE ||
				p.SettleTime != nil || time.Since(began) < timeout {
				t.Errorf("after %v: %v", time.Since(began), p)
			}
		}
	}
	g.within(t, time.Second, waitPurchase(id, time.Minute)).ok(t)

	answers := make(chan answer, 2)
	for _, d := range g.transports() {
		go func() { answers <- d.call(t, t.Context(), ask(waitPurchase(id, time.Minute))) }()
	}
	close(held.open)
	for range 2 {
		a := <-answers
		a.ok(t)
		if p := a.reply.(*gigagatev1.WaitPurchaseResponse).GetPurchase(); p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED || p.SettleTime == nil {
			t.Errorf("%v", p)
		}
	}
	(<-bought).ok(t)
}

// madeAt is the time in a purchase's id.
func madeAt(id string) time.Time { return ulid.MustParse(id).Timestamp() }

// Pages follow each other without gaps or repetitions, the newest purchase first, even if more is bought in between.
func TestListPurchasesPages(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	var ids []string
	for range 5 {
		ids = append(ids, g.bought(t, topUp(customer)))
	}
	slices.Reverse(ids)
	for _, d := range g.transports() {
		t.Run(d.name, func(t *testing.T) {
			var got []string
			var sizes []int
			request := &gigagatev1.ListPurchasesRequest{
				PageSize: 2, CustomerUid: customer, State: gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED,
				ToTime: timestamppb.New(madeAt(ids[0]).Add(time.Millisecond)),
			}
			for {
				page := g.list(t, d, request)
				sizes = append(sizes, len(page.GetPurchases()))
				for _, p := range page.GetPurchases() {
					got = append(got, p.GetId())
				}
				if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
					break
				}
				g.bought(t, topUp(customer))
			}
			if !slices.Equal(got[:5], ids) || !slices.Equal(sizes, []int{2, 2, 2}) {
				t.Errorf("got  %v in pages of %v\nwant %v and the first register", got, sizes, ids)
			}
		})
	}
}

func TestListPurchasesFilters(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	first := g.sold(t)
	failed := topUp("nobody")
	failedID := g.overGRPC(t, t.Context(), ask(failed)).purchaseID(t)
	last := g.read(t, g.transports()[0], g.bought(t, register(func(r *reg) {
		r.InventoryItemId, r.Metatag = sandbox.ItemWorldwide50MB, "a <\"tag\"> & an é"
	}))).GetPurchase()
	made := timestamppb.New(madeAt(last.GetId()))
	for _, c := range []struct {
		name   string
		filter *gigagatev1.ListPurchasesRequest
		want   []string
	}{
		{"none", &gigagatev1.ListPurchasesRequest{}, []string{last.GetId(), failedID, first.GetPurchaseId()}},
		{"more than the largest page", &gigagatev1.ListPurchasesRequest{PageSize: 501}, []string{last.GetId(), failedID, first.GetPurchaseId()}},
		{"state", &gigagatev1.ListPurchasesRequest{State: gigagatev1.PurchaseState_PURCHASE_STATE_FAILED}, []string{failedID}},
		{"state without purchases", &gigagatev1.ListPurchasesRequest{State: gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR}, nil},
		{"request id", &gigagatev1.ListPurchasesRequest{RequestId: failed.GetRequestId()}, []string{failedID}},
		{"customer of a register", &gigagatev1.ListPurchasesRequest{CustomerUid: first.GetCustomer().GetUid()}, []string{first.GetPurchaseId()}},
		{"customer that does not exist", &gigagatev1.ListPurchasesRequest{CustomerUid: "nobody"}, []string{failedID}},
		{"item", &gigagatev1.ListPurchasesRequest{ActivatedItemUid: first.GetActivatedItem().GetUid()}, []string{first.GetPurchaseId()}},
		{"item that was not sold here", &gigagatev1.ListPurchasesRequest{ActivatedItemUid: "nobody"}, nil},
		{"kind", &gigagatev1.ListPurchasesRequest{Kind: gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP}, []string{failedID}},
		{"kind without purchases", &gigagatev1.ListPurchasesRequest{Kind: gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP_WITH_PROFILE}, nil},
		{"inventory item", &gigagatev1.ListPurchasesRequest{InventoryItemId: sandbox.ItemWorldwide50MB}, []string{last.GetId()}},
		{"metatag", &gigagatev1.ListPurchasesRequest{Metatag: "a <\"tag\"> & an é"}, []string{last.GetId()}},
		{"metatag of nothing", &gigagatev1.ListPurchasesRequest{Metatag: "a"}, nil},
		{"trace", &gigagatev1.ListPurchasesRequest{TraceId: last.GetTraceId()}, []string{last.GetId()}},
		{"anomalies", &gigagatev1.ListPurchasesRequest{WithAnomalies: true}, nil},
		{"trace of nothing", &gigagatev1.ListPurchasesRequest{TraceId: strings.Repeat("0", 32)}, nil},
		{"from", &gigagatev1.ListPurchasesRequest{FromTime: made}, []string{last.GetId()}},
		{"to", &gigagatev1.ListPurchasesRequest{ToTime: made}, []string{failedID, first.GetPurchaseId()}},
		{"an empty time range", &gigagatev1.ListPurchasesRequest{FromTime: made, ToTime: made}, nil},
	} {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				r := g.list(t, d, c.filter)
				var got []string
				for _, p := range r.GetPurchases() {
					got = append(got, p.GetId())
				}
				if !slices.Equal(got, c.want) || r.GetNextPageToken() != "" {
					t.Errorf("got %v, want %v, next %q", got, c.want, r.GetNextPageToken())
				}
			})
		}
	}
}

func TestUnknownPurchase(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, d := range g.transports() {
		for _, message := range []proto.Message{getPurchase(noPurchase), waitPurchase(noPurchase, time.Minute), nothingSold(noPurchase), itemSold(noPurchase, "u")} {
			a := d.call(t, t.Context(), ask(message))
			a.check(t, want{codes.NotFound, http.StatusNotFound, "PURCHASE_NOT_FOUND", "NOT_APPLIED", nil})
		}
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}

func invalidPurchaseRequests() []invalid {
	cases := []invalid{
		{name: "list with a negative page size", message: &gigagatev1.ListPurchasesRequest{PageSize: -1}, fields: []string{"page_size"}},
		{name: "inventory with a negative page size", message: &gigagatev1.ListInventoryItemsRequest{PageSize: -1}, fields: []string{"page_size"}},
		{name: "wait for too long", message: waitPurchase(noPurchase, time.Minute+1), fields: []string{"timeout"}},
		{name: "wait backwards", message: waitPurchase(noPurchase, -1), fields: []string{"timeout"}},
		{name: "resolve without a decision", message: &gigagatev1.ResolvePurchaseRequest{Id: noPurchase, Operator: "o", Note: "n"}, fields: []string{"resolution"}},
		{name: "resolve by nobody", message: other(nothingSold(noPurchase), func(r *gigagatev1.ResolvePurchaseRequest) { r.Operator, r.Note = "", "" }), fields: []string{"operator", "note"}},
		{name: "resolve with a false decision", message: other(nothingSold(noPurchase), func(r *gigagatev1.ResolvePurchaseRequest) {
			r.Resolution = &gigagatev1.ResolvePurchaseRequest_NothingSold{}
		}), fields: []string{"nothing_sold"}},
	}
	for _, id := range []string{"a", strings.ToLower(noPurchase), noPurchase + "0", "8" + noPurchase[1:], noPurchase[1:] + "U", "..", "a/b"} {
		cases = append(cases,
			invalid{name: "get " + id, message: getPurchase(id), fields: []string{"id"}},
			invalid{name: "wait " + id, message: waitPurchase(id, 0), fields: []string{"id"}},
			invalid{name: "resolve " + id, message: nothingSold(id), fields: []string{"id"}},
			invalid{name: "page after " + id, message: &gigagatev1.ListPurchasesRequest{PageToken: id}, fields: []string{"page_token"}},
			invalid{name: "inventory after " + id, message: &gigagatev1.ListInventoryItemsRequest{PageToken: id}, fields: []string{"page_token"}},
		)
	}
	for field, values := range map[string][]string{
		"request_id":         {"a b", strings.Repeat("r", 65), `say"so`},
		"customer_uid":       {"a/b", strings.Repeat("c", 65), "89972000000000000012"},
		"activated_item_uid": {"a/b", strings.Repeat("c", 65)},
		"inventory_item_id":  {"a/b", strings.Repeat("c", 65)},
		"metatag":            {"line\nbreak", "bell\a", "over\u202eride", strings.Repeat("m", 4097)},
		"trace_id":           {callerTrace[1:], callerTrace + "0", strings.ToUpper(callerTrace), "zz"},
	} {
		for _, value := range values {
			message := &gigagatev1.ListPurchasesRequest{}
			set(message, field, value)
			cases = append(cases, invalid{name: "list " + field + " " + short(value), message: message, fields: []string{field}})
		}
	}
	for field, values := range map[string][]string{
		"activated_item_uid": {"", "a/b", strings.Repeat("i", 65)},
		"operator":           {"two words", "o\n", strings.Repeat("o", 65)},
		"note":               {"line\nbreak", "bell\a", strings.Repeat("n", 301)},
	} {
		for _, value := range values {
			message := itemSold(noPurchase, "u")
			set(message, field, value)
			cases = append(cases, invalid{name: "resolve with " + field + " " + short(value), message: message, fields: []string{field}})
		}
	}
	return cases
}

// Only gRPC can carry an invalid Timestamp, because REST has times as text. Only gRPC can carry an unknown number of a
// state, because REST cannot read it.
func TestInvalidFieldsOfListsOverGRPC(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	a := g.overGRPC(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{FromTime: &timestamppb.Timestamp{Seconds: 1 << 60}}))
	a.check(t, want{codes.InvalidArgument, 400, "INVALID_FIELD", "NOT_STARTED", []string{"from_time"}})
	a = g.overGRPC(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{ToTime: &timestamppb.Timestamp{Nanos: -1}}))
	a.check(t, want{codes.InvalidArgument, 400, "INVALID_FIELD", "NOT_STARTED", []string{"to_time"}})
	a = g.overGRPC(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{State: 7}))
	a.check(t, want{codes.InvalidArgument, 400, "INVALID_FIELD", "NOT_STARTED", []string{"state"}})
}

// Both transports say why a purchase is not settled. For a settled purchase they say nothing about that.
func TestReconciliationIsTold(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	g.inject(t, pathRegister, "commit_then_reset", nil)
	g.injectMany(t, "/gigastore/activations/activated-items", "list_fail", 1000, nil)
	id := g.overGRPC(t, t.Context(), ask(register())).purchaseID(t)
	for _, d := range g.transports() {
		read := g.read(t, d, id)
		r := read.GetReconciliation()
		if read.GetPurchase().GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN || r.GetMissing() == "" || r.GetNextReadTime() == nil {
			t.Errorf("%s: %v", d.name, read)
		}
	}
	settled := g.bought(t, register(mode(firstUse)))
	if r := g.read(t, g.transports()[0], settled).GetReconciliation(); r != nil {
		t.Errorf("a settled purchase has a reconciliation: %v", r)
	}
}
