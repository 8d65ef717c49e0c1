package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// visit makes a request for a page, as the operator p.
func visit(t *testing.T, p *access.Principal, path string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(access.With(t.Context(), p), http.MethodGet, Root+path, http.NoBody)
	r.SetPathValue("id", someID)
	return r
}

// TestWaitingPageIsSlow: each look at an open purchase makes the gateway read the vendor's whole list soon. A purchase can wait
// for an operator for days, and so can its page in a browser.
func TestWaitingPageIsSlow(t *testing.T) {
	t.Parallel()
	for state, want := range map[gigagatev1.PurchaseState]bool{
		gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN:      false,
		gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR: true,
	} {
		read := uncertain()
		read.Purchase.State = state
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"GetPurchase": read}}, nil)
		made, err := c.purchasePage(visit(t, anna, "purchases/"+someID))
		if err != nil || !made.Live || made.Pace >= needsPace != want {
			t.Errorf("the page of a purchase in %s looks every %v, %v", state, made.Pace, err)
		}
	}
}

// TestSpendingNeedsTheRight: an operator who may not see budgets does not see in the metrics what each caller spent.
func TestSpendingNeedsTheRight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{{nil, "12.50"}, {status.Error(codes.PermissionDenied, "this caller may not make this call"), "This caller may not make this call"}} {
		c := newScriptedConsole(t, &scripted{errors: map[string]error{"ListBudgets": test.err}}, nil)
		c.series.add(sample{at: time.Now(), spent: []spending{{Caller: "shop", Currency: "USD", Amount: 12.5}}}, nil)
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, visit(t, access.Open, ""))
		if text := shown.Body.String(); !strings.Contains(text, test.want) || strings.Contains(text, "12.50") != (test.err == nil) {
			t.Errorf("after %v the page is %d\n%s", test.err, shown.Code, text)
		}
	}
}

// TestNothingIsRevealedWithoutARecord: the services write an audit record only for an answer with codes. Without codes, personal
// data stays masked.
func TestNothingIsRevealedWithoutARecord(t *testing.T) {
	t.Parallel()
	const iccid, email, recorded = "89462000000000000001", "end.user@example.com", "An audit record says"
	bought := uncertain()
	bought.Purchase.CustomerUid = "customer-1"
	keeper := &access.Principal{Name: "anna", Rights: access.Rights{All: true, Methods: access.Everything, Secrets: true}}
	for _, code := range []string{"", "LPA:1$vendor.test$CODE"} {
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"GetPurchase": bought, "GetCustomer": &gigagatev1.GetCustomerResponse{
			Customer:     &gigagatev1.Customer{Uid: "customer-1", Email: email},
			EsimProfiles: []*gigagatev1.EsimProfile{{Uid: "esim-1", Iccid: iccid, ActivationCode: code}},
		}}}, nil)
		_, shown, err := send(t, c.revealSecrets, keeper, url.Values{"reason": {"ticket 17"}})
		if err != nil || shown.Code != http.StatusOK {
			t.Fatalf("%d, %v", shown.Code, err)
		}
		for _, text := range []string{iccid, email, recorded} {
			if shows := strings.Contains(shown.Body.String(), text); shows != (code != "") {
				t.Errorf("with the code %q, the page shows %q: %t", code, text, shows)
			}
		}
	}
}

// TestRefusedThawIsNoFreeze: a refused thaw is shown beside its freeze. The form of a freeze has nothing of it.
func TestRefusedThawIsNoFreeze(t *testing.T) {
	t.Parallel()
	shop := &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Caller{Caller: "shop"}}
	for _, frozen := range []bool{true, false} {
		s := &scripted{answers: map[string]proto.Message{}, errors: map[string]error{"Thaw": status.Error(codes.Unavailable, "the journal cannot be used")}}
		if frozen {
			s.answers["ListFreezes"] = &gigagatev1.ListFreezesResponse{Freezes: []*gigagatev1.Freeze{{Target: shop, Reason: "a leaked key"}}}
		}
		_, shown, err := send(t, newScriptedConsole(t, s, nil).thaw, anna, url.Values{
			"scope": {freezeCaller}, "name": {"shop"}, "reason": {"a new key"}, "confirmed": {"yes"},
		})
		if err != nil || !strings.Contains(shown.Body.String(), "The journal cannot be used") {
			t.Fatalf("frozen %t: %v\n%s", frozen, err, shown.Body)
		}
		thaw, freeze, _ := strings.Cut(shown.Body.String(), "<summary>Stop new purchases</summary>")
		if strings.Contains(freeze, "a new key") || strings.Contains(freeze, `value="shop"`) {
			t.Errorf("frozen %t: the form of a freeze has what was typed to thaw:\n%s", frozen, freeze)
		}
		if frozen != strings.Contains(thaw, `value="a new key"`) {
			t.Errorf("frozen %t: the form of the thaw is\n%s", frozen, thaw)
		}
	}
}

// slow is a vendor that uses up the time of an answer.
type slow struct{ scripted }

func (s *slow) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	if strings.HasSuffix(method, "/ResolvePurchase") {
		<-ctx.Done()
		return status.Error(codes.Unavailable, "the vendor cannot be read")
	}
	if ctx.Err() != nil {
		return status.Error(codes.Unavailable, "the journal cannot be used")
	}
	return s.scripted.Invoke(ctx, method, request, response, options...)
}

