package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// refusedOrder is an order that is refused before it reaches the engine.
type refusedOrder struct {
	name string
	call func(t *testing.T, g *gateway, id string) answer
}

// post sends a REST order. ID in the body and the header is the request id.
func post(name, path string, header http.Header, body string) refusedOrder {
	return refusedOrder{"rest/" + name, func(t *testing.T, g *gateway, id string) answer {
		t.Helper()
		named := http.Header{}
		for key, values := range header {
			for _, value := range values {
				named.Add(key, strings.ReplaceAll(value, "ID", id))
			}
			if values == nil {
				named[key] = nil
			}
		}
		return g.http(t, t.Context(), http.MethodPost, path, []byte(strings.ReplaceAll(body, "ID", id)), named, &gigagatev1.RegisterResponse{})
	}}
}

// raw sends the bytes of a REST order.
func raw(name, request string) refusedOrder {
	return refusedOrder{"rest/" + name, func(t *testing.T, g *gateway, id string) answer {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, strings.ReplaceAll(request, "ID", id)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return readAnswer(t, resp, nil)
	}}
}

// encoded sends a gRPC order whose encoding was changed.
func encoded(name string, change func(*gigagatev1.RegisterRequest) question) refusedOrder {
	return refusedOrder{"grpc/" + name, func(t *testing.T, g *gateway, id string) answer {
		t.Helper()
		return g.overGRPC(t, t.Context(), change(register(func(r *reg) { r.RequestId = id })))
	}}
}

const (
	orderOfID    = `{"requestId":"ID","inventoryItemId":"` + sandbox.ItemWorldwide1GB + `","metatag":"m","userIp":"203.0.113.24","userCountry":"GR"}`
	orderWithout = `{"inventoryItemId":"` + sandbox.ItemWorldwide1GB + `","metatag":"m","userIp":"203.0.113.24","userCountry":"GR"}`
)

var keyOfID = http.Header{"Idempotency-Key": {"ID"}}

var refusedOrders = []refusedOrder{
	post("unknown field", restRegister, nil, strings.Replace(orderOfID, "metatag", "metaTag", 1)),
	post("unknown field first", restTopUp, nil, `{"a":{"requestId":"x"},"request_id":"ID"}`),
	post("field twice", restRegister, nil, strings.Replace(orderOfID, "{", `{"metatag":"m",`, 1)),
	post("both spellings of the id", restRegister, nil, strings.Replace(orderOfID, "{", `{"request_id":"ID",`, 1)),
	post("data after the object", restRegister, nil, orderOfID+"{}"),
	post("body that is cut", restRegister, nil, orderOfID[:len(orderOfID)-1]),
	post("body that is too large", restRegister, nil, strings.Replace(orderOfID, `"m"`, `"`+strings.Repeat("m", 70<<10)+`"`, 1)),
	post("no content type", restRegister, http.Header{"Content-Type": nil}, orderOfID),
	post("wrong content type", restTopUp, http.Header{"Content-Type": {"text/plain"}}, orderOfID),
	post("wrong charset", restRegister, http.Header{"Content-Type": {"application/json; charset=latin1"}}, orderOfID),
	post("query", restRegister+"?metatag=m", nil, orderOfID),
	post("no word for pretty", restRegister+"?pretty=no", nil, orderOfID),
	post("page of another origin", restRegister, http.Header{"Origin": {"https://other.example"}}, orderOfID),
	post("two keys", restRegister, http.Header{"Idempotency-Key": {"ID", "other"}}, orderWithout),
	post("key beside another id", restRegister, http.Header{"Idempotency-Key": {"other"}}, orderOfID),
	post("id beside another key", restRegister, keyOfID, strings.Replace(orderOfID, "ID", "other", 1)),
	post("key beside no JSON", restRegister, keyOfID, "requestId=x"),
	post("quoted key beside no JSON", restRegister, http.Header{"Idempotency-Key": {`"ID"`}}, "{"),
	post("key of a compressed body", restTopUp, http.Header{"Idempotency-Key": {"ID"}, "Content-Encoding": {"gzip"}}, "\x1f\x8b"),
	post("key without a body", restRegister, keyOfID, ""),
	post("field that breaks its rule", restRegister, nil, strings.Replace(orderOfID, `"GR"`, `"nowhere"`, 1)),
	raw("key of an ambiguous request", chunkedHead+"Idempotency-Key: ID\r\nContent-Length: 3\r\n\r\n"+chunks("{}")),

	encoded("field that breaks its rule", func(r *reg) question { r.UserCountry = "nowhere"; return ask(r) }),
	encoded("metatag that is too long", func(r *reg) question { r.Metatag = strings.Repeat("m", 250); return ask(r) }),
	encoded("unknown field", func(r *reg) question {
		r.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1999, protowire.VarintType), 1))
		return ask(r)
	}),
	encoded("no UTF-8", func(r *reg) question {
		r.Metatag = "MARK"
		return question{message: r, replace: [2]string{"MARK", "\xff\xff\xff\xff"}}
	}),
	encoded("no protobuf", func(r *reg) question {
		r.UserCountry = "MARK"
		return question{message: r, replace: [2]string{"\x04MARK", "\x7fMARK"}}
	}),
	encoded("too large", func(r *reg) question { r.Metatag = strings.Repeat("m", 100<<10); return ask(r) }),
}

