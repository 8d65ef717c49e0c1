package simulation

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

// throttledSale is a 429 that had an effect.
var throttledSale = vendor(stepSend, "throttle", m{"commit": true})

// vendorSendFaults is the sandbox's whole table for a paid call, with variants of the parameters.
var vendorSendFaults = []fault{
	vendor(stepSend, "refuse", m{"reason": "priceMismatch"}),
	vendor(stepSend, "refuse", m{"reason": "insufficientCredits"}),
	vendor(stepSend, "refuse", m{"reason": "malformed", "shape": "html"}),
	vendor(stepSend, "refuse", m{"reason": "malformed", "shape": "plainText"}),
	vendor(stepSend, "refuse", m{"status": 422, "message": "no known words, for canary@example.com at 203.0.113.77"}),
	vendor(stepSend, "reset_before", nil),
	vendor(stepSend, "reset_before", m{"afterBytes": 20}),
	vendor(stepSend, "reset_before", m{"afterBytes": "request"}),
	vendor(stepSend, "commit_then_reset", nil),
	vendor(stepSend, "commit_then_close", nil),
	vendor(stepSend, "commit_then_5xx", m{"status": 500}),
	vendor(stepSend, "commit_then_5xx", m{"status": 502, "html": true}),
	vendor(stepSend, "commit_then_5xx", m{"status": 503}),
	vendor(stepSend, "commit_then_5xx", m{"status": 504}),
	vendor(stepSend, "5xx", m{"status": 500}),
	vendor(stepSend, "5xx", m{"status": 502}),
	vendor(stepSend, "5xx", m{"status": 504, "html": true}),
	vendor(stepSend, "5xx", m{"status": 503, "html": true}),
	vendor(stepSend, "commit_late", m{"delay": "5s"}),
	vendor(stepSend, "commit_late", m{"delay": "5s", "answer": true}),
	vendor(stepSend, "commit_late", m{"delay": "58s", "answer": true}),
	vendor(stepSend, "commit_late", m{"delay": "110s"}),
	vendor(stepSend, "hang", nil),
	vendor(stepSend, "hang", m{"duration": "10s"}),
	vendor(stepSend, "truncate", m{"bytes": 0}),
	vendor(stepSend, "truncate", m{"bytes": 12}),
	vendor(stepSend, "truncate", m{"bytes": 400}), // draw cuts at random places
	vendor(stepSend, "truncate", nil),
	vendor(stepSend, "truncate_chunked", nil),
	vendor(stepSend, "truncate_chunked", m{"bytes": 1 << 20}),
	vendor(stepSend, "garble", nil),
	vendor(stepSend, "wrong_status", nil),
	vendor(stepSend, "wrong_status", m{"commit": false}),
	vendor(stepSend, "foreign_metatag", nil),
	vendor(stepSend, "metatag_truncated", nil),
	vendor(stepSend, "metatag_truncated", m{"bytes": 28}),
	vendor(stepSend, "metatag_rewritten", nil),
	vendor(stepSend, "endless_body", nil),
	vendor(stepSend, "unauthorized", nil),
	vendor(stepSend, "throttle", nil),
	vendor(stepSend, "throttle", m{"retryAfter": 1 << 29}),
	throttledSale,
	vendor(stepSend, "redirect", nil),
	vendor(stepSend, "redirect", m{"status": 302, "commit": true}),
	vendor(stepSend, "redirect", m{"status": 308, "location": "http://127.0.0.1/gigastore/activations/register"}),
	vendor(stepSend, "slow_body", m{"bytes": 1, "interval": "1s"}),
	vendor(stepSend, "slow_body", m{"bytes": 64, "interval": "1s"}),
	vendor(stepSend, "early_hints", m{"n": 3}),
	vendor(stepSend, "surplus", nil),
	vendor(stepSend, "surplus", m{"place": "before"}),
	vendor(stepSend, "surplus", m{"place": "before", "code": 400, "split": true, "interval": "1s"}),
	vendor(stepSend, "surplus", m{"place": "before", "code": 402, "interval": "20s"}),
	vendor(stepSend, "surplus", m{"place": "before", "code": 429, "split": true}),
	vendor(stepSend, "surplus", m{"place": "before", "code": 200, "body": "{}"}),
	vendor(stepSend, "surplus", m{"place": "with", "code": 400}),
	vendor(stepSend, "surplus", m{"place": "with", "code": 503, "split": true, "interval": "1s"}),
	vendor(stepSend, "surplus", m{"place": "after"}),
	vendor(stepSend, "surplus", m{"place": "after", "code": 422, "split": true, "interval": "1s"}),
	vendor(stepSend, "status", m{"code": 408}),
	vendor(stepSend, "status", m{"code": 409, "body": `{"message":"conflict"}`, "contentType": "application/json", "commit": true}),
	vendor(stepSend, "status", m{"code": 425}),
	vendor(stepSend, "status", m{"code": 400, "body": `{"code":7}`, "contentType": "application/json"}),
	vendor(stepSend, "status", m{"code": 403, "body": "<html>no</html>", "contentType": "text/html", "commit": true}),
	vendor(stepSend, "status", m{"code": 204}),
	vendor(stepSend, "status", m{"code": 200}),
}

var vendorTokenFaults = []fault{
	vendor(stepToken, "5xx", m{"status": 503}),
	vendor(stepToken, "unauthorized", nil),
	vendor(stepToken, "throttle", m{"retryAfter": 2}),
	vendor(stepToken, "hang", nil),
	vendor(stepToken, "garble", nil),
	vendor(stepToken, "endless_body", nil),
	vendor(stepToken, "slow_body", m{"bytes": 8, "interval": "1s"}),
}

var vendorReadFaults = []fault{
	vendor(stepRead, "list_lag", m{"duration": "60s"}),
	vendor(stepRead, "list_cut", m{"n": 0}),
	vendor(stepRead, "list_cut", m{"n": 1}),
	vendor(stepRead, "list_unsorted", nil),
	vendor(stepRead, "list_no_metatags", nil),
	vendor(stepRead, "list_fail", nil),
	{step: stepRead, do: doVendor + "list_fail", count: 60}, // while sales go on
	vendor(stepRead, "truncate", nil),
	vendor(stepRead, "truncate_chunked", nil),
	vendor(stepRead, "garble", nil),
	vendor(stepRead, "status", m{"code": 200, "body": "[]", "contentType": "application/json"}),
	vendor(stepRead, "unauthorized", nil),
	vendor(stepRead, "throttle", m{"retryAfter": 3}),
	vendor(stepRead, "hang", nil),
	vendor(stepRead, "endless_body", nil),
}

// Every fault of the sandbox's table is in one of the lists above, so that the histories play it.
func TestEveryFaultOfTheSandboxIsPlayed(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	box.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/_sandbox/faults", nil))
	var table struct{ Known []struct{ Fault string } }
	if err := json.Unmarshal(answer.Body.Bytes(), &table); err != nil || len(table.Known) == 0 {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	played := slices.Concat(vendorSendFaults, vendorTokenFaults, vendorReadFaults)
	for _, known := range table.Known {
		if !slices.ContainsFunc(played, func(f fault) bool { return f.do == doVendor+known.Fault }) {
			t.Errorf("no history plays the fault %s", known.Fault)
		}
	}
}
