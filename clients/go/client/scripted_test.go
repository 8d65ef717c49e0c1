package client_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	purchaseID = "01JD0000000000000000000000"

	settled   = gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED
	failed    = gigagatev1.PurchaseState_PURCHASE_STATE_FAILED
	uncertain = gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN

	notStarted    = gigagatev1.Effect_EFFECT_NOT_STARTED
	notApplied    = gigagatev1.Effect_EFFECT_NOT_APPLIED
	applied       = gigagatev1.Effect_EFFECT_APPLIED
	indeterminate = gigagatev1.Effect_EFFECT_INDETERMINATE
)

// answer is one line of a script: what the gateway does at one call.
type answer func(context.Context) (gigagatev1.PurchaseState, error)

func sale(context.Context) (gigagatev1.PurchaseState, error) { return 0, nil }

func silence(ctx context.Context) (gigagatev1.PurchaseState, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func broken(code codes.Code) answer {
	return func(context.Context) (gigagatev1.PurchaseState, error) { return 0, status.Error(code, "broken") }
}

// told is an error with an Outcome. Its code is one that the call policy of New does not repeat.
func told(reason gigagatev1.ErrorReason, effect gigagatev1.Effect, id string, retryDelay time.Duration) answer {
	outcome := &gigagatev1.Outcome{Reason: reason, Effect: effect, PurchaseId: id}
	if retryDelay > 0 {
		outcome.RetryDelay = durationpb.New(retryDelay)
	}
	return toldWith(codes.Aborted, outcome)
}

func toldWith(code codes.Code, outcome *gigagatev1.Outcome) answer {
	return func(context.Context) (gigagatev1.PurchaseState, error) {
		with, err := status.New(code, "the sentence").WithDetails(outcome)
		if err != nil {
			return 0, err
		}
		return 0, with.Err()
	}
}

// overBudget is the answer of a gateway if the caller's budget does not cover the purchase.
func overBudget(retryDelay time.Duration) answer {
	outcome := &gigagatev1.Outcome{Reason: gigagatev1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED, Effect: notStarted}
	if retryDelay > 0 {
		outcome.RetryDelay = durationpb.New(retryDelay)
	}
	return toldWith(codes.ResourceExhausted, outcome)
}

func withEffect(effect gigagatev1.Effect) answer { return told(0, effect, "", 0) }

// waited answers WaitPurchase after some time.
func waited(state gigagatev1.PurchaseState, after time.Duration) answer {
	return func(context.Context) (gigagatev1.PurchaseState, error) {
		<-time.After(after)
		return state, nil
	}
}

// scripted is a gateway that answers by script. After the script's end it repeats the last answer.
type scripted struct {
	gigagatev1.UnimplementedActivationServiceServer
	gigagatev1.UnimplementedPurchaseServiceServer
	net.Listener

	script []answer
	plain  bool     // whether the connection is one without the call policy
	conn   net.Conn // the newest

	mu    sync.Mutex
	began time.Time
	calls []string        // buy and wait
	at    []time.Duration // when each call came
	left  []time.Duration // of the deadline of each call
	other bool            // whether a request was not like the first
	first proto.Message
}

func (s *scripted) next(ctx context.Context, call string, req proto.Message) (gigagatev1.PurchaseState, error) {
	s.mu.Lock()
	now := s.script[0]
	if len(s.script) > 1 {
		s.script = s.script[1:]
	}
	s.calls = append(s.calls, call)
	s.at = append(s.at, time.Since(s.began))
	deadline, _ := ctx.Deadline()
	s.left = append(s.left, time.Until(deadline))
	if call == "buy" {
		if s.first == nil {
			s.first = req
		}
		s.other = s.other || !proto.Equal(s.first, req)
	}
	s.mu.Unlock()
	return now(ctx)
}

func (s *scripted) Register(ctx context.Context, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	_, err := s.next(ctx, "buy", req)
	return &gigagatev1.RegisterResponse{PurchaseId: purchaseID}, err
}

func (s *scripted) TopUp(ctx context.Context, req *gigagatev1.TopUpRequest) (*gigagatev1.TopUpResponse, error) {
	_, err := s.next(ctx, "buy", req)
	return &gigagatev1.TopUpResponse{PurchaseId: purchaseID}, err
}

func (s *scripted) WaitPurchase(ctx context.Context, req *gigagatev1.WaitPurchaseRequest) (*gigagatev1.WaitPurchaseResponse, error) {
	state, err := s.next(ctx, "wait", req)
	if req.GetId() != purchaseID {
		return nil, status.Error(codes.InvalidArgument, "another purchase")
	}
	return &gigagatev1.WaitPurchaseResponse{Purchase: &gigagatev1.Purchase{State: state}}, err
}

// Accept keeps the connection for drop.
func (s *scripted) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	s.conn = conn
	return conn, err
}

// drop breaks the connection of the call.
func (s *scripted) drop(context.Context) (gigagatev1.PurchaseState, error) { return 0, s.conn.Close() }

// serve must be called in a bubble of synctest.
func (s *scripted) serve(t *testing.T) grpc.ClientConnInterface {
	t.Helper()
	s.began = time.Now()
	listener := bufconn.Listen(64 << 10)
	s.Listener = listener
	server := grpc.NewServer()
	gigagatev1.RegisterActivationServiceServer(server, s)
	gigagatev1.RegisterPurchaseServiceServer(server, s)
	go func() { _ = server.Serve(s) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	connect := client.New
	if s.plain {
		connect = grpc.NewClient
	}
	conn, err := connect("passthrough:bufconn",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		_ = listener.Close()
	})
	return conn
}