// A refusal tells the effect of the request id that the order names, however badly it is written. If it said NOT_STARTED of
// an id that has a sale, the caller could take the order for lost.
func TestEveryRefusedOrderTellsTheEffectOfItsID(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	message := register()
	purchaseID := g.bought(t, message)
	sold := len(g.box.Ledger().Sales)
	for _, c := range refusedOrders {
		t.Run(c.name, func(t *testing.T) {
			known := c.call(t, g, message.GetRequestId())
			known.checkEffectOfID(t, gigagatev1.Effect_EFFECT_APPLIED, purchaseID)
			c.call(t, g, "nobody-has-this").checkEffectOfID(t, gigagatev1.Effect_EFFECT_NOT_STARTED, "")
			journal.lookup.Store(&errJournal)
			defer journal.lookup.Store(nil)
			c.call(t, g, message.GetRequestId()).checkEffectOfID(t, gigagatev1.Effect_EFFECT_INDETERMINATE, "")
		})
	}
	if sales := len(g.box.Ledger().Sales); sales != sold {
		t.Errorf("%d sales for refused orders", sales-sold)
	}
}

func (a answer) checkEffectOfID(t *testing.T, effect gigagatev1.Effect, purchaseID string) {
	t.Helper()
	if a.outcome.GetEffect() != effect || a.outcome.GetPurchaseId() != purchaseID {
		t.Errorf("%s of purchase %q, want %s of %q: %s", a.outcome.GetEffect(), a.outcome.GetPurchaseId(), effect, purchaseID, a.text)
	}
}

