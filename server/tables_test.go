package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// methodsOfContract are the full names of all methods: /gigagate.v1.CustomerService/GetCustomer.
func methodsOfContract() (methods []string) {
	protoregistry.GlobalFiles.RangeFilesByPackage("gigagate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods = append(methods, fmt.Sprintf("/%s/%s", service.FullName(), service.Methods().Get(j).Name()))
			}
		}
		return true
	})
	return methods
}

// Every method has a limit. The engine has the limit of the purchases.
func TestEveryMethodHasALimit(t *testing.T) {
	t.Parallel()
	limited := map[string]bool{
		gigagatev1.ActivationService_Register_FullMethodName: true,
		gigagatev1.ActivationService_TopUp_FullMethodName:    true,
	}
	for method := range places {
		limited[method] = true
	}
	for _, method := range methodsOfContract() {
		if !limited[method] {
			t.Errorf("%s has no limit in limits.go", method)
		}
	}
}

// Every method is named by the spec of some reason. Otherwise its documentation would have only the errors of all methods.
func TestEveryMethodHasErrorsOfItsOwn(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, spec := range specs {
		for _, call := range spec.GetCalls() {
			named[call] = true
		}
	}
	for _, method := range methodsOfContract() {
		if !named[path.Base(method)] {
			t.Errorf("no error_spec in outcome.proto names the call %s", path.Base(method))
		}
	}
}

// The strict reader finds every binding of the contract by grpc-gateway's pattern.
func TestEveryBindingIsARoute(t *testing.T) {
	t.Parallel()
	rpcs := map[string]bool{}
	for _, r := range routes {
		rpcs[r.rpc] = true
	}
	if methods := methodsOfContract(); len(methods) != len(rpcs) || len(routes) != len(rpcs) {
		t.Errorf("%d routes of %d methods; the contract has %d", len(routes), len(rpcs), len(methods))
	}
	for _, r := range routes {
		pattern := strings.ReplaceAll(r.template, "}", "=*}")
		if routeOf(r.method, pattern) != r || routeOf("PUT", pattern) != nil {
			t.Errorf("%s %s is not found", r.method, pattern)
		}
		if strings.Contains(r.template, "{") != (len(r.inPath) == 1) {
			t.Errorf("%s has %v in its path", r.template, r.inPath)
		}
	}
}

// Every reason of the contract has a spec. Its HTTP status is the usual one of its code, except for a wrong method, which
// has a special status in HTTP.
func TestEveryReasonHasASpec(t *testing.T) {
	t.Parallel()
	for number, name := range gigagatev1.ErrorReason_name {
		reason := gigagatev1.ErrorReason(number)
		usual := runtime.HTTPStatusFromCode(codeOf(reason))
		if reason == gigagatev1.ErrorReason_ERROR_REASON_METHOD_NOT_ALLOWED {
			usual = http.StatusMethodNotAllowed
		}
		switch spec := specs[reason]; {
		case number == 0 && spec == nil:
		case spec.GetSentence() == "" || codeOf(reason) == 0 || spec.GetEffect() == 0 || httpStatusOf(reason) != usual:
			t.Errorf("%s: %v", name, spec)
		}
	}
}

// Every reason that a caller can get has its own name in the contract.
func TestEveryReasonHasAName(t *testing.T) {
	t.Parallel()
	var met []purchase.Reason
	for _, reason := range gigastore.Reasons() {
		met = append(met, purchase.Reason(reason))
	}
	failed, _, guards := purchase.Reasons()
	met = append(append(met, failed...), guards...)
	named := map[gigagatev1.ErrorReason]bool{}
	for _, reason := range met {
		if got := reasonOf(reason); reasonText(got) != string(reason) || named[got] {
			t.Errorf("%s became %s", reason, got)
		}
		named[reasonOf(reason)] = true
	}
	for _, reason := range []purchase.Reason{"", "UNSPECIFIED", "NEW_WORD"} {
		if got := reasonText(reasonOf(reason)); got != "VENDOR_REFUSED" {
			t.Errorf("%q became %s", reason, got)
		}
	}
}

