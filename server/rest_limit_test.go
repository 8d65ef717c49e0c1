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
	answer := func(body io.Reader) (int, string) {
		recorder := httptest.NewRecorder()
		rest.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/nothing", body))
		return recorder.Code, recorder.Body.String()
	}
	body := &stalled{begun: make(chan struct{}), end: make(chan struct{})}
	first := make(chan int)
	go func() {
		status, _ := answer(body)
		first <- status
	}()
	<-body.begun
	status, text := answer(http.NoBody)
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
