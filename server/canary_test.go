package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// canaries are texts that must stay out of spans, logs and errors.
type canaries struct {
	mu    sync.Mutex
	texts map[string]string // from the kind of data to its text
}

// written is the kind of the canary that an operator may see. The gateway keeps the vendor's words, except what looks
// personal or secret.
const written = "written by us"

func newCanaries() *canaries {
	return &canaries{texts: map[string]string{
		"e-mail":        "canary-mail@mail.example",
		"IP":            "198.51.100.77",
		"IPv6":          "2001:db8::ca:1a",
		"forwarded IP":  "198.51.100.88",
		"client secret": "test-secret",
		"basic auth":    base64.StdEncoding.EncodeToString([]byte("test:test-secret")),
		"country":       `\"GR\"`, // as it is written in a logged request
		written:         "CANARY",
	}}
}

func (c *canaries) add(what, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != "" {
		c.texts[what+" "+fmt.Sprint(len(c.texts))] = text
	}
}

// wrap collects the access tokens that are sent to the vendor.
func (c *canaries) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			c.mu.Lock()
			c.texts["token"] = token
			c.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (c *canaries) addReply(a answer) {
	if r, ok := a.reply.(interface{ GetCustomer() *gigagatev1.Customer }); ok {
		c.add("profile URL", r.GetCustomer().GetProfileUrl())
	}
	if r, ok := a.reply.(interface {
		GetEsimProfile() *gigagatev1.EsimProfile
	}); ok {
		e := r.GetEsimProfile()
		c.add("activation code", e.GetActivationCode())
		c.add("Apple link", e.GetAppleUniversalLink())
		c.add("installation URL", e.GetInstallationUrl())
		c.add("IMSI", e.GetImsi())
		c.add("ICCID", e.GetIccid())
	}
}

func (c *canaries) absentFrom(t *testing.T, where, text string, allowed ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, canary := range c.texts {
		if slices.Contains(allowed, what) {
			continue
		}
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("%s in %s: …%s", what, where, text[max(i-300, 0):min(i+len(canary)+100, len(text))])
		}
	}
}

// callerHeaders are headers in which a caller can write anything.
var callerHeaders = http.Header{
	"X-Forwarded-For": {"198.51.100.88"}, "X-Forwarded-Host": {"CANARY.mail.example"}, "Forwarded": {"for=198.51.100.88"},
	"User-Agent": {"CANARY/1"}, "Cookie": {"CANARY=1"}, "Authorization": {"Bearer CANARY"}, "X-Real-Ip": {"198.51.100.88"},
	"Baggage": {"k=CANARY"}, "Tracestate": {"k=v"}, "Referer": {"https://CANARY"}, "Grpc-Metadata-X": {"CANARY"},
	"Host": {"CANARY.mail.example"},
}

