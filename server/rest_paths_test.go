package server_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// Clients may escape any character of a path, and some compress the body. The gateway understands the request, or its
// refusal says what is wrong.
func TestPathsAndCodings(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	id := g.bought(t, register())
	for _, colon := range []string{":", "%3A", "%3a"} {
		g.http(t, t.Context(), "GET", "/v1/purchases/"+id+colon+"wait", nil, nil, &gigagatev1.WaitPurchaseResponse{}).ok(t)
	}
	nothing := want{codes.NotFound, http.StatusNotFound, "ROUTE_NOT_FOUND", "NOT_STARTED", nil}
	g.http(t, t.Context(), "GET", "/v1/purchases/", nil, nil, &gigagatev1.ListPurchasesResponse{}).check(t, nothing)
	coded := want{codes.InvalidArgument, http.StatusUnsupportedMediaType, "MALFORMED_REQUEST", "INDETERMINATE", []string{""}}
	g.http(t, t.Context(), "POST", restRegister, []byte("zipped"), http.Header{"Content-Encoding": {"gzip"}}, &gigagatev1.RegisterResponse{}).check(t, coded)
}
