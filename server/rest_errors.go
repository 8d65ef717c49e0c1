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
)

// restError answers with an error that came through the interceptors as it is, and with a failure
// of our own where grpc-gateway found the fault: its texts hold values of the request.
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
	if code := status.Code(err); code == codes.Canceled || code == codes.DeadlineExceeded {
		// The in-process channel answers for the server when the caller has gone. The call's line in the
		// log is that of the interceptors, which the call still goes through.
		f := brokenOff(call.route, err)
		writeStatus(w, r, f.GRPCStatus(), httpStatusOf(f.reason))
		return
	}
	if _, ok := errors.AsType[*runtime.HTTPStatusError](err); ok || status.Code(err) == codes.InvalidArgument {
		s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST, cause: err})
		return
	}
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: err})
}

// brokenOff is the failure of a call that nobody waits for any more. What it spends or starts goes on
// without its caller; a read had no effect.
func brokenOff(route *route, err error) *failure {
	switch {
	case route.method != http.MethodGet:
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, cause: err}
	case strings.HasPrefix(route.rpc, "/"+gigagatev1.PurchaseService_ServiceDesc.ServiceName+"/"):
		return journalFailure("", err)
	}
	return readFailure(err)
}

// restRoutingError answers for a path or a method that is no call.
func (s *Server) restRoutingError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int,
) {
	if code == http.StatusMethodNotAllowed {
		s.refuseMethod(w, r, methodsOf(r.URL.Path))
		return
	}
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND})
}

// refuseMethod answers for a path that takes other methods.
func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allowed []string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_METHOD_NOT_ALLOWED})
}

// refuse answers with a failure born on this door, and writes its log line: such a call never
// reaches the interceptors.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *failure) {
	call := restCallOf(r.Context())
	method := ""
	if call.route != nil {
		method = call.route.rpc
	}
	s.logCall(r.Context(), logged{door: doorREST, method: method, start: call.start}, f)
	writeStatus(w, r, f.GRPCStatus(), cmp.Or(f.httpStatus, httpStatusOf(f.reason)))
}

// writeStatus writes a google.rpc.Status as JSON.
func writeStatus(w http.ResponseWriter, r *http.Request, st *status.Status, code int) {
	if delay := outcomeOf(st).GetRetryDelay(); delay != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(delay.AsDuration().Seconds()))))
	}
	body, err := protojson.Marshal(st.Proto())
	if err != nil {
		// A status whose details cannot be printed is still an error to be told.
		code, body = http.StatusInternalServerError, []byte(`{"code":13,"message":"the error could not be printed"}`)
	}
	body = layOut(body, restCallOf(r.Context()).pretty)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The caller has gone if this fails, and the outcome is in the log.
	_, _ = w.Write(body)
}

// outcomeOf finds the contract's detail in a status; nil when it has none.
func outcomeOf(st *status.Status) *gigagatev1.Outcome {
	for _, detail := range st.Details() {
		if outcome, ok := detail.(*gigagatev1.Outcome); ok {
			return outcome
		}
	}
	return nil
}
