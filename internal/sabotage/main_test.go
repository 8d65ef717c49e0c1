package main

import (
	"path/filepath"
	"testing"
)

// TestTheListFitsTheCode checks that the text of every rule is in its file exactly once. It does not check that a test fails
// without the rule. The command does that, and takes minutes.
func TestTheListFitsTheCode(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range sabotages {
		changed, err := s.changed(filepath.Join("..", ".."))
		if err != nil {
			t.Error(err)
		}
		if len(changed) == 0 || names[s.name] || s.test == "" || s.pkg == "" {
			t.Errorf("%q: edits in %d files, name used before: %t, test %q in %q", s.name, len(changed), names[s.name], s.test, s.pkg)
		}
		names[s.name] = true
	}
	if len(sabotages) < 25 {
		t.Errorf("only %d sabotages", len(sabotages))
	}
}
