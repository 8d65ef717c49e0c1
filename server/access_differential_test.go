package server_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// side is one of two equal gateways, with the transport that it is called over.
type side struct {
	*gateway
	transport
	journal purchase.Journal
	// purchases, items, customers and esims are what was sold so far, in order.
	purchases, items, customers, esims []string
	// secrets are the activation codes that each caller has bought.
	secrets map[string][]string
}

func identities() *callers {
	return newCallers(
		caller("all"),
		caller("heir", func(r *access.Rights) { r.InheritsDefault = true }),
		caller("blind", func(r *access.Rights) { r.Secrets = false }),
		caller("reader", func(r *access.Rights) {
			r.Methods = access.SetOf("GetPurchase", "ListPurchases", "WaitPurchase", "GetCustomer", "FindCustomer", "ListInventoryItems")
		}),
		caller("item", func(r *access.Rights) { r.Items = access.SetOf(sandbox.ItemWorldwide1GB) }),
		caller("set", func(r *access.Rights) { r.CountrySets = access.SetOf("WWW") }),
		caller("mode", func(r *access.Rights) { r.Modes = access.SetOf("FIRST_USE") }),
		caller("country", func(r *access.Rights) { r.Countries = access.SetOf("AT") }),
		caller("elsewhere", func(r *access.Rights) { r.SoldElsewhere = true }),
		onBudget("budget", access.Budget{Total: units(60), Zone: time.UTC}),
		onBudget("euros", access.Budget{Currency: "EUR", Total: units(60), Zone: time.UTC}),
		caller("nothing", func(r *access.Rights) { r.Methods = access.Set{} }),
		operator("anna"),
	)
}

// step is one generated call. It names purchases, items and customers by their number, because their ids differ.
type step struct {
	caller  string
	kind    int
	pick    int // of what was sold before; out of range: an id that nobody has
	request string
	edit    func(proto.Message)
}

// edits are the changes to a valid order, some of them wrong.
var edits = []func(proto.Message){
	func(proto.Message) {}, func(proto.Message) {}, func(proto.Message) {}, func(proto.Message) {},
	setting("activation_mode", gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE),
	setting("activation_mode", gigagatev1.ActivationMode_ACTIVATION_MODE_ON_DEMAND),
	setting("activation_mode", gigagatev1.ActivationMode(99)),
	setting("inventory_item_id", sandbox.ItemAustria3GB), setting("inventory_item_id", "no-such-item"), setting("inventory_item_id", "n o"),
	setting("user_country", "AT"), setting("user_country", "XX"), setting("metatag", ""), setting("metatag", strings.Repeat("m", 300)),
	setting("metatag", "another text"), setting("request_id", ""), setting("user_ip", "127.0.0.1"), setting("uid", "n o"), setting("id", "no"),
	setting("page_token", "no"), setting("operator", "otto"),
}

// setting sets a field of a message, if the message has it.
func setting(name string, value any) func(proto.Message) {
	return func(message proto.Message) {
		m := message.ProtoReflect()
		field := m.Descriptor().Fields().ByTextName(name)
		switch mode, isMode := value.(gigagatev1.ActivationMode); {
		case field == nil:
		case isMode:
			m.Set(field, protoreflect.ValueOfEnum(mode.Number()))
		default:
			m.Set(field, protoreflect.ValueOfString(value.(string)))
		}
	}
}

func randomStep(random *rand.Rand, n int, names []string) step {
	s := step{
		caller: names[random.IntN(len(names))], kind: random.IntN(15), pick: random.IntN(1 + n/8),
		request: fmt.Sprintf("request-%d", n), edit: edits[random.IntN(len(edits))],
	}
	if random.IntN(3) == 0 {
		s.request = fmt.Sprintf("request-%d", random.IntN(30)) // most callers have used these
	}
	return s
}

func pick(list []string, n int, otherwise string) string {
	if n < len(list) {
		return list[n]
	}
	return otherwise
}

// message is the step's request for this side.
func (s *side) message(step step) proto.Message {
	id := pick(s.purchases, step.pick, noPurchase)
	customer, item := pick(s.customers, step.pick, "no-customer"), pick(s.items, step.pick, "no-item")
	var message proto.Message
	switch step.kind {
	case 0, 1, 2:
		message = register(func(r *reg) { r.RequestId = step.request })
	case 3, 4:
		message = topUp(customer, func(r *top) { r.RequestId = step.request })
	case 5:
		message = topUp(customer, withProfile(), func(r *top) { r.RequestId = step.request })
	case 6:
		message = activate(item)
	case 7:
		message = getCustomer(customer)
	case 8:
		message = getPurchase(id)
	case 9:
		message = waitPurchase(id, 0)
	case 10:
		message = &gigagatev1.ListPurchasesRequest{CustomerUid: pick([]string{"", customer}, step.pick%2, "")}
	case 11:
		message = getBudget(step.caller)
	case 12:
		message = &gigagatev1.ListBudgetsRequest{}
	case 13:
		message = findCustomer(pick(s.esims, step.pick, noESIM))
	default:
		message = &gigagatev1.ResolvePurchaseRequest{
			Id: id, Operator: "anna", Note: "portal", Resolution: &gigagatev1.ResolvePurchaseRequest_ActivatedItemUid{ActivatedItemUid: item},
		}
	}
	step.edit(message)
	return message
}

