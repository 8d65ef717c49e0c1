package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/internal/fairshare"
)

// One connection of HTTP/2 can have many requests whose bodies never come. REST bounds them over all connections, before it
// reads a body.
func TestRequestsOfRESTAreBounded(t *testing.T) {
	t.Parallel()
	s := &Server{
		requests: fairshare.New(2), refusedRequests: fairshare.New(2), // one client gets one of the two places
		admission:      newAdmission(),
		logger:         slog.New(slog.DiscardHandler),
		tracerProvider: nooptrace.NewTracerProvider(), meterProvider: noop.NewMeterProvider(), propagator: propagation.TraceContext{},
	}
	rest := s.traced(s.guardREST(nil))
	post := func(path string, body io.Reader) (int, string) {
		recorder := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, body)
		r.Header.Set(idempotencyKeyHeader, "order-1")
		rest.ServeHTTP(recorder, r)
		return recorder.Code, recorder.Body.String()
	}
	answer := func(body io.Reader) (int, string) { return post("/nothing", body) }
	body := &stalled{begun: make(chan struct{}), end: make(chan struct{})}
	first := make(chan int)
	go func() {
		status, _ := answer(body)
		first <- status
	}()
	<-body.begun
	status, text := answer(http.NoBody)
	// Nobody has been identified yet, so nothing is told about the id of an order.
	if status, text := post("/v1/activations/register", http.NoBody); status != http.StatusTooManyRequests || !strings.Contains(text, "INDETERMINATE") {
		t.Errorf("an order: %d %s", status, text)
	}
	// A refusal that the client does not read keeps its place. So there is none for the next one, and it gets no answer.
	unread := &unreadAnswer{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), end: make(chan struct{})}
	refused := make(chan struct{})
	over2 := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/nothing", http.NoBody)
	over2.Proto, over2.ProtoMajor, over2.ProtoMinor = "HTTP/2.0", 2, 0
	go func() {
		defer close(refused)
		rest.ServeHTTP(unread, over2)
	}()
	select {
	case <-unread.begun:
	case <-refused:
		t.Error("the call ended before its answer was sent")
	}
	func() {
		defer func() {
			if value := recover(); value != http.ErrAbortHandler { //nolint:errorlint // net/http compares it, too
				t.Errorf("one more refusal: %v", value)
			}
		}()
		answer(http.NoBody)
	}()
	close(unread.end)
	<-refused
	close(body.end)
	if <-first != http.StatusNotFound || status != http.StatusTooManyRequests || !strings.Contains(text, "OVERLOADED") {
		t.Errorf("a second request: %d %s", status, text)
	}
	if status, text := answer(http.NoBody); status != http.StatusNotFound {
		t.Errorf("a request after the first: %d %s", status, text)
	}
}

// stalled is a body that does not come until its end.
type stalled struct{ begun, end chan struct{} }

func (s *stalled) Read([]byte) (int, error) {
	close(s.begun)
	<-s.end
	return 0, io.EOF
}

// unreadAnswer is an answer over HTTP/2 that is not read until its end.
type unreadAnswer struct {
	*httptest.ResponseRecorder
	begun, end chan struct{}
}

func (a *unreadAnswer) SetWriteDeadline(time.Time) error { return nil }

func (a *unreadAnswer) Flush() {
	close(a.begun)
	<-a.end
}
