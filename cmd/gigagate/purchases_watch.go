package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// watchInterval is how long watch waits between two looks at the gateway.
	watchInterval = time.Second
	// longestReconnect is the longest pause between two tries to connect. gRPC's own limit is two minutes.
	longestReconnect = 2 * time.Second
)

// watchPurchasesCommand prints purchases while they happen.
type watchPurchasesCommand struct {
	ID      string         `arg:"" optional:"" name:"id" field:"id" help:"Show what happens to this purchase until it is settled."`
	Address gatewayAddress `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"The gateway's gRPC address (default ${default})."`
	Timeout time.Duration  `default:"10s" help:"How long to wait for each answer (default ${default})."`
	clientSecurity
	outputSettings
}

// Run looks at the gateway every second, until ctx ends or the purchase is settled. The exit status for one purchase is that
// of purchases wait.
func (c *watchPurchasesCommand) Run(ctx context.Context, to console) error {
	options, err := c.options(c.Address)
	if err != nil {
		return err
	}
	pauses := backoff.DefaultConfig
	pauses.MaxDelay = longestReconnect
	conn, err := grpc.NewClient(string(c.Address), append(options, grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses}))...)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	w := &watch{
		purchases: gigagatev1.NewPurchaseServiceClient(conn), to: to, timeout: c.Timeout, table: c.asTable(to), advice: c.advice,
	}
	if c.ID == "" {
		return w.all(ctx)
	}
	return w.one(ctx, c.ID)
}

// watch is a running watch.
type watch struct {
	purchases gigagatev1.PurchaseServiceClient
	to        console
	timeout   time.Duration // of one call
	table     bool
	advice    func(message string) string
	widths    []int // of the columns, see laidOut
	out       error // of the first write that failed
}

// all prints new and changed purchases until ctx ends.
func (w *watch) all(ctx context.Context) error {
	seen := &seenPurchases{client: w.purchases, timeout: w.timeout, say: w.say}
	w.widths = []int{20, 26, 14, 26, 20}
	w.header("CHANGED", "ID", "STATE", "REASON", "KIND", "REQUEST ID")
	return w.look(ctx, func(ctx context.Context) (done bool, err error) {
		changed, err := seen.look(ctx)
		for _, p := range changed {
			w.print(p, cell(p.GetUpdateTime()), p.GetId(), enumText(p.GetState()),
				cmp.Or(enumText(p.GetReason()), enumText(p.GetOperatorReason())), enumText(p.GetKind()), p.GetRequestId())
		}
		return false, err
	})
}

// one prints the events of a purchase until it is settled.
func (w *watch) one(ctx context.Context, id string) error {
	var purchase *gigagatev1.Purchase
	printed, missing := 0, ""
	w.widths = []int{20, 18, 4, 14, 10}
	w.header("TIME", "EVENT", "SEND", "STATE", "BY", "EVIDENCE")
	err := w.look(ctx, func(ctx context.Context) (done bool, err error) {
		if printed > 0 { // a purchase that is settled while it waits is shown at once
			if err := w.wait(ctx, id); err != nil {
				return false, err
			}
		}
		call, cancel := context.WithTimeout(ctx, w.timeout)
		defer cancel()
		answer, err := w.purchases.GetPurchase(call, &gigagatev1.GetPurchaseRequest{Id: id})
		if err != nil {
			return false, err
		}
		purchase = answer.GetPurchase()
		for ; printed < len(answer.GetHistory()); printed++ {
			event := answer.GetHistory()[printed]
			w.print(event, eventCells(event)...)
		}
		if why := answer.GetReconciliation(); w.table && why.GetMissing() != missing {
			if missing = why.GetMissing(); missing != "" {
				w.write(reconciliationText(why))
			}
		}
		return settled(purchase), nil
	})
	if err != nil {
		return effectError{err}
	}
	return exitOf(purchase)
}

// wait returns once the purchase is settled, at the latest after the interval.
func (w *watch) wait(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout+watchInterval)
	defer cancel()
	_, err := w.purchases.WaitPurchase(ctx, &gigagatev1.WaitPurchaseRequest{Id: id, Timeout: durationpb.New(watchInterval)})
	return err
}

// look calls once every second until it is done or ctx ends. After an error that may pass, it goes on. It says when the
// errors begin and when they end.
func (w *watch) look(ctx context.Context, once func(context.Context) (done bool, err error)) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for failing := false; ; {
		done, err := once(ctx)
		switch {
		case ctx.Err() != nil || w.out != nil || done && err == nil:
			return w.out
		case err != nil:
			told := newCallError(err)
			told.read, told.advice = true, w.advice(told.status.Message())
			if !mayPass(told.status.Code()) {
				return told
			}
			if !failing {
				w.say(fmt.Sprintf("%v; trying again every %v", told, watchInterval))
			}
			failing = true
		case failing:
			w.say("the gateway answers again")
			failing = false
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// mayPass reports whether the same call may succeed later.
func mayPass(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal:
		return true
	default:
		return false
	}
}

// say tells the person at the terminal something that is not a result.
func (w *watch) say(text string) { fmt.Fprintln(w.to.err, text) }

// header prints the headings of a table.
func (w *watch) header(headings ...string) {
	if w.table {
		w.write(w.laidOut(headings))
	}
}

// print prints a result, as a line of a table or as a line of JSON.
func (w *watch) print(message proto.Message, cells ...string) {
	if w.table {
		w.write(w.laidOut(cells))
		return
	}
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	var line bytes.Buffer
	if err == nil {
		err = json.Compact(&line, text) // protojson's spaces vary from build to build
	}
	if err != nil {
		w.out = err
		return
	}
	w.write(line.String() + "\n")
}

func (w *watch) write(text string) {
	if _, err := io.WriteString(w.to.out, text); err != nil && w.out == nil {
		w.out = err
	}
}

// laidOut is a line of a table. A cell that is too long moves the rest of its own line. The last column may have any width.
func (w *watch) laidOut(cells []string) string {
	var line strings.Builder
	for i, text := range cells {
		if i < len(w.widths) {
			fmt.Fprintf(&line, "%-*s  ", w.widths[i], text)
		} else {
			line.WriteString(text)
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

// exitOf is the error that a command ends with after it has shown a purchase, for scripts: without one a script can
// deliver, after a failed purchase it may buy again, and otherwise the result is not known yet.
func exitOf(purchase *gigagatev1.Purchase) error {
	switch purchase.GetState() {
	case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED:
		return nil
	case gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		return errors.New("the purchase failed: nothing was bought")
	default:
		return effectError{errors.New("the purchase is not settled: it may have been sold")}
	}
}
