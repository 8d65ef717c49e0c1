package server_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// rpc describes one call of the contract for gRPC and REST clients.
type rpc struct {
	method   string
	httpVerb string
	path     string // {uid}, {id} and {caller} are replaced by the request's fields
	reply    proto.Message
}

func rpcOf(req proto.Message) rpc {
	switch req.(type) {
	case *gigagatev1.RegisterRequest:
		return rpc{gigagatev1.ActivationService_Register_FullMethodName, "POST", "/v1/activations/register", &gigagatev1.RegisterResponse{}}
	case *gigagatev1.TopUpRequest:
		return rpc{gigagatev1.ActivationService_TopUp_FullMethodName, "POST", "/v1/activations/top-up", &gigagatev1.TopUpResponse{}}
	case *gigagatev1.ActivateRequest:
		return rpc{gigagatev1.ActivationService_Activate_FullMethodName, "POST", "/v1/activations/activated-items/{uid}/activate", &gigagatev1.ActivateResponse{}}
	case *gigagatev1.GetCustomerRequest:
		return rpc{gigagatev1.CustomerService_GetCustomer_FullMethodName, "GET", "/v1/customers/{uid}", &gigagatev1.GetCustomerResponse{}}
	case *gigagatev1.FindCustomerRequest:
		return rpc{gigagatev1.CustomerService_FindCustomer_FullMethodName, "POST", "/v1/customers:find", &gigagatev1.FindCustomerResponse{}}
	case *gigagatev1.ListInventoryItemsRequest:
		return rpc{gigagatev1.InventoryService_ListInventoryItems_FullMethodName, "GET", "/v1/inventory", &gigagatev1.ListInventoryItemsResponse{}}
	case *gigagatev1.GetPurchaseRequest:
		return rpc{gigagatev1.PurchaseService_GetPurchase_FullMethodName, "GET", "/v1/purchases/{id}", &gigagatev1.GetPurchaseResponse{}}
	case *gigagatev1.ListPurchasesRequest:
		return rpc{gigagatev1.PurchaseService_ListPurchases_FullMethodName, "GET", "/v1/purchases", &gigagatev1.ListPurchasesResponse{}}
	case *gigagatev1.WaitPurchaseRequest:
		return rpc{gigagatev1.PurchaseService_WaitPurchase_FullMethodName, "GET", "/v1/purchases/{id}:wait", &gigagatev1.WaitPurchaseResponse{}}
	case *gigagatev1.GetBudgetRequest:
		return rpc{gigagatev1.BudgetService_GetBudget_FullMethodName, "GET", "/v1/budgets/{caller}", &gigagatev1.GetBudgetResponse{}}
	case *gigagatev1.ListBudgetsRequest:
		return rpc{gigagatev1.BudgetService_ListBudgets_FullMethodName, "GET", "/v1/budgets", &gigagatev1.ListBudgetsResponse{}}
	case *gigagatev1.ResolvePurchaseRequest:
		return rpc{gigagatev1.PurchaseService_ResolvePurchase_FullMethodName, "POST", "/v1/purchases/{id}:resolve", &gigagatev1.ResolvePurchaseResponse{}}
	case *gigagatev1.FreezeRequest:
		return rpc{gigagatev1.FreezeService_Freeze_FullMethodName, "POST", "/v1/freezes:freeze", &gigagatev1.FreezeResponse{}}
	case *gigagatev1.ThawRequest:
		return rpc{gigagatev1.FreezeService_Thaw_FullMethodName, "POST", "/v1/freezes:thaw", &gigagatev1.ThawResponse{}}
	case *gigagatev1.ListFreezesRequest:
		return rpc{gigagatev1.FreezeService_ListFreezes_FullMethodName, "GET", "/v1/freezes", &gigagatev1.ListFreezesResponse{}}
	case *gigagatev1.ListAuditRecordsRequest:
		return rpc{gigagatev1.AuditService_ListAuditRecords_FullMethodName, "GET", "/v1/auditRecords", &gigagatev1.ListAuditRecordsResponse{}}
	}
	panic("no such request")
}

// question is one call to the gateway, over either transport.
type question struct {
	message proto.Message
	// replace, if set, changes the encoded request: it replaces the bytes of the first text by those of the second.
	replace [2]string
	// header is the HTTP header over REST and the metadata over gRPC.
	header http.Header
}

func ask(message proto.Message) question { return question{message: message} }

func (q question) encoded(data []byte) []byte {
	if q.replace[0] == "" {
		return data
	}
	return bytes.ReplaceAll(data, []byte(q.replace[0]), []byte(q.replace[1]))
}