// Every event and reason of a history has its own name in the contract. A value from a later version becomes
// unspecified.
func TestEveryWordOfAHistoryHasAName(t *testing.T) {
	t.Parallel()
	types := map[gigagatev1.PurchaseEventType]bool{}
	for _, event := range append(purchase.Events(), "") {
		types[eventTypes[event]] = true
	}
	_, operator, _ := purchase.Reasons()
	named := map[gigagatev1.OperatorReason]bool{}
	for _, reason := range operator {
		named[operatorReasons[reason]] = true
	}
	for number, name := range gigagatev1.PurchaseEventType_name {
		if types[gigagatev1.PurchaseEventType(number)] != (number != 0) {
			t.Errorf("%s: %v", name, types)
		}
	}
	for number, name := range gigagatev1.OperatorReason_name {
		if named[gigagatev1.OperatorReason(number)] != (number != 0) {
			t.Errorf("%s: %v", name, named)
		}
	}
	later := entryToProto(purchase.HistoryEntry{Attempt: 1, Event: purchase.UnknownEvent, Reason: "SHREDDED", By: "console"})
	if want := (&gigagatev1.PurchaseEvent{Attempt: 1, Actor: &gigagatev1.Actor{}}); !proto.Equal(later, want) {
		t.Errorf("a later version's entry is %v", later)
	}
	if later := (&Server{}).purchaseToProto(purchase.Purchase{Reason: "SHREDDED"}); later.GetReason() != 0 || later.GetOperatorReason() != 0 {
		t.Errorf("a later version's purchase is %v", later)
	}
}

// An operator is shown as an operator, whatever the name.
func TestActors(t *testing.T) {
	t.Parallel()
	for by, want := range map[purchase.Actor]*gigagatev1.Actor{
		purchase.ByGateway:             {Type: gigagatev1.ActorType_ACTOR_TYPE_GATEWAY},
		purchase.ByReconciler:          {Type: gigagatev1.ActorType_ACTOR_TYPE_RECONCILER},
		purchase.ByOperator("maria"):   {Type: gigagatev1.ActorType_ACTOR_TYPE_OPERATOR, Operator: "maria"},
		purchase.ByOperator("gateway"): {Type: gigagatev1.ActorType_ACTOR_TYPE_OPERATOR, Operator: "gateway"},
	} {
		if got := actorToProto(by); !proto.Equal(got, want) {
			t.Errorf("%q is %v", by, got)
		}
	}
}

// An error from another package can hold any text. The log has only its type, and the caller sees nothing of it.
func TestForeignErrorsAreNotQuoted(t *testing.T) {
	t.Parallel()
	foreign := errors.New("CANARY")
	_, err := mapErrors(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: contractPrefix + "S/M"},
		func(context.Context, any) (any, error) { return nil, foreign })
	if !errors.Is(err, foreign) || strings.Contains(err.Error()+status.Convert(err).String(), "CANARY") {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("CANARY: %w", context.DeadlineExceeded), context.DeadlineExceeded.Error()},
		{&purchase.JournalError{Err: fmt.Errorf("%w: %w", purchase.ErrNotWritten, databaseError{})}, "SQLSTATE 53100"},
		{fmt.Errorf("%w: %w", purchase.ErrNotWritten, &fs.PathError{Op: "open", Path: "CANARY", Err: syscall.EIO}), "syscall.Errno"},
	} {
		if text := describeCause(c.err); text != c.want {
			t.Errorf("%v is described as %q, want %q", c.err, text, c.want)
		}
	}
}

// databaseError is like an error of a database driver.
type databaseError struct{}

func (databaseError) Error() string    { return "CANARY" }
func (databaseError) SQLState() string { return "53100" }

// The audit record of an activation has the effect that its caller is told.
func TestEffectOfActivation(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		done started
		err  error
	}{
		"APPLIED":       {},
		"NOT_APPLIED":   {done: started{already: true}},
		"NOT_STARTED":   {err: fmt.Errorf("wrapped: %w", readFailure(&gigastore.Error{Effect: gigastore.EffectNone}))},
		"INDETERMINATE": {err: errors.New("a panic")},
	} {
		if got := effectText(effectOfActivation(c.done, c.err)); got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
	if got := effectText(effectOfActivation(started{}, unknownActivation(nil))); got != "INDETERMINATE" {
		t.Errorf("an unknown outcome: %s", got)
	}
}
