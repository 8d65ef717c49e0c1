package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gigagate.internal/gigastore/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	register     = "/gigastore/activations/register"
	topUp        = "/gigastore/activations/top-up"
	topUpProfile = "/gigastore/activations/top-up-with-profile"
	items        = "/gigastore/activations/activated-items"
	customers    = "/gigastore/activations/customers"
	search       = "/gigastore/activations/search-customers"
	inventory    = "/gigastore/products/inventory"
)

// began is the base clock of all tests that do not set their own.
var began = time.Date(2026, 3, 1, 12, 30, 15, 123_456_789, time.UTC)

// world is a sandbox behind a real HTTP server, with a client that has a token.
type world struct {
	*sandbox.Sandbox
	t      *testing.T
	url    string
	client *http.Client
	token  string

	holdClock atomic.Bool // the sandbox's base clock waits for blocked
	blocked   chan struct{}
}

// m is a JSON object. Its numbers are json.Number.
type m = map[string]any

func open(t *testing.T, change func(*sandbox.Settings)) *world {
	t.Helper()
	settings := sandbox.DefaultSettings()
	if change != nil {
		change(&settings)
	}
	return serve(t, sandbox.Config{Seed: 1, Settings: settings, Now: func() time.Time { return began }})
}

func serve(t *testing.T, config sandbox.Config) *world {
	t.Helper()
	box, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	w := &world{Sandbox: box, t: t, url: server.URL, client: server.Client()}
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		_ = box.Close()
		server.Close()
	})
	w.authenticate()
	return w
}

// inMemory serves without a network, for tests in a synctest bubble.
func inMemory(t *testing.T, change func(*sandbox.Settings)) *world {
	t.Helper()
	settings := sandbox.DefaultSettings()
	if change != nil {
		change(&settings)
	}
	w := &world{t: t, url: "http://sandbox.invalid", blocked: make(chan struct{})}
	box, err := sandbox.New(sandbox.Config{Seed: 1, Settings: settings, Now: func() time.Time {
		if w.holdClock.Load() {
			<-w.blocked
		}
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: box, ReadHeaderTimeout: time.Hour}
	go func() { _ = server.Serve(listener) }()
	transport := &http.Transport{DialContext: listener.dial}
	w.Sandbox, w.client = box, &http.Client{Transport: transport}
	t.Cleanup(func() {
		_ = box.Close()
		transport.CloseIdleConnections()
		_ = server.Close()
	})
	w.authenticate()
	return w
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	text   string
	err    error // an error of the connection, or of reading the body
}

func (r reply) object(t *testing.T) m {
	t.Helper()
	var object m
	decode(t, r.text, &object)
	return object
}

func (r reply) array(t *testing.T) []any {
	t.Helper()
	var array []any
	decode(t, r.text, &array)
	return array
}

func decode(t *testing.T, text string, target any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// at returns a member of nested objects: at(answer, "customer", "uid").
func at(t *testing.T, value any, path ...string) any {
	t.Helper()
	for _, name := range path {
		object, ok := value.(m)
		if !ok {
			t.Fatalf("no object around %q of %v", name, path)
		}
		if value, ok = object[name]; !ok {
			t.Fatalf("no member %q of %v", name, path)
		}
	}
	return value
}

func text(t *testing.T, value any, path ...string) string {
	t.Helper()
	s, ok := at(t, value, path...).(string)
	if !ok {
		t.Fatalf("%v is %v, not a string", path, at(t, value, path...))
	}
	return s
}

func (w *world) do(ctx context.Context, method, path string, body any, header ...string) reply {
	w.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, w.url+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if reader != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.GetBody = nil // otherwise net/http would repeat a request with an Idempotency-Key
	request.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := w.client.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(data), err}
}

func (w *world) post(path string, body any, header ...string) reply {
	w.t.Helper()
	return w.do(w.t.Context(), http.MethodPost, path, body, header...)
}

func (w *world) get(path string) reply {
	w.t.Helper()
	return w.do(w.t.Context(), http.MethodGet, path, nil)
}

// ok expects a 200 that could be read to its end.
func (w *world) ok(r reply) reply {
	w.t.Helper()
	if r.err != nil || r.status != http.StatusOK {
		w.t.Fatalf("status %d, error %v, body %s", r.status, r.err, r.text)
	}
	return r
}

// refused expects a status and a sentence.
func (w *world) refused(r reply, status int, sentence string) {
	w.t.Helper()
	if r.err != nil || r.status != status || !strings.Contains(r.text, sentence) {
		w.t.Errorf("status %d, error %v, body %s, want %d and %q", r.status, r.err, r.text, status, sentence)
	}
}

func (w *world) authenticate() {
	w.t.Helper()
	basic, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/reseller/authenticate", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	basic.SetBasicAuth("anybody", "anything")
	auth := w.ok(w.post("/reseller/authenticate", nil, "Authorization", basic.Header.Get("Authorization")))
	w.token = text(w.t, auth.object(w.t), "accessToken")
}

// order returns the smallest register request. more adds or replaces members.
func order(item, metatag string, more ...m) m {
	body := m{"inventoryItemId": item, "metatag": metatag, "userIp": "203.0.113.24", "userCountry": "GR"}
	for _, members := range more {
		maps.Copy(body, members)
	}
	return body
}

func mode(word string) m { return m{"activationMode": word} }

// sale holds what later steps of a test need from a sale's answer.
type sale struct{ item, customer, iccid string }

func (w *world) sell(path string, body m) sale {
	w.t.Helper()
	answer := w.ok(w.post(path, body)).object(w.t)
	sold := sale{item: text(w.t, answer, "activatedItem", "uid"), customer: text(w.t, answer, "customer", "uid")}
	if esim, ok := answer["esimProfile"].(m); ok {
		sold.iccid = text(w.t, esim, "iccid")
	}
	return sold
}

func (w *world) register(item, metatag string, more ...m) sale {
	w.t.Helper()
	return w.sell(register, order(item, metatag, more...))
}

func (w *world) topUp(of sale, item, metatag string, more ...m) sale {
	w.t.Helper()
	return w.sell(topUp, order(item, metatag, append(more, m{"customerUid": of.customer})...))
}

// balance reads a package and returns its balance.
func (w *world) balance(itemUID string) m {
	w.t.Helper()
	record := w.ok(w.get(items + "/" + itemUID)).object(w.t)
	balance, _ := at(w.t, record, "activatedItem", "balance").(m)
	return balance
}

func (w *world) started(itemUID string) bool {
	w.t.Helper()
	return w.balance(itemUID)["activatedAt"] != nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// advance moves the clock and gets a new token, because tokens expire on that
// clock.
func (w *world) advance(by time.Duration) {
	w.t.Helper()
	w.must(w.Advance(by))
	w.authenticate()
}

// metatags returns the metatags in the ledger, in order.
func metatags(ledger sandbox.Ledger) string {
	var all []string
	for _, sold := range ledger.Sales {
		all = append(all, sold.Metatag)
	}
	return strings.Join(all, " ")
}

func fixture(t *testing.T, name string) any {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var value any
	decode(t, string(data), &value)
	return value
}
