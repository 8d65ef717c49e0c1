package purchase

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// absentJournal is a journal whose methods all panic.
type absentJournal struct{ Journal }

// TestReconcilerSurvivesAPanic: the reconciler logs a panic without its value, and makes another pass.
func TestReconcilerSurvivesAPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := newReconciler(&Engine{journal: absentJournal{}, logger: slog.New(slog.NewTextHandler(&log, nil))}, ReconcileConfig{})
	if left := r.pass(t.Context(), false); left == 0 {
		t.Error("nothing is left to do after a pass that panicked")
	}
	if !strings.Contains(log.String(), "the reconciler panicked") || strings.Contains(log.String(), "nil pointer") {
		t.Errorf("the log has %s", log.String())
	}
}
