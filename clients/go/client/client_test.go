package client_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// fickle answers Register with codes, one after the other, and then with a sale.
type fickle struct {
	gigagatev1.UnimplementedActivationServiceServer
	mu       sync.Mutex
	codes    []codes.Code
	requests []string
	left     time.Duration // of the deadline of the newest call
}

func (f *fickle) Register(ctx context.Context, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, req.GetRequestId())
	if deadline, ok := ctx.Deadline(); ok {
		f.left = time.Until(deadline)
	}
	if len(f.codes) == 0 {
		return &gigagatev1.RegisterResponse{}, nil
	}
	code := f.codes[0]
	f.codes = f.codes[1:]
	told, err := status.New(code, "fickle").WithDetails(&gigagatev1.Outcome{PurchaseId: "the-purchase"})
	if err != nil {
		return nil, err
	}
	return nil, told.Err()
}

func (f *fickle) serve(t *testing.T) gigagatev1.ActivationServiceClient {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	gigagatev1.RegisterActivationServiceServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := client.New(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return gigagatev1.NewActivationServiceClient(conn)
}

func TestUnavailableIsRepeatedWithTheSameRequestID(t *testing.T) {
	t.Parallel()
	f := &fickle{codes: []codes.Code{codes.Unavailable, codes.Unavailable}}
	if _, err := f.serve(t).Register(t.Context(), &gigagatev1.RegisterRequest{RequestId: "order-1"}); err != nil {
		t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.requests, []string{"order-1", "order-1", "order-1"}) {
		t.Errorf("the gateway saw %q", f.requests)
	}
	if f.left < 90*time.Second || f.left > 100*time.Second {
		t.Errorf("a call without a deadline had %v left, want almost 100 s", f.left)
	}
}

func TestOtherErrorsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	f := &fickle{codes: []codes.Code{codes.Aborted}}
	_, err := f.serve(t).Register(t.Context(), &gigagatev1.RegisterRequest{RequestId: "order-1"})
	f.mu.Lock()
	defer f.mu.Unlock()
	if status.Code(err) != codes.Aborted || len(f.requests) != 1 {
		t.Errorf("%d requests, %v", len(f.requests), err)
	}
	if client.OutcomeOf(err).GetPurchaseId() != "the-purchase" {
		t.Errorf("no outcome in %v", err)
	}
}

// A call ends with the error of its last send. The purchase helper looks at the others, too.
func TestTheLastSendsErrorIsTold(t *testing.T) {
	t.Parallel()
	f := &fickle{codes: []codes.Code{codes.Unavailable, codes.ResourceExhausted}}
	_, err := f.serve(t).Register(t.Context(), &gigagatev1.RegisterRequest{RequestId: "order-1"})
	f.mu.Lock()
	defer f.mu.Unlock()
	if status.Code(err) != codes.ResourceExhausted || len(f.requests) != 2 {
		t.Errorf("%d requests, %v", len(f.requests), err)
	}
}

func TestErrorsWithoutAnOutcomeHaveNone(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, context.Canceled, status.Error(codes.Unavailable, "a proxy's page")} {
		if outcome := client.OutcomeOf(err); outcome != nil {
			t.Errorf("%v has %v", err, outcome)
		}
	}
}

func TestCallPolicyIsTheContracts(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../../../proto/gigagate/v1/service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := os.ReadFile("service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(contract) != string(embedded) {
		t.Error("service_config.json is not the contract's: run go generate ./clients/go/client")
	}

	var policy struct {
		MethodConfig []struct {
			Name []struct{ Service string }
		}
	}
	if err := json.Unmarshal(contract, &policy); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, method := range policy.MethodConfig {
		for _, name := range method.Name {
			named[name.Service] = true
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("gigagate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			if service := string(file.Services().Get(i).FullName()); !named[service] {
				t.Errorf("the call policy does not name %s", service)
			}
		}
		return true
	})
}
