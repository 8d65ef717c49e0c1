package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

var (
	frozen    = want{codes.FailedPrecondition, http.StatusBadRequest, "FROZEN", "NOT_STARTED", nil}
	notFrozen = want{codes.FailedPrecondition, http.StatusBadRequest, "NOT_FROZEN", "NOT_STARTED", nil}
)

func everything() *gigagatev1.FreezeTarget {
	return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}
}

func ofCaller(name string) *gigagatev1.FreezeTarget {
	return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Caller{Caller: name}}
}

func ofItem(id string) *gigagatev1.FreezeTarget {
	return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_InventoryItemId{InventoryItemId: id}}
}

func freeze(target *gigagatev1.FreezeTarget) *gigagatev1.FreezeRequest {
	return &gigagatev1.FreezeRequest{Target: target, Operator: "anna", Reason: "a leaked key"}
}

func thaw(target *gigagatev1.FreezeTarget) *gigagatev1.ThawRequest {
	return &gigagatev1.ThawRequest{Target: target, Operator: "anna", Reason: "the key was replaced"}
}

// A freeze stops new orders of its target, and no others. The heir of the older purchases is frozen by its own name, although
// the journal has another one.
func TestFreeze(t *testing.T) {
	t.Parallel()
	heir := caller("shop", func(r *access.Rights) { r.InheritsDefault = true })
	g := openFor(t, newCallers(heir, caller("billing"), operator("anna")))
	for _, d := range g.transports() {
		call := func(name string, message proto.Message) answer { return d.call(t, t.Context(), ask(message).as(name)) }
		for _, c := range []struct {
			target       *gigagatev1.FreezeTarget
			shop, others bool // frozen
		}{
			{everything(), true, true},
			{ofCaller("shop"), true, false},
			{ofItem(register().GetInventoryItemId()), true, true},
			{ofItem(sandbox.ItemAustria3GB), false, false},
		} {
			known := register()
			call("shop", known).ok(t)
			a := call("anna", freeze(c.target))
			a.ok(t)
			made := a.reply.(*gigagatev1.FreezeResponse).GetFreeze()
			if !proto.Equal(made.GetTarget(), c.target) || made.GetOperator() != "anna" || made.GetReason() != "a leaked key" || made.GetCreateTime() == nil {
				t.Errorf("%s: frozen %v", d.name, made)
			}
			before := g.paid()
			bought := 0
			for name, stopped := range map[string]bool{"shop": c.shop, "billing": c.others} {
				a := call(name, register())
				if stopped {
					a.check(t, frozen)
				} else {
					a.ok(t)
					bought++
				}
			}
			call("shop", known).ok(t)
			if n := g.paid() - before; n != bought {
				t.Errorf("%s: %d sales while %v is frozen, want %d", d.name, n, c.target, bought)
			}
			again := freeze(c.target)
			again.Reason = "another reason"
			a = call("anna", again)
			a.ok(t)
			if standing := a.reply.(*gigagatev1.FreezeResponse).GetFreeze(); !proto.Equal(standing, made) {
				t.Errorf("%s: the second freeze returned %v, want %v", d.name, standing, made)
			}
			a = call("anna", &gigagatev1.ListFreezesRequest{})
			a.ok(t)
			if list := a.reply.(*gigagatev1.ListFreezesResponse).GetFreezes(); len(list) != 1 || !proto.Equal(list[0], made) {
				t.Errorf("%s: %v are frozen", d.name, list)
			}
			call("anna", thaw(c.target)).ok(t)
			call("anna", thaw(c.target)).check(t, notFrozen)
			call("shop", register()).ok(t)
		}
	}
}

// Nobody freezes in another's name.
func TestFreezeInAnothersName(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(operator("anna"), operator("otto")))
	for _, d := range g.transports() {
		for _, message := range []proto.Message{freeze(everything()), thaw(everything())} {
			d.call(t, t.Context(), ask(message).as("otto")).check(t, want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"operator"}})
		}
	}
	if list, err := g.engine.Freezes(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v are frozen, err = %v", list, err)
	}
}

// Without a callers file, whoever can connect may freeze.
func TestFreezeWithoutCallers(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(freeze(ofCaller("default")))).ok(t)
		d.call(t, t.Context(), ask(register())).check(t, frozen)
		d.call(t, t.Context(), ask(thaw(ofCaller("default")))).ok(t)
		d.call(t, t.Context(), ask(register())).ok(t)
	}
}

// A freeze that may have been written is not answered as one that was not.
func TestFreezeWithoutTheJournal(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	for _, d := range g.transports() {
		journal.audit.Store(&errJournal)
		d.call(t, t.Context(), ask(freeze(everything()))).check(t, idUnread)
		journal.audit.Store(new(fmt.Errorf("%w: %w", purchase.ErrNotWritten, errJournal)))
		d.call(t, t.Context(), ask(freeze(everything()))).check(t, journalUnavailable)
	}
}

// Both lists for operators have pages.
func TestListsForOperatorsHavePages(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	const n = 5
	for i := range n {
		target := ofCaller(fmt.Sprintf("caller-%d", i))
		if i == n-1 {
			target = everything()
		}
		g.overGRPC(t, t.Context(), ask(freeze(target))).ok(t)
	}
	for _, d := range g.transports() {
		var freezes, records []string
		for token := ""; ; {
			a := d.call(t, t.Context(), ask(&gigagatev1.ListFreezesRequest{PageSize: 2, PageToken: token}))
			a.ok(t)
			page := a.reply.(*gigagatev1.ListFreezesResponse)
			for _, f := range page.GetFreezes() {
				freezes = append(freezes, f.GetTarget().GetCaller())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		for token := ""; ; {
			a := d.call(t, t.Context(), ask(&gigagatev1.ListAuditRecordsRequest{PageSize: 2, PageToken: token}))
			a.ok(t)
			page := a.reply.(*gigagatev1.ListAuditRecordsResponse)
			for _, r := range page.GetRecords() {
				records = append(records, r.GetCaller())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		if text := strings.Join(freezes, " "); text != " caller-0 caller-1 caller-2 caller-3" {
			t.Errorf("%s: frozen are %q", d.name, text)
		}
		if text := strings.Join(records, " "); text != " caller-3 caller-2 caller-1 caller-0" {
			t.Errorf("%s: the records are about %q", d.name, text)
		}
	}
}
