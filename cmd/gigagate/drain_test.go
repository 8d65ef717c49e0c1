package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/sqlite"
)

// held is a fault that keeps a sale running: the sandbox has the request and answers slowly.
const held = `{"path":"/gigastore/activations/register","fault":"slow_body","count":2,"params":{"bytes":200,"interval":"150ms"}}`

// TestDrainFinishesWhatRuns stops a gateway while a gRPC purchase and a REST purchase wait for the vendor.
func TestDrainFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=debug")
	g.inject(t, held)
	activations := g.activations(t)

	viaREST, viaGRPC := make(chan answer, 1), make(chan error, 1)
	go func() {
		got, err := try(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""),
			http.Header{"Content-Type": {"application/json"}})
		if err != nil {
			got.body = err.Error()
		}
		viaREST <- got
	}()
	go func() {
		_, err := activations.Register(t.Context(), &gigagatev1.RegisterRequest{
			RequestId: "order-2", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
		})
		viaGRPC <- err
	}()
	g.log.waitFor(t, g.ended, `(?s)"fault":"slow_body".*"fault":"slow_body"`)
	g.stop()
	g.log.waitFor(t, g.ended, `"msg":"draining`)
	if got := get(t, "http://"+g.admin+"/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("readyz while draining: %+v", got)
	}
	for _, address := range []string{g.grpc, g.rest} {
		if !refusesConnections(address) {
			t.Errorf("%s accepts connections while draining", address)
		}
	}

	if got := <-viaREST; got.status != http.StatusOK || !strings.Contains(got.body, `"purchaseId"`) {
		t.Errorf("REST: %+v", got)
	}
	if err := <-viaGRPC; err != nil {
		t.Errorf("gRPC: %v", err)
	}
	if got := g.exit(); got != 0 {
		t.Errorf("exit status %d: %s", got, g.log)
	}
	if !strings.Contains(g.log.String(), `"msg":"drained","clean":true`) {
		t.Errorf("no clean end in %s", g.log)
	}
	for _, address := range []string{g.grpc, g.rest, g.admin, g.sandbox} {
		if !refusesConnections(address) {
			t.Errorf("%s is still open", address)
		}
	}
}

// A purchase outlives its caller. The drain waits for it too, and its outcome is in the journal.
func TestDrainWaitsForPurchasesWithoutACaller(t *testing.T) {
	t.Parallel()
	v := startVendor(t) // not the gateway's own sandbox, which would also wait for its requests
	g := v.startGateway(t, "--log-level=debug")
	g.inject(t, held)
	activations := g.activations(t)
	ctx, hangUp := context.WithCancel(t.Context())
	hungUp := make(chan struct{})
	go func() {
		defer close(hungUp)
		_, _ = activations.Register(ctx, &gigagatev1.RegisterRequest{
			RequestId: "order-1", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
		})
	}()
	<-v.paid
	hangUp()
	<-hungUp
	if got := g.exit(); got != 0 {
		t.Errorf("exit status %d: %s", got, g.log)
	}
	// If the gateway had not waited for the answer, the purchase would be uncertain.
	if p := g.kept(t, "order-1"); p.State != purchase.Succeeded || p.Attempt != 1 {
		t.Errorf("the journal has %+v", p)
	}
}

// kept reads a purchase from the journal of a gateway that has ended.
func (g *gateway) kept(t *testing.T, requestID string) purchase.Purchase {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), g.journal, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	p, err := journal.Lookup(t.Context(), purchase.Key{Caller: "default", RequestID: requestID})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refusesConnections reports whether nobody listens. A server may close its listener a little later. If a
// connection is still made, it must be closed without an answer.
func refusesConnections(address string) bool {
	for {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		// The read ends when the server closes the connection. A drain closes idle connections.
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
		if err == nil {
			return false
		}
	}
}

// If the vendor never answers, the purchase ends at the vendor timeout. It is reported and stored as uncertain,
// and the gateway still ends with status 0.
func TestDrainWaitsNoLongerThanTheVendorMay(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=debug", "--gigastore-timeout=500ms")
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"hang"}`)
	activations := g.activations(t)
	answered := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := activations.Register(ctx, &gigagatev1.RegisterRequest{
			RequestId: "order-1", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
		})
		answered <- err
	}()
	g.log.waitFor(t, g.ended, `"fault":"hang"`)
	g.stop()
	err := <-answered
	if told := newCallError(err); status.Code(err) == codes.OK || !told.mayHaveEffect() {
		t.Errorf("the caller was told %v", told)
	}
	if got := g.exit(); got != 0 {
		t.Errorf("exit status %d: %s", got, g.log)
	}
	if p := g.kept(t, "order-1"); p.State != purchase.Uncertain {
		t.Errorf("the journal has %+v", p)
	}
}

// process is gigagate in a separate process.
type process struct {
	*exec.Cmd
	out, log *watched
	ended    chan struct{}
}

func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), out: newWatched(), log: newWatched(), ended: make(chan struct{})}
	p.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.Stdout, p.Stderr = p.out, p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
	})
	return p
}

func TestSIGTERMEndsWithStatus0(t *testing.T) {
	t.Parallel()
	p := startProcess(t, nil, serveLine(t, "--sandbox")...)
	p.out.waitFor(t, p.ended, `A purchase:`)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d: %s", code, p.log)
	}
}

// A signal may arrive after the gateway has opened its ports but before it serves them.
func TestStoppedBeforeItServes(t *testing.T) {
	t.Parallel()
	var open listeners
	t.Cleanup(open.close)
	gateway, rest := grpc.NewServer(), newHTTPServer(http.NotFoundHandler(), 0)
	gateway.Stop()
	if err := errors.Join(serveGRPC(gateway, open.listen(t.Context(), "gRPC", "127.0.0.1:0")), rest.Shutdown(t.Context()),
		serveHTTP(rest, open.listen(t.Context(), "REST", "127.0.0.1:0")), open.err); err != nil {
		t.Error(err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProcess(t, nil, serveLine(t, "--sandbox", "--log-level=debug")...)
	rest := p.out.waitFor(t, p.ended, `REST +http://(\S+)`)[1]
	control := p.out.waitFor(t, p.ended, `sandbox +(http://\S+/_sandbox)/`)[1]
	post(t, control+"/faults", `{"path":"/gigastore/activations/register","fault":"hang"}`)
	broken := make(chan error, 1)
	go func() {
		_, err := try(t, http.MethodPost, "http://"+rest+"/v1/activations/register", registration("order-1", ""),
			http.Header{"Content-Type": {"application/json"}})
		broken <- err
	}()
	p.log.waitFor(t, p.ended, `"fault":"hang"`)
	_ = p.Process.Signal(syscall.SIGTERM)
	p.log.waitFor(t, p.ended, `"msg":"draining`)
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.ended // without the second signal it would wait for the vendor's timeout of 60 s
	if code := p.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("it ended with %v", p.ProcessState)
	}
	if err := <-broken; err == nil {
		t.Error("the purchase under way was answered")
	}
}

// TestShutDownEndsWhatIsLeft: when the drain's time is over, a call that hangs is cut off. Otherwise what it holds would
// keep the process from ending.
func TestShutDownEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	caller := make(chan error, 1)
	go func() {
		resp, err := server.Client().Get(server.URL)
		if err == nil {
			err = resp.Body.Close()
		}
		caller <- err
	}()
	<-entered
	cancel()
	if err := shutDown(ctx, server.Config); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v: a drain that was not clean must return an error", err)
	}
	<-left
	if err := <-caller; err == nil {
		t.Error("the call that hung has an answer")
	}
}