func TestNothingPersonalOrSecretIsTold(t *testing.T) {
	t.Parallel()
	c := newCanaries()
	g := open(t, setup{timeout: time.Second, quiet: 100 * time.Millisecond, wrap: c.wrap})
	personal := func(r *reg) {
		r.UserIp = "198.51.100.77"
		r.CustomerEmail = new("canary-mail@mail.example")
		r.Metatag = "CANARY order"
	}
	var errs, kept strings.Builder
	var traces []string
	call := func(d transport, message proto.Message) answer {
		q := ask(message)
		q.header = callerHeaders.Clone()
		if d.name == "grpc" {
			q.header.Del("Host") // cannot be metadata
		}
		a := d.call(t, t.Context(), q)
		traces = append(traces, a.traceID)
		c.addReply(a)
		if a.outcome != nil {
			errs.WriteString(a.text)
		}
		return a
	}
	for _, method := range []string{"/gigagate.v1.ActivationService/CANARY", "/CANARY.Service/Method"} {
		err := g.conn.Invoke(t.Context(), method, &reg{}, &reg{})
		var a answer
		a.setStatus(status.Convert(err))
		if a.code != codes.Unimplemented || a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND {
			t.Errorf("%s: %v, %v", method, err, a.outcome)
		}
	}
	sold := ""
	for _, d := range g.transports() {
		a := call(d, register(personal, mode(onDemand)))
		a.ok(t)
		r := a.reply.(*gigagatev1.RegisterResponse)
		sold = r.GetPurchaseId()
		customer, item := r.GetCustomer().GetUid(), r.GetActivatedItem().GetUid()
		call(d, topUp(customer, func(r *top) { r.Metatag = "CANARY order" }, withProfile(func(p *profile) { p.UserIp = "2001:db8::ca:1a" }))).ok(t)
		call(d, getCustomer(customer)).ok(t)
		call(d, findCustomer(r.GetEsimProfile().GetIccid())).ok(t)
		call(d, activate(item)).ok(t)
		call(d, &gigagatev1.ListInventoryItemsRequest{}).ok(t)
		again := register(personal)
		call(d, again).ok(t)
		call(d, again).ok(t)
		call(d, other(again, func(r *reg) { r.CustomerEmail = new("canary-mail2@mail.example") }))
		call(d, register(personal, func(r *reg) { r.MaxPurchasePrice = usd("0") }))

		// The same data in wrong places.
		call(d, register(personal, func(r *reg) { r.UserCountry = "canary-mail@mail.example" }))
		call(d, register(personal, func(r *reg) { r.CustomerEmail = new("198.51.100.77 CANARY") }))
		call(d, topUp("canary-mail@mail.example", withProfile(func(p *profile) { p.UserIp = "CANARY" })))
		call(d, activate("CANARY@mail"))
		call(d, getCustomer("../CANARY"))
		call(d, findCustomer("CANARY"))
		call(d, findCustomer(r.GetEsimProfile().GetIccid()+"0"))
		for _, message := range []proto.Message{
			getCustomer(r.GetEsimProfile().GetIccid()), topUp(r.GetEsimProfile().GetIccid()),
			&gigagatev1.ListPurchasesRequest{CustomerUid: r.GetEsimProfile().GetIccid()},
		} {
			if a := call(d, message); a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD || !strings.Contains(a.text, "FindCustomer") {
				t.Errorf("an ICCID as the uid of a customer, over %s: %s", d.name, a.text)
			}
		}
		bad := question{message: register(personal, func(r *reg) { r.Metatag = "MARK" }), replace: [2]string{"MARK", "\xffCANARY"}}
		errs.WriteString(d.call(t, t.Context(), bad).text)

		// The same data in the vendor's answers.
		for _, fault := range []struct {
			name   string
			params params
		}{
			{"refuse", params{"message": "no CANARY for canary-mail@mail.example at 198.51.100.77"}},
			{"refuse", params{"message": "CANARY", "shape": "plainText"}},
			{"status", params{"code": 400, "body": `{"title":"CANARY","price match":"CANARY"}`, "contentType": "application/CANARY"}},
			{"status", params{"code": 500, "body": "CANARY", "contentType": "text/html"}},
			{"status", params{"code": 200, "body": `{"status":"CANARY","activatedItem":{"uid":"x","metatag":"CANARY"}}`, "contentType": "application/json", "commit": true}},
			{"redirect", params{"location": "https://sandbox.invalid/CANARY"}},
			{"foreign_metatag", params{"metatag": "CANARY"}},
			{"garble", nil},
			{"truncate", nil},
			{"commit_then_reset", nil},
			{"hang", nil},
			{"unauthorized", nil},
		} {
			g.inject(t, pathRegister, fault.name, fault.params)
			call(d, register(personal))
			call(d, waitPurchase(sold, 0)).ok(t)
			if strings.Contains(fault.name, "metatag") {
				continue
			}
			g.inject(t, pathCustomers+customer, fault.name, fault.params)
			call(d, getCustomer(customer))
			g.inject(t, pathSearch, fault.name, fault.params)
			call(d, findCustomer(r.GetEsimProfile().GetIccid()))
			g.inject(t, pathItems+item+"/activate", fault.name, fault.params)
			call(d, activate(item))
		}
	}
	for _, d := range g.transports() {
		listed := call(d, &gigagatev1.ListPurchasesRequest{PageSize: 500})
		kept.WriteString(listed.text)
		for _, p := range listed.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases() {
			kept.WriteString(call(d, getPurchase(p.GetId())).text)
			kept.WriteString(call(d, waitPurchase(p.GetId(), 0)).text)
			resolve := nothingSold(p.GetId())
			resolve.Operator, resolve.Note = "CANARY", "CANARY ticket"
			kept.WriteString(call(d, resolve).text)
		}
		call(d, getPurchase("canary-mail@mail.example"))
		call(d, &gigagatev1.ListPurchasesRequest{RequestId: "CANARY 198.51.100.77", PageToken: "canary-mail@mail.example"})
		call(d, other(nothingSold(sold), func(r *gigagatev1.ResolvePurchaseRequest) { r.Operator = "canary-mail@mail.example" }))
	}
	for _, r := range []struct{ verb, path, body string }{
		{"GET", "/CANARY", ""},
		{"GET", "/v1/purchases?state=CANARY", ""},
		{"GET", "/v1/purchases?requestId=CANARY%00&canary-mail@mail.example=CANARY", ""},
		{"GET", "/v1/purchases/CANARY:wait?timeout=CANARY", ""},
		{"POST", "/v1/purchases/CANARY:resolve", `{"note":CANARY}`},
		{"GET", "/v1/CANARY", ""},
		{"GET", "/v1/inventory?limit=CANARY", ""},
		{"GET", "/v1/customers/CANARY%2F..", ""},
		{"GET", "/v1/customers/%43ANARY%00", ""},
		{"CANARY", "/v1/inventory", ""},
		{"CANARY", "/CANARY", ""},
		{"GET", "/v1/inventory", "CANARY"},
		{"POST", restRegister, "CANARY"},
		{"POST", restRegister, `{"metatag":CANARY}`},
		{"POST", restRegister, `{"CANARY@mail.example":1}`},
		{"POST", restRegister, `{"requestId":{"CANARY":"CANARY"}}`},
		{"POST", restRegister + "?CANARY", "{}"},
		{"POST", "/v1/activations/activated-items/CANARY%20/activate", ""},
	} {
		a := g.http(t, t.Context(), r.verb, r.path, []byte(r.body), callerHeaders, nil)
		errs.WriteString(a.text)
		traces = append(traces, a.traceID)
	}

	if !strings.Contains(c.texts["token"], "sandbox.") {
		t.Errorf("no token was seen: %v", c.texts)
	}
	for _, id := range traces {
		g.spans.until(t, "a span of "+id, func() bool {
			for _, span := range g.spans.GetSpans() {
				if span.SpanContext.TraceID().String() == id && !span.Parent.IsValid() {
					return true
				}
			}
			return false
		})
	}
	c.absentFrom(t, "errors", errs.String())
	c.absentFrom(t, "purchases", kept.String(), written)
	if !strings.Contains(kept.String(), "ANSWERED_REFUSED") || !strings.Contains(kept.String(), "ANSWERED_UNKNOWN") {
		t.Error("the histories were not read")
	}
	for _, span := range g.spans.GetSpans() {
		text := fmt.Sprintf("%s %v %v %v %v %v", span.Name, span.Attributes, span.Events, span.Status, span.Links, span.Resource)
		c.absentFrom(t, "span "+span.SpanContext.TraceID().String(), text)
	}
	c.absentFrom(t, "log", g.logs.String())
	for _, useful := range []string{`\"request_id\":`, `\"inventory_item_id\":`, `\"customer_uid\":`, `ACTIVATION_MODE_ON_DEMAND`, `\"amount\":`} {
		if !strings.Contains(g.logs.String(), useful) {
			t.Errorf("no request in the log has %s: is it at level debug?", useful)
		}
	}
}
