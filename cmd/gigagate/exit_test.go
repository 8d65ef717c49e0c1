package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// full is a writer that fails like a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A failed write of the answer undoes nothing. Only a command that reads ends as an error without effect.
func TestExitStatusWhereTheAnswerCannotBeWritten(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	id := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{}).GetPurchaseId()
	sale := []string{"--item=" + sandbox.ItemWorldwide1GB, "--metatag=text", "--ip=203.0.113.24", "--country=GR"}
	for _, test := range []struct {
		args   []string
		status int
	}{
		{append([]string{"register"}, sale...), exitIndeterminate},
		{[]string{"bench", "--count=1", "--item=" + sandbox.ItemWorldwide50MB}, exitIndeterminate},
		{[]string{"inventory"}, exitFailed},
		{[]string{"purchases", "list"}, exitFailed},
		{[]string{"purchases", "wait", id}, exitIndeterminate},
	} {
		var errs bytes.Buffer
		got := run(t.Context(), append(test.args, "--address="+g.grpc), console{out: full{}, err: &errs})
		if got != test.status || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%v: exit status %d, want %d: %s", test.args[0], got, test.status, &errs)
		}
	}
	if sales := g.ledger(t).Sales; len(sales) != 3 {
		t.Errorf("%d sales", len(sales))
	}
}

// If a request id is already used, the error has the effect of the purchase that uses it.
func TestExitStatusTellsTheOtherPurchasesEffect(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.sell(t, "sold")
	g.sell(t, "not-sold", "--expected-price=1")
	for requestID, want := range map[string]command{
		"sold":     {status: exitIndeterminate, err: "reason REQUEST_ID_REUSED, effect APPLIED"},
		"not-sold": {status: exitFailed, err: "reason REQUEST_ID_REUSED, effect NOT_APPLIED"},
	} {
		if got := g.sell(t, requestID, "--email=a@example.com"); got.status != want.status || !strings.Contains(got.err, want.err) {
			t.Errorf("%s: %+v, want %+v", requestID, got, want)
		}
	}
}

// A read cannot spend credit, so its errors do not mention effects.
func TestExitStatusOfReads(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line   string
		status int
	}{
		{"inventory", exitFailed},
		{"purchases list", exitFailed},
		{"purchases get 01ARZ3NDEKTSV4RRFFQ69G5FAV", exitFailed},
		// 1 would say that the purchase failed.
		{"purchases wait 01ARZ3NDEKTSV4RRFFQ69G5FAV", exitIndeterminate},
	} {
		got := gigagate(t, append(strings.Fields(test.line), "--address=127.0.0.1:1")...)
		if got.status != test.status || !strings.Contains(got.err, "gigagate: Unavailable: ") || strings.Contains(got.err, "effect") {
			t.Errorf("%s: %+v, want %d", test.line, got, test.status)
		}
	}
}

// scripted answers Register with its Outcomes, one after the other.
type scripted struct {
	gigagatev1.UnimplementedActivationServiceServer
	mu       sync.Mutex
	outcomes []*gigagatev1.Outcome
}

func (s *scripted) Register(context.Context, *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.outcomes) == 0 {
		return &gigagatev1.RegisterResponse{}, nil
	}
	told, err := status.New(codes.Unavailable, "scripted").WithDetails(s.outcomes[0])
	s.outcomes = s.outcomes[1:]
	if err != nil {
		return nil, err
	}
	return nil, told.Err()
}

func (s *scripted) serve(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	gigagatev1.RegisterActivationServiceServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// The answer to the last of several sends says nothing about the sends before it.
func TestExitStatusOfRepeatedSends(t *testing.T) {
	t.Parallel()
	outcome := func(effect gigagatev1.Effect, again time.Duration) *gigagatev1.Outcome {
		o := &gigagatev1.Outcome{Effect: effect}
		if again > 0 {
			o.RetryDelay = durationpb.New(again)
		}
		return o
	}
	const (
		unknown    = gigagatev1.Effect_EFFECT_INDETERMINATE
		notStarted = gigagatev1.Effect_EFFECT_NOT_STARTED
		notApplied = gigagatev1.Effect_EFFECT_NOT_APPLIED
		soonAgain  = time.Millisecond
	)
	for _, test := range []struct {
		name     string
		outcomes []*gigagatev1.Outcome
		status   int
		repeats  int
	}{
		{"turned away, then sold", []*gigagatev1.Outcome{outcome(notStarted, soonAgain)}, 0, 1},
		{"turned away twice", []*gigagatev1.Outcome{outcome(notStarted, soonAgain), outcome(notStarted, 0)}, exitFailed, 1},
		{"unknown, then turned away", []*gigagatev1.Outcome{outcome(unknown, soonAgain), outcome(notStarted, soonAgain), outcome(notStarted, 0)}, exitIndeterminate, 2},
		{"unknown, then not sold", []*gigagatev1.Outcome{outcome(unknown, soonAgain), outcome(notApplied, 0)}, exitFailed, 1},
		{"the retry would come after the deadline", []*gigagatev1.Outcome{outcome(unknown, time.Hour)}, exitIndeterminate, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &scripted{outcomes: test.outcomes}
			got := gigagate(t, "register", "--address="+server.serve(t), "--item=a", "--metatag=b", "--ip=c", "--country=d")
			if got.status != test.status || strings.Count(got.err, "; repeating in ") != test.repeats || strings.Count(got.err, "\n") != 1+test.repeats+min(1, got.status) {
				t.Errorf("%+v, want %d after %d repetitions", got, test.status, test.repeats)
			}
		})
	}
}
