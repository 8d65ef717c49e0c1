package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// clientSettings are the flags of every command that calls a gateway.
type clientSettings struct {
	Address gatewayAddress `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"The gateway's gRPC address (default ${default})."`
	Timeout time.Duration  `default:"100s" help:"How long to wait for the answer, retries included (default ${default})."`
	clientSecurity
}

// callSettings are the flags of every command that prints an answer of a gateway.
type callSettings struct {
	clientSettings
	outputSettings
}

// dial makes a connection to the gateway. It connects at the first call. It does not retry by itself,
// because repeat reports each retry to the user.
func (s clientSettings) dial() (*grpc.ClientConn, error) {
	options, err := s.options(s.Address)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(string(s.Address), options...)
}

// invocation is one call of the contract.
type invocation func(context.Context, grpc.ClientConnInterface) (proto.Message, error)

// call makes a call that has an effect, and prints the answer.
func (s callSettings) call(ctx context.Context, to console, invoke invocation) error {
	answer, err := s.repeat(ctx, to, false, invoke)
	if told, ok := errors.AsType[*callError](err); ok && told.mayHaveEffect() {
		return effectError{told}
	}
	if err != nil {
		return err
	}
	if err := s.print(to, answer); err != nil {
		return effectError{fmt.Errorf("it took effect%s, but the answer cannot be written: %w", subject(answer), err)}
	}
	return nil
}

// subject names the purchase and the activated item of an answer, so that the user can look them up.
func subject(answer proto.Message) string {
	text := ""
	switch a := answer.(type) {
	case interface{ GetPurchaseId() string }:
		text = ": purchase " + a.GetPurchaseId()
	case interface{ GetPurchase() *gigagatev1.Purchase }:
		text = ": purchase " + a.GetPurchase().GetId()
	}
	if a, ok := answer.(interface {
		GetActivatedItem() *gigagatev1.ActivatedItem
	}); ok {
		text += ": activated item " + a.GetActivatedItem().GetUid()
	}
	return text
}

// read makes a call that never changes anything, and prints the answer.
func (s callSettings) read(ctx context.Context, to console, invoke invocation) error {
	answer, err := s.repeat(ctx, to, true, invoke)
	if err != nil {
		return err
	}
	return s.print(to, answer)
}

// repeat makes one call. It retries as long as the gateway gives a retry delay and the timeout allows it.
// A retry is safe whatever the effect, because the request stays the same.
func (s clientSettings) repeat(ctx context.Context, to console, read bool, invoke invocation) (proto.Message, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	deadline := time.Now().Add(s.Timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for earlier := false; ; {
		answer, err := invoke(ctx, conn)
		if err == nil {
			return answer, nil
		}
		told := newCallError(err)
		told.read, told.earlier, told.advice = read, earlier, s.advice(told.status.Message())
		delay := told.outcome.GetRetryDelay()
		if delay == nil || time.Until(deadline) <= delay.AsDuration() {
			return nil, told
		}
		fmt.Fprintf(to.err, "%v; repeating in %v\n", told, delay.AsDuration())
		select {
		case <-time.After(delay.AsDuration()):
		case <-ctx.Done():
			return nil, told
		}
		earlier = told.mayHaveEffect()
	}
}

// callError is an error of the gateway, in words for a person at a terminal.
type callError struct {
	status  *status.Status
	outcome *gigagatev1.Outcome // nil if the answer had none
	read    bool                // the call changes nothing
	earlier bool                // an earlier send of the same request may have had an effect
	advice  string              // follows the sentence

	flags map[string]string // by the field of the request that they filled
}

func newCallError(err error) *callError {
	return &callError{status: status.Convert(err), outcome: client.OutcomeOf(err)}
}

// Error has the code, the reason, the effect and the gateway's sentence.
func (e *callError) Error() string {
	text, effect := e.status.Code().String(), gigagatev1.Effect_EFFECT_INDETERMINATE
	if e.outcome != nil {
		text += ", reason " + strings.TrimPrefix(e.outcome.GetReason().String(), "ERROR_REASON_")
		effect = e.outcome.GetEffect()
	}
	if !e.read {
		text += ", effect " + strings.TrimPrefix(effect.String(), "EFFECT_")
	}
	return text + ": " + e.sentence() + e.advice
}

// contractName finds the contract's field names in a sentence. It needs an underscore, because a name without one looks
// like any other word.
var contractName = regexp.MustCompile(`[a-z]+(?:_[a-z]+)+`)

// sentence is the gateway's sentence, with the contract's fields replaced by flags.
func (e *callError) sentence() string {
	var theirs, ours []string
	for _, violation := range e.outcome.GetFieldViolations() {
		field, rule := violation.GetField(), violation.GetDescription()
		if field == "" { // the request as a whole
			theirs, ours = append(theirs, rule), append(ours, rule)
			continue
		}
		theirs = append(theirs, field+": "+rule)
		if flag, ok := e.flags[field]; ok {
			field = flag
		}
		ours = append(ours, field+": "+rule)
	}
	text, listed := strings.CutSuffix(e.status.Message(), ": "+strings.Join(theirs, "; "))
	text = contractName.ReplaceAllStringFunc(text, func(field string) string {
		return cmp.Or(e.flags[field], field)
	})
	if listed && len(ours) > 0 {
		text += ": " + strings.Join(ours, "; ")
	}
	return text
}

// mayHaveEffect reports whether the call spent credit or may have spent it. An answer that does not say
// counts as one that may have.
func (e *callError) mayHaveEffect() bool {
	switch e.outcome.GetEffect() {
	case gigagatev1.Effect_EFFECT_NOT_APPLIED:
		return false
	case gigagatev1.Effect_EFFECT_NOT_STARTED:
		return e.earlier // the effect does not cover earlier sends
	default:
		return !e.read
	}
}

// healthCommand asks whether a gateway serves.
type healthCommand struct {
	Address gatewayAddress `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"The gateway's gRPC address (default ${default})."`
	Timeout time.Duration  `default:"3s" help:"How long to wait (default ${default})."`
	clientSecurity
}

// Run asks the standard gRPC health service.
func (c *healthCommand) Run(ctx context.Context, to console) error {
	conn, err := clientSettings{Address: c.Address, clientSecurity: c.clientSecurity}.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		message := status.Convert(err).Message()
		return fmt.Errorf("no answer from %s: %s%s", c.Address, message, c.advice(message))
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return errors.New("the gateway is not serving: " + answer.GetStatus().String())
	}
	// The exit status says the same, so a closed output is no error here.
	if _, err = fmt.Fprintln(to.out, "serving"); errors.Is(err, errOutputClosed) {
		return nil
	}
	return err
}
