package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// notCompared are the fields that do not make two orders different, with the reasons.
var notCompared = map[string]string{
	"request_id":          "orders are compared only if it is the same",
	"user_ip":             "a phone that roams changes its address",
	"new_profile.user_ip": "a phone that roams changes its address",
}

// notSent are the fields that are not sent to the vendor, with the reasons.
var notSent = map[string]string{
	"request_id":                       "the vendor has a hash of it, in a header",
	"max_purchase_price.currency_code": "only the gateway uses this guard",
	"max_purchase_price.amount":        "only the gateway uses this guard",
}

// twoValues are two valid values of a text whose rule does not accept every text. A path without an entry uses the entry
// of its last name.
var twoValues = map[string][2]string{
	"inventory_item_id":         {sandbox.ItemWorldwide1GB, sandbox.ItemWorldwide50MB},
	"user_ip":                   {"203.0.113.24", "203.0.113.25"},
	"user_country":              {"GR", "AT"},
	"customer_email":            {"one@example.com", "two@example.com"},
	"currency_code":             {"USD", "EUR"},
	"expected_price.amount":     {"9.99", "9.98"},
	"max_purchase_price.amount": {"900", "901"},
}

// Every field of an order is compared and sent, or it is named above. If a new field is forgotten, two orders that differ
// only in it count as the same order, or the vendor never sees it.
func TestEveryFieldOfAnOrderIsComparedAndSent(t *testing.T) {
	t.Parallel()
	for _, empty := range []proto.Message{&gigagatev1.RegisterRequest{}, &gigagatev1.TopUpRequest{}} {
		t.Run(string(empty.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			t.Parallel()
			bodies := &paidBodies{}
			g := open(t, setup{wrap: bodies.wrap})
			customer := g.sold(t).GetCustomer().GetUid()
			whole := proto.Clone(empty)
			fill(whole.ProtoReflect(), "")
			if _, ok := whole.(*top); ok {
				set(whole, "customer_uid", customer)
			}
			set(whole, "request_id", requestID())
			g.overGRPC(t, t.Context(), ask(whole)) // even if it is refused, the request id belongs to this order
			sent := bodies.last(t)
			for _, path := range leaves(whole.ProtoReflect(), "") {
				changed := proto.Clone(whole)
				change(t, changed, path)
				if _, exempt := notCompared[path]; !exempt {
					a := g.overGRPC(t, t.Context(), ask(changed))
					if fields := a.fields(); a.info.GetReason() != "REQUEST_ID_REUSED" || len(fields) != 1 || !isAt(path, fields[0]) {
						t.Errorf("orders that differ only in %s are taken as the same, or as different in %v: %s", path, fields, a.text)
					}
				}
				if _, exempt := notSent[path]; !exempt {
					set(changed, "request_id", requestID())
					g.overGRPC(t, t.Context(), ask(changed)) // the test looks at the request, so a refusal does not matter
					if reflect.DeepEqual(sent, bodies.last(t)) {
						t.Errorf("the vendor never sees %s", path)
					}
				}
			}
		})
	}
}

// isAt reports whether a violation at field is about path: field is path itself or a message that contains path.
func isAt(path, field string) bool { return path == field || strings.HasPrefix(path, field+".") }

// fill sets every field of a message and of the messages in it.
func fill(message protoreflect.Message, path string) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		if field.Message() != nil {
			fill(message.Mutable(field).Message(), at)
			continue
		}
		message.Set(field, valueAt(field, at, 0))
	}
}

// leaves lists the paths of all fields that are not messages.
func leaves(message protoreflect.Message, path string) []string {
	var paths []string
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		if field.Message() != nil {
			paths = append(paths, leaves(message.Get(field).Message(), at)...)
			continue
		}
		paths = append(paths, at)
	}
	return paths
}

// change sets the field at path to its second value.
func change(t *testing.T, message proto.Message, path string) {
	t.Helper()
	reflected, names := message.ProtoReflect(), strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		reflected = reflected.Mutable(reflected.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
	}
	field := reflected.Descriptor().Fields().ByName(protoreflect.Name(names[len(names)-1]))
	reflected.Set(field, valueAt(field, path, 1))
}

// valueAt is the first or the second value of a field.
func valueAt(field protoreflect.FieldDescriptor, path string, which int) protoreflect.Value {
	kind := field.Kind()
	if kind == protoreflect.BoolKind {
		return protoreflect.ValueOfBool(which == 0)
	}
	if kind == protoreflect.EnumKind {
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(which + 1))
	}
	if kind == protoreflect.StringKind {
		for _, name := range []string{path, string(field.Name())} {
			if values, ok := twoValues[name]; ok {
				return protoreflect.ValueOfString(values[which])
			}
		}
		return protoreflect.ValueOfString([2]string{"one", "two"}[which])
	}
	panic("the test has no values for " + path)
}

// paidBodies keeps the body of the newest paid request.
type paidBodies struct {
	mu   sync.Mutex
	kept []byte
}

func (b *paidBodies) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			b.mu.Lock()
			b.kept = body
			b.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	})
}

// last takes the newest body. It removes the mark, which differs in every purchase.
func (b *paidBodies) last(t *testing.T) map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var members map[string]any
	if err := json.Unmarshal(b.kept, &members); err != nil {
		t.Fatalf("no paid request: %v", err)
	}
	b.kept = nil
	metatag, _ := members["metatag"].(string)
	_, members["metatag"], _ = strings.Cut(metatag, " ")
	return members
}