// An order that names no request id has started nothing. If a part of the order cannot be read, it may name one.
func TestRefusedOrdersWithoutAnID(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for effect, orders := range map[gigagatev1.Effect][]refusedOrder{
		gigagatev1.Effect_EFFECT_NOT_STARTED: {
			post("no id", restRegister, nil, orderWithout),
			post("unknown field", restRegister, nil, `{"a":1}`),
			post("id that breaks its rule", restRegister, nil, strings.Replace(orderOfID, "ID", "a b", 1)),
			post("id that is no text", restRegister, nil, `{"requestId":7}`),
			post("text", restRegister, nil, `"ID"`),
			encoded("no id", func(r *reg) question { r.RequestId = ""; return ask(r) }),
			encoded("no UTF-8 in the id", func(r *reg) question { return question{message: r, replace: [2]string{"ID", "\xff\xff"}} }),
		},
		gigagatev1.Effect_EFFECT_INDETERMINATE: {
			post("body that is cut before the id", restRegister, nil, `{"metatag":"m","requestId":"I`),
			post("body that is too large before the id", restRegister, nil, `{"metatag":"`+strings.Repeat("m", 70<<10)+`","requestId":"ID"}`),
			post("order behind another one", restRegister, nil, "{}"+orderOfID),
			post("order behind null", restRegister, nil, "null "+orderOfID),
			post("list of orders", restRegister, nil, "["+orderOfID+"]"),
			post("no JSON", restRegister, nil, "requestId=ID"),
			post("compressed body", restRegister, http.Header{"Content-Encoding": {"gzip"}}, "\x1f\x8b"),
			post("key that is ambiguous", restRegister, http.Header{"Idempotency-Key": {`"I\\D"`}}, orderWithout),
			post("four ids", restRegister, http.Header{"Idempotency-Key": {"a", "b", "c"}}, orderOfID),
			raw("ambiguous request", chunkedHead+"Content-Length: 3\r\n\r\n"+chunks(orderOfID)),
			encoded("no protobuf", func(r *reg) question {
				return question{message: r, replace: [2]string{"\x0a\x02ID", "\x0a\xff\xff\x7f"}}
			}),
			encoded("id behind the part that is read", func(r *reg) question {
				last := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), r.GetRequestId())
				last = protowire.AppendString(protowire.AppendTag(last, 100, protowire.BytesType), strings.Repeat("m", 100<<10))
				// The fields before the id fill the first KiB to its last byte.
				r.RequestId, r.Metatag = "", ""
				r.Metatag = strings.Repeat("m", 1<<10-proto.Size(r)-3)
				r.ProtoReflect().SetUnknown(last)
				return ask(r)
			}),
			encoded("id behind a text that is too long", func(r *reg) question {
				last := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), r.GetRequestId())
				r.RequestId, r.Metatag = "", strings.Repeat("m", 100<<10)
				r.ProtoReflect().SetUnknown(last) // protobuf-go writes unknown fields last
				return ask(r)
			}),
		},
	} {
		for _, c := range orders {
			t.Run(c.name, func(t *testing.T) {
				c.call(t, g, "ID").checkEffectOfID(t, effect, "")
			})
		}
	}
	if sales := len(g.box.Ledger().Sales); sales > 0 {
		t.Errorf("%d sales for refused orders", sales)
	}
}

// If a refused order names two request ids, the effect that allows the caller least counts.
func TestRefusedOrdersOfTwoIDs(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathTopUp)
	g := open(t, setup{wrap: held.wrap})
	sold, failed, unsettled := register(), register(func(r *reg) { r.InventoryItemId = "none" }), topUp("nobody")
	soldID := g.bought(t, sold)
	failedAnswer := g.overREST(t, t.Context(), ask(failed))
	answers := make(chan answer, 1)
	go func() { answers <- g.overGRPC(t, g.life, ask(unsettled)) }()
	<-held.entered
	open := g.overREST(t, t.Context(), ask(other(unsettled, func(r *top) { r.Metatag = "other" })))
	const unused = "unused"
	for _, c := range []struct {
		one, other string
		effect     gigagatev1.Effect
		purchaseID string
	}{
		{failed.GetRequestId(), unused, gigagatev1.Effect_EFFECT_NOT_STARTED, ""},
		{failed.GetRequestId(), sold.GetRequestId(), gigagatev1.Effect_EFFECT_APPLIED, soldID},
		{unused, sold.GetRequestId(), gigagatev1.Effect_EFFECT_APPLIED, soldID},
		{unused, unsettled.GetRequestId(), gigagatev1.Effect_EFFECT_INDETERMINATE, open.purchaseID(t)},
		{sold.GetRequestId(), unsettled.GetRequestId(), gigagatev1.Effect_EFFECT_INDETERMINATE, open.purchaseID(t)},
		{failed.GetRequestId(), "also unused", gigagatev1.Effect_EFFECT_NOT_APPLIED, failedAnswer.purchaseID(t)}, // no purchase has such an id
	} {
		for _, ids := range [][2]string{{c.one, c.other}, {c.other, c.one}} {
			body := strings.Replace(orderOfID, "ID", ids[1], 1)
			a := g.http(t, t.Context(), http.MethodPost, restRegister, []byte(body), http.Header{"Idempotency-Key": {ids[0]}}, nil)
			a.checkEffectOfID(t, c.effect, c.purchaseID)
		}
	}
	close(held.open)
	<-answers
}

