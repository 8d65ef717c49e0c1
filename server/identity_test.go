package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// everyCall has a valid request of every method.
func everyCall() []proto.Message {
	const id = "01JDXYZ0000000000000000000"
	return []proto.Message{
		register(), topUp("customer"), activate("item"), getCustomer("customer"),
		&gigagatev1.ListInventoryItemsRequest{}, &gigagatev1.GetPurchaseRequest{Id: id}, &gigagatev1.ListPurchasesRequest{},
		&gigagatev1.WaitPurchaseRequest{Id: id}, &gigagatev1.GetBudgetRequest{Caller: "shop"}, &gigagatev1.ListBudgetsRequest{},
		&gigagatev1.ResolvePurchaseRequest{Id: id, Operator: "anna", Note: "portal", Resolution: &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true}},
		freeze(ofCaller("nobody")), thaw(ofCaller("nobody")), &gigagatev1.ListFreezesRequest{}, &gigagatev1.ListAuditRecordsRequest{},
	}
}

func shortName(message proto.Message) string {
	method := rpcOf(message).method
	return method[strings.LastIndex(method, "/")+1:]
}

// Nobody gets past the first door, whatever the call, and whatever is wrong with it or with the credential.
func TestNobodyIsServed(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop")))
	sold := register()
	g.overGRPC(t, t.Context(), ask(sold).as("shop")).ok(t)
	before := g.box.Ledger()
	for _, message := range append(everyCall(), sold, register(func(r *reg) { r.UserCountry = "XX" })) {
		for _, d := range g.transports() {
			for _, credential := range []string{"", "stranger", "shop, Bearer stranger", "panics", "nil", "both"} {
				a := d.call(t, t.Context(), ask(message).as(credential))
				a.check(t, unidentified)
				a.echoesNothingOf(t, message)
				if id := a.outcome.GetPurchaseId(); id != "" {
					t.Errorf("%s: nobody is told of purchase %s", d.name, id)
				}
				if d.name == "rest" && a.header.Get("WWW-Authenticate") == "" {
					t.Error("a 401 does not say what it wants")
				}
			}
			two := ask(message)
			two.header = http.Header{"Authorization": {"Bearer shop", "Bearer shop"}}
			d.call(t, t.Context(), two).check(t, unidentified)
		}
	}
	if after := g.box.Ledger(); !sameCalls(before.Calls, after.Calls) {
		t.Errorf("nobody's calls reached the vendor: %v", after.Calls)
	}
	if logs := g.logs.String(); strings.Contains(logs, "Bearer") || strings.Contains(logs, "stranger") || strings.Contains(logs, "CANARY of a broken") {
		t.Error("a credential is in the log")
	}
}

// The refusal of a call whose caller is not known is held back, over both transports and for streams. No one else waits.
func TestWrongCredentialsAreHeldBack(t *testing.T) {
	t.Parallel()
	const pause = 150 * time.Millisecond
	g := openFor(t, newCallers(caller("shop")), func(s *setup) { s.refusalPause = pause })
	least := func(what string, call func()) {
		began := time.Now()
		call()
		if took := time.Since(began); took < pause {
			t.Errorf("%s: refused after %s", what, took)
		}
	}
	for _, d := range g.transports() {
		for _, credential := range []string{"", "stranger", "panics"} {
			least(d.name+" "+credential, func() { d.call(t, t.Context(), ask(register()).as(credential)).check(t, unidentified) })
		}
	}
	least("a stream", func() {
		stream, err := reflectionpb.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context())
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unauthenticated {
			t.Error(err)
		}
	})
}

// claims are headers by which a caller could claim to be somebody else.
func claims(name string) http.Header {
	header := http.Header{}
	for _, key := range []string{
		"Grpc-Metadata-Authorization", "Grpcgateway-Authorization", "X-Forwarded-Authorization", "Proxy-Authorization",
		"X-Forwarded-User", "X-Forwarded-Client-Cert", "X-Forwarded-For", "X-Spiffe-Id", "X-Client-Cert", "Ssl-Client-Cert",
		"X-Caller", "Caller", "Gigagate-Caller", "Grpc-Metadata-Caller", "X-Remote-User", "From", "Cookie", "X-Api-Key",
	} {
		header.Set(key, "Bearer "+name)
	}
	header.Add("X-Spiffe-Id", "spiffe://corp.example/"+name)
	header.Set("X-Forwarded-Client-Cert", `By=spiffe://corp.example/gigagate;URI=spiffe://corp.example/`+name)
	return header
}

// Only the credential makes a caller. No other header does, over either transport.
func TestHeadersMakeNoCaller(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop"), caller("billing")))
	for _, d := range g.transports() {
		q := ask(register())
		q.header = claims("shop")
		d.call(t, t.Context(), q).check(t, unidentified)
		if n := g.paid(); n > 0 {
			t.Fatalf("%s: a header bought %d packages", d.name, n)
		}
	}
	for i, d := range g.transports() {
		q := ask(register()).as("billing")
		maps.Copy(q.header, claims("shop"))
		d.call(t, t.Context(), q).ok(t)
		list := d.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as("billing"))
		list.ok(t)
		purchases := list.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases()
		if len(purchases) != i+1 || purchases[0].GetCaller() != "billing" {
			t.Errorf("%s: billing has %v", d.name, purchases)
		}
	}
}