// answer is what a caller got, over either transport.
type answer struct {
	code    codes.Code
	http    int // REST only
	header  http.Header
	traceID string
	// replayed is the value of gigagate-replayed: "true" if an earlier call recorded the answer, otherwise "".
	replayed string
	text     string        // everything that came back
	reply    proto.Message // the call's response; its fields are set only on success
	outcome  *gigagatev1.Outcome
	info     *errdetails.ErrorInfo
	bad      *errdetails.BadRequest
	quota    *errdetails.QuotaFailure
}

func (a *answer) setStatus(st *status.Status) {
	a.code = st.Code()
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *gigagatev1.Outcome:
			a.outcome = d
		case *errdetails.ErrorInfo:
			a.info = d
		case *errdetails.BadRequest:
			a.bad = d
		case *errdetails.QuotaFailure:
			a.quota = d
		}
	}
}

// transport is a way to call the gateway.
type transport struct {
	name string
	call func(*testing.T, context.Context, question) answer
}

func (g *gateway) transports() []transport {
	return []transport{{"grpc", g.overGRPC}, {"rest", g.overREST}}
}

// bytesCodec sends the given bytes, even if they are not valid protobuf.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func (g *gateway) overGRPC(t *testing.T, ctx context.Context, q question) answer {
	t.Helper()
	call := rpcOf(q.message)
	data, err := proto.Marshal(q.message)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range q.header {
		for _, value := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
		}
	}
	var back []byte
	var head, trailer metadata.MD
	err = g.conn.Invoke(ctx, call.method, q.encoded(data), &back,
		grpc.ForceCodec(bytesCodec{}), grpc.Header(&head), grpc.Trailer(&trailer))
	a := answer{reply: call.reply, traceID: strings.Join(append(head.Get("x-trace-id"), trailer.Get("x-trace-id")...), ","), replayed: strings.Join(head.Get("gigagate-replayed"), ",")}
	if err != nil {
		st := status.Convert(err)
		a.setStatus(st)
		a.text = st.String() + protojson.Format(st.Proto()) + metadataText(head) + metadataText(trailer)
		return a
	}
	if err := proto.Unmarshal(back, call.reply); err != nil {
		t.Fatal(err)
	}
	a.text = string(back)
	return a
}

// within calls over gRPC with a deadline. On a busy machine the gateway's margin can be too short. The caller then gets a
// bare DEADLINE_EXCEEDED without details, and within calls again. That is always safe.
func (g *gateway) within(t *testing.T, timeout time.Duration, message proto.Message) answer {
	t.Helper()
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		a := g.overGRPC(t, ctx, ask(message))
		cancel()
		if tries == 5 || a.code != codes.DeadlineExceeded || a.outcome != nil {
			return a
		}
	}
}

func metadataText(md metadata.MD) string {
	var b strings.Builder
	for name, values := range md {
		if !strings.HasSuffix(name, "-bin") { // -bin has the details, which the status has too
			b.WriteString(" " + name + ": " + strings.Join(values, ", "))
		}
	}
	return b.String()
}

func (g *gateway) overREST(t *testing.T, ctx context.Context, q question) answer {
	t.Helper()
	call := rpcOf(q.message)
	message := proto.Clone(q.message)
	path := call.path
	for _, name := range []string{"uid", "id", "caller"} {
		if !strings.Contains(path, "{"+name+"}") {
			continue
		}
		field := message.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
		id := message.ProtoReflect().Get(field).String()
		message.ProtoReflect().Clear(field)
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(string(q.encoded([]byte(id)))), 1)
	}
	if call.httpVerb == http.MethodGet {
		path += queryOf(t, q, message)
	}
	var body []byte
	if call.httpVerb == http.MethodPost && proto.Size(message) > 0 {
		data, err := protojson.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		body = q.encoded(data)
	}
	return g.http(t, ctx, call.httpVerb, path, body, q.header, call.reply)
}

// queryOf returns the fields of a message as the query of a GET.
func queryOf(t *testing.T, q question, message proto.Message) string {
	t.Helper()
	data, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if len(members) == 0 {
		return ""
	}
	query := url.Values{}
	for name, value := range members {
		query.Set(name, string(q.encoded(fmt.Append(nil, value))))
	}
	return "?" + query.Encode()
}

// http makes one HTTP request with a JSON body, and reads the answer into reply.
func (g *gateway) http(t *testing.T, ctx context.Context, verb, path string, body []byte, header http.Header, reply proto.Message) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, verb, g.restURL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Host = r.Header.Get("Host") // if it is empty, the host of the URL is used
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, resp, reply)
}

