package main

import (
	"strings"
	"testing"

	"gigagate.internal/clients/go/client"
)

func TestWhatNow(t *testing.T) {
	t.Parallel()
	for effect, want := range map[string]string{
		"NOT_STARTED": "with the same request id",
		"NOT_APPLIED": "a new request id buys anew",
		"APPLIED":     "it was sold, as purchase 01JD",
	} {
		if got := whatNow(&client.Refused{Effect: effect, PurchaseID: "01JD"}); !strings.Contains(got, want) {
			t.Errorf("%s: %q", effect, got)
		}
		// The effect is that of another order then.
		reused := &client.Refused{Effect: effect, Reason: "REQUEST_ID_REUSED"}
		if got := whatNow(reused); !strings.Contains(got, "this one was not bought") {
			t.Errorf("REQUEST_ID_REUSED, %s: %q", effect, got)
		}
	}
	if got := whatNow(&client.Refused{Effect: "INDETERMINATE", Reason: "UNAUTHENTICATED"}); !strings.Contains(got, "the credential is wrong") {
		t.Errorf("UNAUTHENTICATED: %q", got)
	}
}
