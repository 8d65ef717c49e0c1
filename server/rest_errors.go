package server

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/fairshare"
)

// restError answers with an error. An error that came through the interceptors is sent unchanged. If grpc-gateway
// found the fault, restError sends the gateway's own failure, because grpc-gateway's texts contain values of the request.
func (s *Server) restError(
	ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	if st, ok := status.FromError(err); ok && outcomeOf(st) != nil {
		if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
			if values := md.HeaderMD.Get(replayedKey); len(values) > 0 {
				w.Header().Set(replayedKey, values[0])
			}
		}
		writeStatus(w, r, st, httpStatusOf(outcomeOf(st).GetReason()))
		return
	}
	call := restCallOf(r.Context())
	if call.fault != nil {
		s.refuse(w, r, call.fault)
		return
	}
	if _, ok := errors.AsType[*runtime.HTTPStatusError](err); ok || status.Code(err) == codes.InvalidArgument {
		s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST, cause: err})
		return
	}
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: err})
}

// restRoutingError answers if no call has the path or the method.
func (s *Server) restRoutingError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int,
) {
	if code == http.StatusMethodNotAllowed {
		s.refuseMethod(w, r, methodsOf(r.URL.Path))
		return
	}
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND})
}

// refuseMethod answers with METHOD_NOT_ALLOWED and names the methods that the path has.
func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allowed []string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_METHOD_NOT_ALLOWED})
}

// refuseUnidentified refuses a caller that is not known.
func (s *Server) refuseUnidentified(w http.ResponseWriter, r *http.Request) {
	s.holdBack(r.Context(), fairshare.ClientOf(r.RemoteAddr), restCallOf(r.Context()).start)
	w.Header().Set("WWW-Authenticate", "Bearer")
	s.refuseUnread(w, r, unauthenticated())
}

// refuseUnread refuses a call whose body stays unread, so the connection of HTTP/1 cannot be used again. Otherwise net/http
// would wait for the rest of the body before it answers.
func (s *Server) refuseUnread(w http.ResponseWriter, r *http.Request, f *failure) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	s.refuse(w, r, f)
}

// refuse answers with a failure that REST itself found. It does what the interceptors do for other failures, because such a
// call never reaches them: it looks the request id of an order up, and it writes the log line.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *failure) {
	call := restCallOf(r.Context())
	if call.isOrder() && f.needsLookup() {
		client := clientOf(context.WithValue(r.Context(), clientKey{}, fairshare.ClientOf(r.RemoteAddr)))
		s.tellOf(r.Context(), client, f, call.requestIDs())
	}
	method := ""
	if call.route != nil {
		method = call.route.rpc
	}
	s.logCall(r.Context(), &logged{transport: transportREST, method: method, start: call.start}, f)
	writeStatus(w, r, f.GRPCStatus(), cmp.Or(f.httpStatus, httpStatusOf(f.reason)))
}

// writeStatus writes a google.rpc.Status as JSON. The reason goes on the span of the request.
func writeStatus(w http.ResponseWriter, r *http.Request, st *status.Status, code int) {
	outcome := outcomeOf(st)
	annotate(r.Context(), errorType(outcome.GetReason()))
	if delay := outcome.GetRetryDelay(); delay != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(delay.AsDuration().Seconds()))))
	}
	body, err := protojson.Marshal(st.Proto())
	if err != nil {
		// The caller must see an error even if the details of the status cannot be printed.
		code, body = http.StatusInternalServerError, []byte(`{"code":13,"message":"the error could not be printed"}`)
	}
	body = layOut(body, restCallOf(r.Context()).pretty)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// This fails only if the caller is gone. The outcome is in the log.
	_, _ = w.Write(body)
}

// outcomeOf finds the contract's Outcome in the details of a status. It is nil if there is none.
func outcomeOf(st *status.Status) *gigagatev1.Outcome {
	for _, detail := range st.Details() {
		if outcome, ok := detail.(*gigagatev1.Outcome); ok {
			return outcome
		}
	}
	return nil
}