var (
	anyID = regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)
	// ofOneSide are times, page tokens and traces.
	ofOneSide = regexp.MustCompile(`"20[0-9-]+T[0-9:.]+Z"|"nextPageToken": *"[^"]+"|"traceId": *"[0-9a-f]+"`)
)

// play makes the call and returns everything in its answer that must be the same over both transports. The reason is empty
// if the call succeeded.
func (s *side) play(t *testing.T, step step) (text, reason string) {
	t.Helper()
	a := s.call(t, t.Context(), ask(s.message(step)).as(step.caller))
	var profile *gigagatev1.EsimProfile
	var item *gigagatev1.ActivatedItem
	switch r := a.reply.(type) {
	case *gigagatev1.RegisterResponse:
		profile, item = r.GetEsimProfile(), r.GetActivatedItem()
		if uid := r.GetCustomer().GetUid(); uid != "" && a.replayed == "" {
			s.customers = append(s.customers, uid)
		}
	case *gigagatev1.TopUpResponse:
		profile, item = r.GetEsimProfile(), r.GetActivatedItem()
	}
	if uid := item.GetUid(); uid != "" && a.replayed == "" {
		s.items = append(s.items, uid)
	}
	if iccid := profile.GetIccid(); iccid != "" && a.replayed == "" {
		s.esims = append(s.esims, iccid)
	}
	if code := profile.GetActivationCode(); code != "" {
		s.secrets[step.caller] = append(s.secrets[step.caller], code)
	}
	for owner, codes := range s.secrets {
		for _, code := range codes {
			if owner != step.caller && step.caller != "anna" && strings.Contains(a.text, code) {
				t.Fatalf("%s: %s reads a code of %s: %s", s.name, step.caller, owner, a.text)
			}
		}
	}
	text = protojson.Format(a.reply)
	if a.outcome != nil {
		text = fmt.Sprint(a.code, a.info.GetReason(), a.info.GetMetadata(), protojson.Format(a.outcome))
	}
	text = anyID.ReplaceAllStringFunc(text, func(id string) string {
		n := slices.Index(s.purchases, id)
		if n < 0 {
			n, s.purchases = len(s.purchases), append(s.purchases, id)
		}
		return fmt.Sprintf("purchase-%d", n)
	})
	return a.replayed + ofOneSide.ReplaceAllString(text, "…"), a.info.GetReason()
}

// kept writes the journal as text.
func (s *side) kept(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for after := ""; ; {
		list, next, err := s.journal.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 100, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			fmt.Fprintln(&text, p.Key, p.Order.Kind, p.State, p.Reason, p.Attempt, p.Revision, p.ItemUID, p.CustomerUID)
		}
		if after = next; after == "" {
			return text.String()
		}
	}
}

// Two equal gateways get the same calls, good and bad, of every identity and of nobody. One gets them over gRPC and the
// other over REST. Both give the same answers, and keep the same journal.
func TestBothTransportsAllowTheSame(t *testing.T) {
	t.Parallel()
	const steps = 3000
	names := []string{"", "stranger"}
	for name := range identities().known {
		names = append(names, name, name)
	}
	slices.Sort(names)                    // the order of a map is random
	random := rand.New(rand.NewPCG(1, 2)) // the same calls every time
	var sides [2]*side
	for i := range sides {
		journal := newJournal()
		g := openFor(t, identities(), func(s *setup) { s.journal = journal })
		sides[i] = &side{gateway: g, transport: g.transports()[i], journal: journal, secrets: map[string][]string{}}
	}
	reasons := map[string]int{}
	for n := range steps {
		s := randomStep(random, n, names)
		grpc, why := sides[0].play(t, s)
		rest, _ := sides[1].play(t, s)
		if grpc != rest {
			t.Fatalf("step %d: %s by %q: over gRPC\n%s\nover REST\n%s", n, sides[0].message(s), s.caller, grpc, rest)
		}
		reasons[why]++
	}
	if grpc, rest := sides[0].kept(t), sides[1].kept(t); grpc != rest {
		t.Errorf("the journals differ:\n%s\n%s", grpc, rest)
	}
	for _, s := range sides {
		if logs := s.logs.String(); strings.Contains(logs, "Bearer ") {
			t.Errorf("%s: a credential is in the log", s.name)
		}
		if sales := len(s.box.Ledger().Sales); sales != strings.Count(s.kept(t), string(purchase.Succeeded)) || sales < steps/20 {
			t.Errorf("%s: %d sales, but the journal has others", s.name, sales)
		}
	}
	for _, expected := range []string{
		"UNAUTHENTICATED", "PERMISSION_DENIED", "PURCHASE_NOT_FOUND", "CUSTOMER_NOT_FOUND", "ACTIVATED_ITEM_NOT_FOUND",
		"REQUEST_ID_REUSED", "INVALID_FIELD", "NOT_RESOLVABLE", "BUDGET_EXCEEDED", "BUDGET_NOT_FOUND", "PURCHASE_PRICE_UNREADABLE", "",
	} {
		if reasons[expected] == 0 {
			t.Errorf("no call ended with %q: %v", expected, reasons)
		}
	}
	t.Logf("%d calls over each transport: %v", steps, reasons)
}
