package main

import (
	"log/slog"
	"strings"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		words  []string
		status int
		says   string
	}{
		{[]string{"uncertain"}, 0, "PurchaseState "},
		{[]string{"NO_OLDER_WITNESS"}, 0, "page            docs/operations.md#operator_reason_no_older_witness\n"},
		{[]string{"purchase", "needs", "an", "operator"}, 0, "page        docs/operations.md#log-purchase-needs-an-operator\n"},
		{[]string{"owner of a send"}, 0, "docs/operations.md#log-the-owner-of-a-send-is-gone-its-outcome-is-uncertain\n"},
		{[]string{"answered"}, exitFailed, `the gateway does not use the word "answered", but these: ANSWERED_APPLIED, `},
		{[]string{`level=WARN msg="vendor problem" problem=outage`}, 0, "page        docs/operations.md#log-vendor-problem\n"},
		{[]string{"?"}, exitFailed, `the gateway does not use the word "?"`},
		{[]string{"xyz"}, exitFailed, `the gateway does not use the word "xyz"`},
		{nil, exitUsage, "expected"},
	} {
		got := gigagate(t, append(append([]string{"explain"}, test.words...), "--output=table")...)
		if got.status != test.status || !strings.Contains(got.out+got.err, test.says) {
			t.Errorf("%q: %+v", test.words, got)
		}
	}
	if got := gigagate(t, "explain", "PRESUMED_ABSENT"); !strings.HasPrefix(got.out, "[\n") || strings.Count(got.out, `"page":`) != 2 {
		t.Errorf("%+v", got)
	}
}

// TestPurchasesGetNamesItsPages: the table of a purchase says where its state and its reason are explained.
func TestPurchasesGetNamesItsPages(t *testing.T) {
	t.Parallel()
	shown := table(t, &gigagatev1.GetPurchaseResponse{Purchase: &gigagatev1.Purchase{
		State: gigagatev1.PurchaseState_PURCHASE_STATE_FAILED, Reason: gigagatev1.ErrorReason_ERROR_REASON_NEVER_SENT,
	}})
	if !strings.HasSuffix(shown, "\n\nFAILED is explained in docs/purchase-life.md#purchase_state_failed.\nNEVER_SENT is explained in docs/reference.md#error_reason_never_sent.\n") {
		t.Error(shown)
	}
}

// TestProblemsLeadToTheirPage: warnings and errors that the page explains have the page. Other lines have none.
func TestProblemsLeadToTheirPage(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logger := slog.New(helpHandler{logSettings{LogFormat: "text"}.newHandler(&log)}).With("a", 1).WithGroup("g")
	logger.Warn("vendor problem")
	logger.Info("vendor problem")
	logger.Error("a line that nobody explains")
	lines := strings.Split(log.String(), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[0], "help=docs/operations.md#log-vendor-problem") || strings.Contains(lines[1]+lines[2], "help") {
		t.Errorf("%s", log.String())
	}
}
