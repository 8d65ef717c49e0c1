package main

import (
	"path/filepath"
	"testing"
)

// TestTheListFitsTheCode: every rule on the list is where the list says, once. Whether a test notices
// its removal takes minutes, and is what the command is for.
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