// TestAnswerThatTookTooLong: the page says why, and keeps what was typed, although the time of the request is over.
func TestAnswerThatTookTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		services := &slow{scripted{answers: map[string]proto.Message{"GetPurchase": uncertain()}, asked: map[string]proto.Message{}}}
		c, err := New(Config{Services: services, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		form := url.Values{"answer": {answerSold}, "item": {"package-1"}, "note": {"the portal"}, "operator": {"maria"}, "confirmed": {"yes"}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, purchasePath(someID)+"/settle", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, r)
		for _, want := range []string{"The vendor cannot be read", `value="the portal"`} {
			if !strings.Contains(shown.Body.String(), want) {
				t.Errorf("the page lacks %s: %d\n%s", want, shown.Code, shown.Body)
			}
		}
	})
}

// TestNothingIsSaidOfWhatWasNotExamined: a page of the list can be empty although older purchases fit. Then no page says that
// there is nothing, or that a purchase is the oldest.
func TestNothingIsSaidOfWhatWasNotExamined(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		list      *gigagatev1.ListPurchasesResponse
		path, say string
		not       []string
	}{
		{&gigagatev1.ListPurchasesResponse{NextPageToken: "more"}, "", "too many purchases are open", []string{"nothing waits"}},
		{&gigagatev1.ListPurchasesResponse{NextPageToken: "more"}, "needs", "Too many purchases are open", []string{"Nothing waits for you"}},
		{&gigagatev1.ListPurchasesResponse{Purchases: []*gigagatev1.Purchase{uncertain().Purchase}, NextPageToken: "more"}, "", "1 or more", []string{"The oldest uncertain purchase"}},
		{&gigagatev1.ListPurchasesResponse{Purchases: []*gigagatev1.Purchase{uncertain().Purchase}}, "", "The oldest uncertain purchase", []string{"or more"}},
		{&gigagatev1.ListPurchasesResponse{}, "needs", "Nothing waits for you", nil},
	} {
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"ListPurchases": test.list, "GetPurchase": uncertain()}}, nil)
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, visit(t, access.Open, test.path))
		if !strings.Contains(shown.Body.String(), test.say) {
			t.Errorf("the page %q does not say %q:\n%s", test.path, test.say, shown.Body)
		}
		for _, lie := range test.not {
			if strings.Contains(shown.Body.String(), lie) {
				t.Errorf("the page %q says %q:\n%s", test.path, lie, shown.Body)
			}
		}
	}
}

// TestJournalTileSaysWhatIsWrong: a journal that cannot write is not shown as one that writes.
func TestJournalTileSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for problem, want := range map[float64]string{0: "writes", 1: "cannot write"} {
		read := &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{
			{Name: metricProblem, Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Value: int64(problem)}}}},
			{Name: metricCommits, Data: metricdata.Histogram[float64]{}},
		}}}}
		one, has := newSample(time.Now(), read)
		if got := journalTile([]sample{one}, has); got.Value != want || (got.Tone == "bad") != (problem > 0) {
			t.Errorf("with the problem %v: %+v", problem, got)
		}
	}
}

// TestNoPastIsAnnounced: the time at which a purchase needs an operator can be over before a read notices it.
func TestNoPastIsAnnounced(t *testing.T) {
	t.Parallel()
	read := uncertain()
	read.Reconciliation = &gigagatev1.Reconciliation{OperatorTime: timestamppb.New(time.Now().Add(-time.Minute))}
	c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"GetPurchase": read}}, nil)
	shown := httptest.NewRecorder()
	c.ServeHTTP(shown, visit(t, access.Open, "purchases/"+someID+"/settle"))
	if !strings.Contains(shown.Body.String(), "It needs an operator now") {
		t.Errorf("the page is\n%s", shown.Body)
	}
}

// TestOnlyTheNewestSampleHasSpending: an hour of samples does not hold the spending of all callers hundreds of times.
func TestOnlyTheNewestSampleHasSpending(t *testing.T) {
	t.Parallel()
	series := newSeries()
	for range mostSamples + 2 {
		series.add(sample{spent: []spending{{Caller: "shop"}}}, nil)
	}
	samples, _ := series.all()
	for i, s := range samples {
		if (s.spent != nil) != (i == len(samples)-1) {
			t.Errorf("sample %d of %d has %v", i, len(samples), s.spent)
		}
	}
}

// TestNameIsNotIgnored: everything is what the form offers first. Who types the name of a caller does not mean everything.
func TestNameIsNotIgnored(t *testing.T) {
	t.Parallel()
	s := &scripted{}
	c := newScriptedConsole(t, s, nil)
	_, shown, err := send(t, c.freeze, anna, url.Values{"scope": {freezeEverything}, "name": {"shop"}, "reason": {"a leaked key"}, "confirmed": {"yes"}})
	if err != nil || s.asked["Freeze"] != nil || !strings.Contains(shown.Body.String(), errTwoTargets.Title) {
		t.Errorf("the console asked %v, %v\n%s", s.asked["Freeze"], err, shown.Body)
	}
}

// TestNoLimitIsKnown: the first page reads a hundred budgets. It does not say that there is no limit where it has not looked.
func TestNoLimitIsKnown(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "more"} {
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"ListBudgets": &gigagatev1.ListBudgetsResponse{NextPageToken: token}}}, nil)
		c.series.add(sample{at: time.Now(), spent: []spending{{Caller: "shop", Currency: "USD", Amount: 12.5}}}, nil)
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, visit(t, access.Open, ""))
		if text := shown.Body.String(); !strings.Contains(text, "12.50") || strings.Contains(text, "no limit") != (token == "") {
			t.Errorf("with the token %q the page is\n%s", token, text)
		}
	}
}
