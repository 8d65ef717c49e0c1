package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// scripted answers the calls of a console, and keeps their requests.
type scripted struct {
	answers map[string]proto.Message // by method, without the service
	errors  map[string]error
	asked   map[string]proto.Message
}

func (s *scripted) Invoke(_ context.Context, method string, request, response any, _ ...grpc.CallOption) error {
	name := method[strings.LastIndexByte(method, '/')+1:]
	s.asked[name] = request.(proto.Message)
	if answer := s.answers[name]; answer != nil {
		proto.Merge(response.(proto.Message), answer)
	}
	return s.errors[name]
}

func (*scripted) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

const someID = "01JDXW3B0000000000000000AB"

// uncertain is a purchase that can be settled.
func uncertain() *gigagatev1.GetPurchaseResponse {
	return &gigagatev1.GetPurchaseResponse{Purchase: &gigagatev1.Purchase{
		Id: someID, State: gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN, RequestId: "order-1", Caller: "shop",
		Metatag: "<script>alert(1)</script>",
	}}
}

func newScriptedConsole(t *testing.T, s *scripted, world http.Handler) *Console {
	t.Helper()
	s.asked = map[string]proto.Message{}
	c, err := New(Config{
		Services: s, Sandbox: world, SandboxItem: sandbox.ItemWorldwide1GB, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Ready: func(context.Context) error { return nil }, VendorProblems: func() []string { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// send sends a form to a handler, as the operator p.
func send(t *testing.T, do func(http.ResponseWriter, *http.Request) (string, error), p *access.Principal, form url.Values) (next string, shown *httptest.ResponseRecorder, err error) {
	t.Helper()
	r := httptest.NewRequestWithContext(access.With(t.Context(), p), http.MethodPost, Root, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetPathValue("id", someID)
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	shown = httptest.NewRecorder()
	next, err = do(shown, r)
	return next, shown, err
}

var anna = &access.Principal{Name: "anna", Rights: access.Rights{All: true, Methods: access.Everything}}

// TestSettleSendsTheAnswer: each form sends its own answer, under the name of the operator who sends it.
func TestSettleSendsTheAnswer(t *testing.T) {
	t.Parallel()
	sold := &gigagatev1.ResolvePurchaseRequest{Id: someID, Note: "portal", Resolution: &gigagatev1.ResolvePurchaseRequest_ActivatedItemUid{ActivatedItemUid: "package-1"}}
	nothing := &gigagatev1.ResolvePurchaseRequest{Id: someID, Note: "portal", Resolution: &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true}}
	forced := proto.Clone(nothing).(*gigagatev1.ResolvePurchaseRequest)
	forced.Force = true
	for _, test := range []struct {
		name, answer, typed string
		as                  *access.Principal
		want                *gigagatev1.ResolvePurchaseRequest
		operator            string
	}{
		{"sold", answerSold, "maria", access.Open, sold, "maria"},
		{"nothing sold", answerNothing, "maria", access.Open, nothing, "maria"},
		{"forced", answerForce, "maria", access.Open, forced, "maria"},
		{"another name", answerForce, "maria", anna, forced, "anna"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{answers: map[string]proto.Message{"GetPurchase": uncertain()}}
			c := newScriptedConsole(t, s, nil)
			next, _, err := send(t, c.settle, test.as, url.Values{
				"answer": {test.answer}, "item": {" package-1 "}, "note": {"portal"}, "operator": {test.typed}, "confirmed": {"yes"},
			})
			if err != nil || next != Root+"purchases/"+someID {
				t.Errorf("after the answer comes %q, %v", next, err)
			}
			want := proto.Clone(test.want).(*gigagatev1.ResolvePurchaseRequest)
			want.Operator = test.operator
			if got := s.asked["ResolvePurchase"]; !proto.Equal(got, want) {
				t.Errorf("the console asked\n%v, want\n%v", got, want)
			}
		})
	}
}

// TestNothingChangesWithoutAConfirmation: a form without the tick, or without an answer, changes nothing and says so.
func TestNothingChangesWithoutAConfirmation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method string
		do           func(*Console) func(http.ResponseWriter, *http.Request) (string, error)
		form         url.Values
	}{
		{"settle", "ResolvePurchase", func(c *Console) func(http.ResponseWriter, *http.Request) (string, error) { return c.settle }, url.Values{"answer": {answerForce}}},
		{"no answer", "ResolvePurchase", func(c *Console) func(http.ResponseWriter, *http.Request) (string, error) { return c.settle }, url.Values{"confirmed": {"yes"}}},
		{"freeze", "Freeze", func(c *Console) func(http.ResponseWriter, *http.Request) (string, error) { return c.freeze }, url.Values{"scope": {freezeEverything}}},
		{"thaw", "Thaw", func(c *Console) func(http.ResponseWriter, *http.Request) (string, error) { return c.thaw }, url.Values{"scope": {freezeEverything}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			everything := &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}
			s := &scripted{answers: map[string]proto.Message{
				"GetPurchase": uncertain(), "ListFreezes": &gigagatev1.ListFreezesResponse{Freezes: []*gigagatev1.Freeze{{Target: everything}}},
			}}
			c := newScriptedConsole(t, s, nil)
			test.form.Set("operator", "maria")
			test.form.Set("note", "typed before")
			test.form.Set("reason", "typed before")
			next, shown, err := send(t, test.do(c), access.Open, test.form)
			if err != nil || next != "" || shown.Code != http.StatusBadRequest {
				t.Errorf("the answer is %d, %q, %v", shown.Code, next, err)
			}
			if s.asked[test.method] != nil {
				t.Errorf("%s was called", test.method)
			}
			if page := shown.Body.String(); test.name != "no answer" && !strings.Contains(page, "typed before") {
				t.Errorf("the page forgot what was typed:\n%s", page)
			}
		})
	}
}