// A connection does not outlive a right. The entry of the caller counts at every call.
func TestRightsAreReadAtEveryCall(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("shop"))
	g := openFor(t, known)
	for _, d := range g.transports() {
		known.set(caller("shop"))
		d.call(t, t.Context(), ask(register()).as("shop")).ok(t)
		known.set(caller("shop", func(r *access.Rights) { r.Methods = access.SetOf("GetPurchase") }))
		d.call(t, t.Context(), ask(register()).as("shop")).check(t, denied)
		known.remove("shop")
		d.call(t, t.Context(), ask(register()).as("shop")).check(t, unidentified)
	}
}

// The caller is identified before a byte of its body is read. So a caller that is not known cannot make the gateway wait
// for a body, and cannot make it decode one.
func TestBodyIsNotReadBeforeTheCallerIsKnown(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop")))
	t.Run("grpc", func(t *testing.T) {
		began := time.Now()
		stream, err := g.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, gigagatev1.ActivationService_Register_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(&gigagatev1.RegisterResponse{}) // nothing was sent
		a := answer{}
		a.setStatus(status.Convert(err))
		if a.code != codes.Unauthenticated || a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_INDETERMINATE {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
	for name, head := range map[string]string{
		"length":   "Content-Length: 100\r\n",
		"chunked":  "Transfer-Encoding: chunked\r\n",
		"continue": "Content-Length: 100\r\nExpect: 100-continue\r\n",
		"pretty":   "Content-Length: 100\r\nAccept: application/json+pretty\r\n",
	} {
		for _, path := range []string{"/v1/activations/register", "/v1/activations/register?pretty=maybe", "/v1/nothing", "/v1/purchases"} {
			t.Run("rest/"+name+path, func(t *testing.T) {
				t.Parallel()
				conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // long before the gateway would give up
				if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gigagate\r\nContent-Type: application/json\r\n%s\r\n", path, head); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				readAnswer(t, resp, &gigagatev1.RegisterResponse{}).check(t, unidentified)
			})
		}
	}
}

// Reflection shows the contract only to callers that are known. Everyone who can connect sees the health.
func TestStreamsAreIdentified(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop")))
	health := healthpb.NewHealthClient(g.conn)
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if err != nil {
		t.Error(err)
	}
	// A watch keeps its message, so it must be small.
	if large, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: strings.Repeat("s", 2<<10)}); err == nil {
		if _, err = large.Recv(); status.Code(err) != codes.Internal {
			t.Errorf("a large message: %v", err)
		}
	}
	for name, code := range map[string]codes.Code{"": codes.Unauthenticated, "stranger": codes.Unauthenticated, "shop": codes.OK} {
		ctx := t.Context()
		if name != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+name)
		}
		stream, err := reflectionpb.NewServerReflectionClient(g.conn).ServerReflectionInfo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		if _, err := stream.Recv(); status.Code(err) != code {
			t.Errorf("%q: %v", name, err)
		}
		_ = stream.CloseSend()
		if code == codes.OK {
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if err := g.conn.Invoke(t.Context(), "/gigagate.v1.NoService/NoMethod", &gigagatev1.GetPurchaseRequest{}, &gigagatev1.GetPurchaseResponse{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an unknown method: %v", err)
	}
}

// The purchases that were made before there were callers belong to their heir. A retry in its name finds them, also while
// they are under way, and nothing is bought twice. Another caller's request with the same id is its own.
func TestHeirInTheMiddleOfRetries(t *testing.T) {
	t.Parallel()
	vendor := newGate(t, "/activations/register")
	known := newCallers(caller("shop", func(r *access.Rights) { r.InheritsDefault = true }), caller("billing"), operator("anna"))
	known.nobody = access.Open // as a release before there were callers
	g := openFor(t, known, func(s *setup) {
		s.wrap = vendor.wrap
		s.settings = func(s *sandbox.Settings) { s.InitialCredit = 1_000_000_00 }
	})
	answers := make(chan answer, 3)
	buy := func(d transport, q question) {
		go func() { answers <- d.call(t, g.life, q) }()
	}
	old, underWay := register(), register()
	buy(g.transports()[0], ask(old))
	vendor.open <- struct{}{} // lets one through
	(<-answers).ok(t)
	buy(g.transports()[0], ask(underWay))
	<-vendor.entered
	<-vendor.entered

	known.mu.Lock()
	known.nobody = nil // the release with callers
	known.mu.Unlock()
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(old).as("shop"))
		a.ok(t)
		if a.replayed != "true" {
			t.Errorf("%s: the heir's retry is a new purchase", d.name)
		}
		buy(d, ask(underWay).as("shop"))
	}
	close(vendor.open)
	for range 3 {
		(<-answers).ok(t)
	}
	if n := g.paid(); n != 2 {
		t.Errorf("%d sales of 2 orders", n)
	}
	for _, name := range []string{"shop", "anna"} {
		list := g.overREST(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as(name))
		list.ok(t)
		purchases := list.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases()
		if len(purchases) != 2 || purchases[0].GetCaller() != "shop" || purchases[1].GetCaller() != "shop" {
			t.Errorf("%s sees %v", name, purchases)
		}
	}
	a := g.overGRPC(t, t.Context(), ask(old).as("billing"))
	a.ok(t)
	if a.replayed != "" || g.paid() != 3 {
		t.Errorf("another caller's order under the same id: replayed %q, %d sales", a.replayed, g.paid())
	}
}
