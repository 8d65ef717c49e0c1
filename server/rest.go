package server

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
)

const (
	transportREST = "rest"
	// idempotencyKeyHeader may carry the request id over REST.
	idempotencyKeyHeader = "Idempotency-Key"
	// replayedKey marks an answer that was recorded earlier.
	replayedKey = "gigagate-replayed"
)

// newREST makes the REST handler. It reads requests strictly. Apart from that it is only a client of the gRPC
// services behind conn.
func (s *Server) newREST(conn grpc.ClientConnInterface) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newStrictJSON(false)),
		runtime.WithMarshalerOption(prettyMIME, newStrictJSON(true)),
		runtime.WithIncomingHeaderMatcher(noHeader),
		runtime.WithOutgoingHeaderMatcher(replayedHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithMiddlewares(s.strictRequest),
		runtime.WithErrorHandler(s.restError),
		runtime.WithRoutingErrorHandler(s.restRoutingError),
		// A path parameter stays one path segment, so that a uid with %2F in it is refused as a wrong uid.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
	ctx := context.Background()
	for _, register := range []func() error{
		func() error {
			return gigagatev1.RegisterActivationServiceHandlerClient(ctx, mux, gigagatev1.NewActivationServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterInventoryServiceHandlerClient(ctx, mux, gigagatev1.NewInventoryServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterCustomerServiceHandlerClient(ctx, mux, gigagatev1.NewCustomerServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterPurchaseServiceHandlerClient(ctx, mux, gigagatev1.NewPurchaseServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterFreezeServiceHandlerClient(ctx, mux, gigagatev1.NewFreezeServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterAuditServiceHandlerClient(ctx, mux, gigagatev1.NewAuditServiceClient(conn))
		},
		func() error {
			return gigagatev1.RegisterBudgetServiceHandlerClient(ctx, mux, gigagatev1.NewBudgetServiceClient(conn))
		},
	} {
		if err := register(); err != nil {
			return nil, err
		}
	}
	return s.traced(s.guardREST(mux)), nil
}

// restCall is what the layers of REST tell each other about one request.
type restCall struct {
	original *http.Request
	start    time.Time
	route    *route    // nil until the path has matched
	fault    *failure  // found by the decoder, whose error grpc-gateway reduces to its text
	pretty   bool      // the caller asked for an indented answer
	body     *restBody // nil if it is not known where the body ends
}

type restCallKey struct{}

func restCallOf(ctx context.Context) *restCall {
	call, _ := ctx.Value(restCallKey{}).(*restCall)
	return call
}

// traced gives the request a server span. otelhttp would put the path, the query and X-Forwarded-For on the
// span. So it sees a copy of the request without the caller's free text.
func (s *Server) traced(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, shadow *http.Request) {
		call := restCallOf(shadow.Context())
		r := call.original.WithContext(shadow.Context())
		r.Body = shadow.Body
		next.ServeHTTP(w, r)
		if call.route != nil {
			shadow.Pattern = call.route.method + " " + call.route.template
			annotate(shadow.Context(), semconv.HTTPRoute(call.route.template))
		}
	})
	outer := otelhttp.NewHandler(inner, "REST",
		otelhttp.WithTracerProvider(s.tracerProvider), otelhttp.WithMeterProvider(s.meterProvider),
		otelhttp.WithPropagators(s.propagator))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setTLS(r)
		ctx := context.WithValue(r.Context(), restCallKey{}, &restCall{original: r, start: time.Now()})
		shadow := (&http.Request{
			Method: spanMethod(r.Method), URL: &url.URL{}, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
			Header: http.Header{}, Body: r.Body, ContentLength: r.ContentLength, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
		}).WithContext(ctx)
		// This replaces the Host header, where a caller can write anything.
		if local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); ok {
			shadow.Host = local.String()
		}
		for _, name := range s.propagator.Fields() {
			if values := r.Header.Values(name); len(values) > 0 {
				shadow.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		outer.ServeHTTP(w, shadow)
	})
}

// spanMethod is the method for the span: a standard HTTP method, or _OTHER. A caller can send any word as the method.
func spanMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER" // OpenTelemetry's word for it
}

// sendAnswer waits until the client has taken the answer of a call over HTTP/2, or until readTime is over. So the call keeps
// its place meanwhile. Otherwise net/http would wait after the handler has returned, and a client that reads nothing could
// keep any number of answers waiting. A connection of HTTP/1.1 has one call at a time.
func sendAnswer(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor < 2 {
		return
	}
	answer := http.NewResponseController(w)
	_ = answer.SetWriteDeadline(time.Now().Add(readTime)) // an error would mean that the stream is gone
	_ = answer.Flush()
}

// guardREST sets the headers of every answer, bounds the body, recovers panics, serves the documentation and
// refuses every other path that is not a call of the contract.
func (s *Server) guardREST(mux *runtime.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := trace.SpanContextFromContext(r.Context()).TraceID(); id.IsValid() {
			w.Header().Set(traceIDKey, id.String())
		}
		// Answers contain secrets and the outcome of purchases.
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if value := recover(); value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it, too
				panic(value)
			} else if value != nil {
				s.refuse(w, r, &failure{
					reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: newPanicked(value),
				})
			}
		}()
		// grpc-gateway would take a deadline from Grpc-Timeout, and would announce trailers because of TE.
		r.Header.Del("Grpc-Timeout")
		r.Header.Del("TE")
		defer endOfRequest(r)
		client := fairshare.ClientOf(r.RemoteAddr)
		defer s.admission.floods.beginREST(r, client)()
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody waits for its answer
		}
		places := s.requests
		overloaded := !s.requests.Take(client)
		if overloaded {
			places = s.refusedRequests
			if !s.refusedRequests.Take(client) {
				panic(http.ErrAbortHandler) // ends the stream or the connection, without an answer that nobody may read
			}
		}
		defer places.Release(client)
		defer sendAnswer(w, r)
		if overloaded {
			s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		call := restCallOf(r.Context())
		wrongPretty := takePretty(r)
		if s.knownHost != nil && !s.knownHost(r.Host) {
			unknown := &failure{
				reason: gigagatev1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST, httpStatus: http.StatusMisdirectedRequest,
				sentence: "this host name is not known here: --allowed-hosts adds names",
			}
			if call.isOrder() {
				// A web page may have made this call under its own host name, and can read the answer. It must not learn
				// what is in the journal, so the request id is not looked up.
				unknown.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
			}
			s.refuse(w, r, unknown)
			return
		}
		// Nothing of the body has been read so far.
		if r = s.identifyREST(r); access.Of(r.Context()) == nil && !s.isDocs(r) && !isRoot(r) {
			s.refuseUnidentified(w, r)
			return
		}
		f, end := beginCall(r.Context(), call.isOrder())
		defer end()
		if f != nil {
			s.refuseUnread(w, r, f)
			return
		}
		if f := checkFraming(w, r); f != nil {
			s.refuse(w, r, f)
			return
		}
		call.body = &restBody{ReadCloser: r.Body, call: call}
		r.Body = call.body
		if wrongPretty != nil {
			s.refuse(w, r, wrongPretty)
			return
		}
		if s.isDocs(r) {
			s.serveDocs(w, r)
			return
		}
		if isRoot(r) {
			s.serveRoot(w, r)
			return
		}
		// No id has a colon. So an escaped colon begins a verb, as in {id}%3Await.
		r.URL.RawPath = escapedColon.Replace(r.URL.RawPath)
		if strings.HasSuffix(r.URL.EscapedPath(), "/") || r.URL.Path != "/v1" && !strings.HasPrefix(r.URL.Path, "/v1/") {
			s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

var escapedColon = strings.NewReplacer("%3A", ":", "%3a", ":")

func noHeader(string) (string, bool) { return "", false }

func replayedHeader(key string) (string, bool) {
	if key == replayedKey {
		return key, true
	}
	return "", false
}

// unquoted removes one pair of quotation marks from an Idempotency-Key. The IETF draft of the header wants the
// quoted form, which is a string of RFC 8941. In such a string a backslash begins an escape, so the id would not be
// the text that the caller sees. It is refused. The rule for request ids refuses every other fault.
func unquoted(key string) (string, *failure) {
	inner, opened := strings.CutPrefix(key, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if !opened || !closed {
		return key, nil
	}
	if strings.Contains(inner, `\`) {
		return "", malformed("request_id", "a quoted Idempotency-Key must not contain a backslash")
	}
	return inner, nil
}

// malformed is the failure of a request that could not be read as a call. An empty field means the request
// as a whole.
func malformed(field, description string) *failure {
	return &failure{
		reason: gigagatev1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST,
		fields: []*gigagatev1.FieldViolation{{Field: field, Description: description}},
	}
}