// TestRefusedAnswerIsExplained: the page says why, what to do, and has what was typed.
func TestRefusedAnswerIsExplained(t *testing.T) {
	t.Parallel()
	refused, err := status.New(codes.FailedPrecondition, "it is not shown that nothing was sold").
		WithDetails(&gigagatev1.Outcome{Reason: gigagatev1.ErrorReason_ERROR_REASON_ABSENCE_NOT_SHOWN})
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{
		answers: map[string]proto.Message{"GetPurchase": uncertain()},
		errors:  map[string]error{"ResolvePurchase": refused.Err()},
	}
	c := newScriptedConsole(t, s, nil)
	next, shown, err := send(t, c.settle, access.Open, url.Values{
		"answer": {answerNothing}, "note": {"the portal"}, "operator": {"maria"}, "confirmed": {"yes"},
	})
	if err != nil || next != "" || shown.Code != http.StatusBadRequest {
		t.Errorf("the answer is %d, %q, %v", shown.Code, next, err)
	}
	for _, want := range []string{"It is not shown that nothing was sold", "ABSENCE_NOT_SHOWN", "three complete reads", `value="the portal"`, "&lt;script&gt;"} {
		if !strings.Contains(shown.Body.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, shown.Body)
		}
	}
	if strings.Contains(shown.Body.String(), "<script>alert") {
		t.Error("a metatag is an element of the page")
	}
}

// TestFreezeSendsItsTarget: the form freezes what it says.
func TestFreezeSendsItsTarget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scope, name string
		want        *gigagatev1.FreezeTarget
	}{
		{freezeEverything, "", &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}},
		{freezeCaller, "shop", &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Caller{Caller: "shop"}}},
		{freezeItem, "item-1", &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_InventoryItemId{InventoryItemId: "item-1"}}},
		{"nonsense", "shop", nil},
	} {
		s := &scripted{}
		c := newScriptedConsole(t, s, nil)
		form := url.Values{"scope": {test.scope}, "name": {test.name}, "operator": {"maria"}, "reason": {"a leaked key"}, "confirmed": {"yes"}}
		if next, _, err := send(t, c.freeze, access.Open, form); err != nil || next != moneyPath {
			t.Errorf("after freezing %s comes %q, %v", test.scope, next, err)
		}
		want := &gigagatev1.FreezeRequest{Target: test.want, Operator: "maria", Reason: "a leaked key"}
		if got := s.asked["Freeze"]; !proto.Equal(got, want) {
			t.Errorf("the console asked %v, want %v", got, want)
		}
	}
}

// TestEveryQuestionIsAsked: each reason that needs an operator has its question.
func TestEveryQuestionIsAsked(t *testing.T) {
	t.Parallel()
	for number, name := range gigagatev1.OperatorReason_name {
		if _, ok := questions[gigagatev1.OperatorReason(number)]; !ok && number != 0 {
			t.Errorf("%s has no question", name)
		}
	}
}

