package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/gen/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// clientSettings are the flags of every command that calls a gateway.
type clientSettings struct {
	Address string        `default:"127.0.0.1:9090" placeholder:"ADDR" help:"The gateway's gRPC address (default ${default})."`
	Timeout time.Duration `default:"100s" help:"How long to wait for the answer, retries included (default ${default})."`
}

// dial makes a connection to the gateway. It connects when first used. It does not repeat calls by
// itself: call tells the person of each time.
func (s clientSettings) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient(s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// call makes one call, repeated while the gateway says when to come back, and prints the answer as
// JSON. Repeating is safe whatever the effect, because the request stays the same.
func (s clientSettings) call(ctx context.Context, to console, invoke func(context.Context, grpc.ClientConnInterface) (proto.Message, error)) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for {
		answer, err := invoke(ctx, conn)
		if err == nil {
			return printJSON(to.out, answer)
		}
		told := newCallError(err)
		if !told.repeatable() {
			return told
		}
		fmt.Fprintf(to.err, "%v; repeating in %v\n", told, told.outcome.GetRetryDelay().AsDuration())
		select {
		case <-time.After(told.outcome.GetRetryDelay().AsDuration()):
		case <-ctx.Done():
			return told
		}
	}
}

// printJSON prints message indented. protojson's own indentation varies from build to build.
func printJSON(w io.Writer, message proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, indented.String())
	return err
}

// callError is an error of the gateway, as a person at a terminal wants to read it.
type callError struct {
	status  *status.Status
	outcome *gigagatev1.Outcome // nil: the answer bore none
}

func newCallError(err error) *callError {
	return &callError{status: status.Convert(err), outcome: client.OutcomeOf(err)}
}

// Error names code, reason, effect and the gateway's sentence.
func (e *callError) Error() string {
	if e.outcome == nil {
		return fmt.Sprintf("%s, effect INDETERMINATE: %s", e.status.Code(), e.status.Message())
	}
	return fmt.Sprintf("%s, reason %s, effect %s: %s", e.status.Code(),
		strings.TrimPrefix(e.outcome.GetReason().String(), "ERROR_REASON_"),
		strings.TrimPrefix(e.outcome.GetEffect().String(), "EFFECT_"), e.status.Message())
}

// indeterminate reports whether credit may have been spent. An answer that does not say has to be
// taken for one that may.
func (e *callError) indeterminate() bool {
	return e.outcome == nil || e.outcome.GetEffect() == gigagatev1.Effect_EFFECT_INDETERMINATE
}

func (e *callError) repeatable() bool {
	return e.outcome.GetRetryDelay() != nil
}

// healthCommand asks whether a gateway serves.
type healthCommand struct {
	Address string        `default:"127.0.0.1:9090" placeholder:"ADDR" help:"The gateway's gRPC address (default ${default})."`
	Timeout time.Duration `default:"3s" help:"How long to wait (default ${default})."`
}

// Run asks the standard gRPC health service.
func (c *healthCommand) Run(ctx context.Context, to console) error {
	conn, err := clientSettings{Address: c.Address}.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("no answer from %s: %s", c.Address, status.Convert(err).Message())
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return errors.New("the gateway does not serve: " + answer.GetStatus().String())
	}
	_, err = fmt.Fprintln(to.out, "serving")
	return err
}