// A call beyond the gateway's bound is refused before its message arrives. The refusal waits for the message and tells the
// effect of its request id.
func TestOverloadedTellsTheEffectOfTheID(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := open(t, setup{journal: journal})
	message := register()
	purchaseID := g.bought(t, message)
	const connections, perConnection = 3, 340 // one client gets 1,000 places
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range connections {
		conn, err := grpc.NewClient(g.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		for range perConnection {
			if _, err := conn.NewStream(ctx, &grpc.StreamDesc{}, gigagatev1.PurchaseService_GetPurchase_FullMethodName); err != nil {
				t.Fatal(err)
			}
		}
		// The gateway admits the calls of a connection in their order. So it has seen all those above once this one ends.
		_, _ = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	}
	refused := func(order proto.Message) answer {
		for {
			a := g.overGRPC(t, t.Context(), ask(order))
			if a.outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED {
				return a
			}
			if t.Context().Err() != nil {
				t.Fatal("not refused")
			}
		}
	}
	refused(message).checkEffectOfID(t, gigagatev1.Effect_EFFECT_APPLIED, purchaseID)
	refused(register()).checkEffectOfID(t, gigagatev1.Effect_EFFECT_NOT_STARTED, "")
	journal.lookup.Store(&errJournal)
	refused(message).checkEffectOfID(t, gigagatev1.Effect_EFFECT_INDETERMINATE, "")
	if sales := len(g.box.Ledger().Sales); sales != 1 {
		t.Errorf("%d sales", sales)
	}
}

// A refused order has the effect of its request id: that of an earlier call, or indeterminate. If it said NOT_STARTED
// while an earlier sale may still come, the caller would buy twice.
func TestRefusedOrdersSpeakOfTheirRequestID(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	held := newGate(t, pathTopUp)
	g := open(t, setup{journal: journal, wrap: held.wrap})
	message := register()
	sold := g.overREST(t, t.Context(), ask(message))
	sold.ok(t)
	refused := topUp("nobody")
	answers := make(chan answer, 1)
	go func() { answers <- g.overGRPC(t, g.life, ask(refused)) }()
	<-held.entered
	broken := other(message, func(r *reg) { r.UserCountry = "nowhere" })
	open := other(refused, func(r *top) { r.InventoryItemId = "?" })
	invalidWith := func(effect, field string) want {
		return want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", effect, []string{field}}
	}
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(broken))
		a.check(t, invalidWith("APPLIED", "user_country"))
		if a.purchaseID(t) != sold.purchaseID(t) {
			t.Errorf("the answer names another purchase: %s", a.text)
		}
		d.call(t, t.Context(), ask(open)).check(t, invalidWith("INDETERMINATE", "inventory_item_id"))
		fresh := register(func(r *reg) { r.UserCountry = "nowhere" })
		d.call(t, t.Context(), ask(fresh)).check(t, invalidWith("NOT_STARTED", "user_country"))
		journal.lookup.Store(&errJournal)
		d.call(t, t.Context(), ask(fresh)).check(t, invalidWith("INDETERMINATE", "user_country"))
		// No purchase has an id that breaks the rule for ids, so the journal is not asked.
		noID := register(func(r *reg) { r.RequestId = "a b" })
		d.call(t, t.Context(), ask(noID)).check(t, invalidWith("NOT_STARTED", "request_id"))
		journal.lookup.Store(nil)
	}
	close(held.open)
	<-answers
}