// TestAnomaliesAreShown: the page Needs you has the settled purchases with anomalies, and says what each of them means.
func TestAnomaliesAreShown(t *testing.T) {
	t.Parallel()
	const sold, failed = gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, gigagatev1.PurchaseState_PURCHASE_STATE_FAILED
	found := &gigagatev1.PurchaseEvent{
		Event: gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_FOUND, Contradicts: true, ActivatedItemUid: "package-7",
	}
	expensive := &gigagatev1.PurchaseEvent{
		Event: gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED, Explanation: "the reseller paid more than the limit on the price",
	}
	for _, test := range []struct {
		name  string
		state gigagatev1.PurchaseState
		event *gigagatev1.PurchaseEvent
		want  []string
	}{
		{"sold after a failure", failed, found, []string{"This purchase failed, but the vendor sold a package for it.", contradiction, "package-7"}},
		{"another package", sold, found, []string{"This purchase succeeded, but the vendor also said something else.", contradiction, "package-7"}},
		{"expensive", sold, expensive, []string{"Something about this purchase is not as it was ordered.", "The reseller paid more than the limit"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &gigagatev1.Purchase{Id: someID, State: test.state, Anomalies: 1, SettleTime: timestamppb.Now()}
			s := &scripted{answers: map[string]proto.Message{
				"ListPurchases": &gigagatev1.ListPurchasesResponse{Purchases: []*gigagatev1.Purchase{uncertain().GetPurchase(), p}},
				"GetPurchase":   &gigagatev1.GetPurchaseResponse{Purchase: p, History: []*gigagatev1.PurchaseEvent{test.event}},
			}}
			c := newScriptedConsole(t, s, nil)
			now := time.Now()
			c.config.Now = func() time.Time { return now }
			q, err := c.anomalies(httptest.NewRequestWithContext(access.With(t.Context(), anna), http.MethodGet, Root, http.NoBody))
			if err != nil || q.Count != 1 {
				t.Fatalf("%d are shown, %v", q.Count, err)
			}
			asked := &gigagatev1.ListPurchasesRequest{WithAnomalies: true, FromTime: timestamppb.New(now.Add(-anomaliesShown)), PageSize: mostListed}
			if got := s.asked["ListPurchases"]; !proto.Equal(got, asked) {
				t.Errorf("the console asked %v, want %v", got, asked)
			}
			shown, err := c.render("needs", needs{Anomalies: q})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(test.want, "about 1 settled purchase.", "Nothing waits for you.", someID) {
				if !strings.Contains(string(shown), want) {
					t.Errorf("the page lacks %q:\n%s", want, shown)
				}
			}
			if page := c.purchaseData(s.answers["GetPurchase"].(*gigagatev1.GetPurchaseResponse)); !strings.Contains(page.Asks, test.want[0]) || strings.HasPrefix(page.Sentence, "Nothing") {
				t.Errorf("the page of the purchase says %q, %q", page.Sentence, page.Asks)
			}
		})
	}
}

// TestAnomaliesAreListed: the list of purchases can show only those with anomalies.
func TestAnomaliesAreListed(t *testing.T) {
	t.Parallel()
	s := &scripted{}
	c := newScriptedConsole(t, s, nil)
	made, err := c.purchasesPage(httptest.NewRequestWithContext(t.Context(), http.MethodGet, listAddress("order-1", "request_id", withAnomalies, ""), http.NoBody))
	want := &gigagatev1.ListPurchasesRequest{WithAnomalies: true, RequestId: "order-1", PageSize: purchasesOnPage}
	if got := s.asked["ListPurchases"]; err != nil || !proto.Equal(got, want) {
		t.Errorf("the console asked %v, want %v; %v", got, want, err)
	}
	states := made.Data.(purchasesData).States
	if last := states[len(states)-1]; !last.Chosen || last.Value != withAnomalies {
		t.Errorf("the form forgot the choice: %v", states)
	}
}

// TestScenariosFitTheSandbox: the sandbox can play each scenario, and its page shows what is armed.
func TestScenariosFitTheSandbox(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios {
		world, err := sandbox.New(sandbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = world.Close() })
		s := &scripted{answers: map[string]proto.Message{"Register": &gigagatev1.RegisterResponse{PurchaseId: someID}}}
		c := newScriptedConsole(t, s, world)
		next, _, err := send(t, c.playScenario, access.Open, url.Values{"scenario": {scenario.Name}})
		if err != nil || next != Root+"purchases/"+someID {
			t.Errorf("%s leads to %q, %v", scenario.Name, next, err)
		}
		if armed := len(world.ArmedFaults()); armed != len(scenario.Faults) {
			t.Errorf("%s arms %d faults, want %d", scenario.Name, armed, len(scenario.Faults))
		}
		if _, _, err := send(t, c.repair, access.Open, nil); err != nil || len(world.ArmedFaults()) != 0 {
			t.Errorf("%s is not repaired: %v", scenario.Name, err)
		}
	}
}

// TestBars: the parts of a bar are those of the limit, and never more than all of it.
func TestBars(t *testing.T) {
	t.Parallel()
	money := func(amount string) *gigagatev1.Money { return &gigagatev1.Money{CurrencyCode: "USD", Amount: amount} }
	for _, test := range []struct {
		spent, reserved string
		limit           *gigagatev1.Money
		wantSpent       float64
		wantReserved    float64
		tight           bool
	}{
		{"25", "25", money("100"), 25, 25, false},
		{"90", "0", money("100"), 90, 0, true},
		{"150", "50", money("100"), 100, 0, true},
		{"5", "5", nil, 0, 0, false},
	} {
		b := newPeriodBar(&gigagatev1.BudgetPeriod{Spent: money(test.spent), Reserved: money(test.reserved), Limit: test.limit})
		if b.SpentShare != test.wantSpent || b.ReservedShare != test.wantReserved || b.Tight != test.tight {
			t.Errorf("%s spent and %s reserved of %v: %v", test.spent, test.reserved, test.limit, b)
		}
	}
}

// TestWithCents: amounts keep all their decimals, and have at least two.
func TestWithCents(t *testing.T) {
	t.Parallel()
	for amount, want := range map[string]string{"4": "4.00", "4.2": "4.20", "4.25": "4.25", "0.123456": "0.123456"} {
		if got := withCents(&gigagatev1.Money{Amount: amount}); got != want {
			t.Errorf("%s is shown as %s, want %s", amount, got, want)
		}
	}
	if got := withCents(nil); got != "" {
		t.Errorf("no amount is shown as %s", got)
	}
}
