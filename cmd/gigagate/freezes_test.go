package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// operate runs a command of an operator.
func (g *gateway) operate(t *testing.T, args ...string) command {
	t.Helper()
	return gigagate(t, append(args, "--address="+g.grpc)...)
}

func TestFreezeCommands(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, target := range [][]string{{"all"}, {"caller", "default"}, {"item", sandbox.ItemWorldwide1GB}} {
		words := slices.Concat(target, []string{"--operator=maria", "--reason=ticket 4712"})
		frozen := decode(t, g.operate(t, append([]string{"freeze"}, words...)...), &gigagatev1.FreezeResponse{}).GetFreeze()
		if frozen.GetOperator() != "maria" || frozen.GetReason() != "ticket 4712" {
			t.Errorf("%v: frozen %v", target, frozen)
		}
		if got := g.sell(t, "order-1"); got.status != exitFailed || !strings.Contains(got.err, "FROZEN") {
			t.Errorf("%v is frozen: %+v", target, got)
		}
		list := decode(t, g.operate(t, "freezes"), &gigagatev1.ListFreezesResponse{}).GetFreezes()
		if len(list) != 1 || !proto.Equal(list[0], frozen) {
			t.Errorf("%v: %v are frozen", target, list)
		}
		table := g.operate(t, "freezes", "--output=table").out
		if fields := strings.Fields(table); !slices.Equal(fields[5:5+len(target)], target) || !strings.HasSuffix(table, "  maria  ticket 4712\n") {
			t.Errorf("the table is\n%s", table)
		}
		if got := g.operate(t, append([]string{"thaw"}, words...)...); got.status != 0 {
			t.Errorf("thaw %v: %+v", target, got)
		}
		if got := g.operate(t, append([]string{"thaw"}, words...)...); got.status != exitFailed || !strings.Contains(got.err, "NOT_FROZEN") {
			t.Errorf("thaw %v again: %+v", target, got)
		}
	}
	if got := g.sell(t, "order-1"); got.status != 0 {
		t.Errorf("after the thaw: %+v", got)
	}
	for _, wrong := range [][]string{{"all", "default"}, {"caller"}, {"shop"}} {
		if got := g.operate(t, append(append([]string{"freeze"}, wrong...), "--operator=maria", "--reason=r")...); got.status != exitUsage {
			t.Errorf("freeze %v: %+v", wrong, got)
		}
	}

	for since, want := range map[string]int{"1h": 6, "2001-02-03T04:05:06Z": 6, "-1h": 0} {
		records := decode(t, g.operate(t, "audit", "--since="+since), &gigagatev1.ListAuditRecordsResponse{}).GetRecords()
		if len(records) != want {
			t.Errorf("since %s: %d records, want %d", since, len(records), want)
		}
	}
	if got := g.operate(t, "audit", "--since=yesterday"); got.status != exitUsage || !strings.Contains(got.err, "--since") {
		t.Errorf("since yesterday: %+v", got)
	}
	if got := g.operate(t, "audit", "--until=2001-02-03T04:05:06Z"); got.status != 0 || strings.Contains(got.out, "maria") {
		t.Errorf("until 2001: %+v", got)
	}
	table := g.operate(t, "audit", "--output=table").out
	if !strings.Contains(table, "operator maria  THAW    DONE") || !strings.Contains(table, "reason ticket 4712") {
		t.Errorf("the table is\n%s", table)
	}
}

// TestFreezeOutlivesKill freezes, ends the process with SIGKILL, and orders at the next process.
func TestFreezeOutlivesKill(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(t.TempDir(), "journal.db")).start(t)
	freezes := func() gigagatev1.FreezeServiceClient {
		conn, err := r.connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return gigagatev1.NewFreezeServiceClient(conn)
	}
	everything := &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}
	if _, err := freezes().Freeze(t.Context(), &gigagatev1.FreezeRequest{Target: everything, Operator: "maria", Reason: "a leaked key"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.kill()
		r.start(t)
		conn, err := r.connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := newRegister("order-1")
		a := in.buyWithin(t.Context(), conn, soon)
		if a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_FROZEN || a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_NOT_STARTED {
			t.Errorf("after the kill: %s", a)
		}
	}
	if n := len(s.ledger(t).Sales); n != 0 {
		t.Errorf("%d sales while everything was frozen", n)
	}
	if _, err := freezes().Thaw(t.Context(), &gigagatev1.ThawRequest{Target: everything, Operator: "maria", Reason: "it was replaced"}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	r.kill()
	r.start(t)
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := newRegister("order-1")
	if a := in.buyWithin(t.Context(), conn, soon); a.sold == nil {
		t.Errorf("after the thaw: %s", a)
	}
	check(t, s, r, in)
}