func readAnswer(t *testing.T, resp *http.Response, reply proto.Message) answer {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	var head bytes.Buffer
	_ = resp.Header.Write(&head)
	a := answer{
		http: resp.StatusCode, header: resp.Header, traceID: resp.Header.Get("X-Trace-Id"),
		replayed: strings.Join(resp.Header.Values("Gigagate-Replayed"), ","), reply: reply, text: head.String() + string(text),
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		t.Errorf("no newline at the end of %q", text)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if resp.StatusCode == http.StatusOK {
		if err := protojson.Unmarshal(text, reply); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return a
	}
	var st spb.Status
	if err := protojson.Unmarshal(text, &st); err != nil {
		t.Fatalf("%d: %v in %s", resp.StatusCode, err, text)
	}
	a.setStatus(status.FromProto(&st))
	return a
}

// want is what the contract's error table says about an answer.
type want struct {
	code   codes.Code
	http   int
	reason string
	effect string
	fields []string
}

// check compares an error with the table. It also compares the error's details with each other.
func (a answer) check(t *testing.T, w want) {
	t.Helper()
	if a.outcome == nil || a.info == nil {
		t.Fatalf("no details: %s", a.text)
	}
	got := want{
		code: a.code, http: a.http, reason: a.info.GetReason(), effect: a.info.GetMetadata()["effect"],
		fields: a.fields(),
	}
	if a.http == 0 {
		got.http = w.http
	}
	slices.Sort(w.fields)
	if got.code != w.code || got.http != w.http || got.reason != w.reason || got.effect != w.effect ||
		!slices.Equal(got.fields, w.fields) {
		t.Errorf("got  %+v\nwant %+v\n%s", got, w, a.text)
	}
	if r := strings.TrimPrefix(a.outcome.GetReason().String(), "ERROR_REASON_"); r != a.info.GetReason() {
		t.Errorf("Outcome says %s, ErrorInfo %s", r, a.info.GetReason())
	}
	if e := strings.TrimPrefix(a.outcome.GetEffect().String(), "EFFECT_"); e != got.effect {
		t.Errorf("Outcome says %s, ErrorInfo %s", e, got.effect)
	}
	if id := a.info.GetMetadata()["purchase_id"]; id != a.outcome.GetPurchaseId() {
		t.Errorf("Outcome says %q, ErrorInfo %q", a.outcome.GetPurchaseId(), id)
	}
	if len(a.bad.GetFieldViolations()) != len(a.outcome.GetFieldViolations()) {
		t.Errorf("Outcome and BadRequest disagree: %s", a.text)
	}
	for i, violation := range a.bad.GetFieldViolations() {
		other := a.outcome.GetFieldViolations()[i]
		if violation.GetField() != other.GetField() || violation.GetDescription() != other.GetDescription() || other.GetDescription() == "" {
			t.Errorf("Outcome says %v, BadRequest %v", other, violation)
		}
	}
	if a.info.GetDomain() != "gigagate.internal" || len(a.traceID) != 32 {
		t.Errorf("domain %q, trace %q", a.info.GetDomain(), a.traceID)
	}
	if w.effect == "NOT_APPLIED" && a.outcome.GetPurchaseId() != "" && (a.outcome.GetRetryDelay() != nil || a.header.Get("Retry-After") != "") {
		t.Errorf("a settled purchase has a retry delay: %s", a.text)
	}
	if a.http == http.StatusServiceUnavailable && w.effect == "INDETERMINATE" && a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func (a answer) fields() []string {
	var fields []string
	for _, violation := range a.outcome.GetFieldViolations() {
		fields = append(fields, violation.GetField())
	}
	slices.Sort(fields)
	return fields
}

// ok fails the test unless the call succeeded.
func (a answer) ok(t *testing.T) {
	t.Helper()
	if a.code != codes.OK || cmp.Or(a.http, http.StatusOK) != http.StatusOK {
		t.Fatalf("%v %d: %s", a.code, a.http, a.text)
	}
}

// echoesNothingOf fails the test if the answer contains a text of the request.
func (a answer) echoesNothingOf(t *testing.T, message proto.Message) {
	t.Helper()
	eachText(message.ProtoReflect(), func(text string) {
		if len(text) > 2 && strings.Contains(a.text, text) {
			t.Errorf("the answer contains %.40q: %s", text, a.text)
		}
	})
}

func eachText(message protoreflect.Message, visit func(string)) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() != nil:
			eachText(value.Message(), visit)
		case field.Kind() == protoreflect.StringKind:
			visit(value.String())
		}
		return true
	})
}
