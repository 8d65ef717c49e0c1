package main

import (
	"strings"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

func TestWhatNow(t *testing.T) {
	t.Parallel()
	for effect, want := range map[gigagatev1.Effect]string{
		gigagatev1.Effect_EFFECT_UNSPECIFIED:   "it may have been bought",
		gigagatev1.Effect_EFFECT_NOT_STARTED:   "an earlier one may have bought",
		gigagatev1.Effect_EFFECT_NOT_APPLIED:   "nothing was bought",
		gigagatev1.Effect_EFFECT_APPLIED:       "it was bought",
		gigagatev1.Effect_EFFECT_INDETERMINATE: "it may have been bought",
	} {
		if got := whatNow(&gigagatev1.Outcome{Effect: effect}); !strings.Contains(got, want) {
			t.Errorf("%v: %q", effect, got)
		}
		// The effect is that of another order then.
		reused := &gigagatev1.Outcome{Effect: effect, Reason: gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED}
		if got := whatNow(reused); !strings.Contains(got, "this one was not bought") {
			t.Errorf("REQUEST_ID_REUSED, %v: %q", effect, got)
		}
	}
	if got := whatNow(nil); !strings.Contains(got, "it may have been bought") {
		t.Errorf("no Outcome: %q", got)
	}
}
