package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
		requests: fairshare.New(2), logger: slog.New(slog.DiscardHandler), // one client gets one of the two places
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
