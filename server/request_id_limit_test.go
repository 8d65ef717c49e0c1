package server

import (
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
)

// One client's look-ups of refused orders are limited. Beyond the limit the effect is indeterminate, and the journal is
// not asked.
func TestLookupsOfRefusedOrdersAreLimited(t *testing.T) {
	t.Parallel()
	s := &Server{lookups: fairshare.New(2)} // no engine: a look-up would panic
	if !s.lookups.Take("busy") {
		t.Fatal("no place for the first look-up")
	}
	refused := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD}
	s.tellOf(access.With(t.Context(), access.Open), "busy", refused, namedIDs{ids: []string{"order-1"}})
	if got := refused.outcome().GetEffect(); got != gigagatev1.Effect_EFFECT_INDETERMINATE {
		t.Errorf("beyond the limit: %s", got)
	}
	s.lookups.Release("busy")
	if !s.lookups.Take("busy") {
		t.Error("the refused look-up kept a place")
	}
}
