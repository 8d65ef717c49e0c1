package main

import (
	"path/filepath"
	"testing"
)

// TestTheListFitsTheCode checks that every rule is in the code exactly once. It does not check that a test fails without
// the rule. The command does that, and takes minutes.
func TestTheListFitsTheCode(t *testing.T) {
	t.Parallel()
	code := newModule(filepath.Join("..", ".."))
	names := map[string]bool{}
	for _, s := range sabotages {
		changed, err := s.changed(code)
		if err != nil {
			t.Errorf("%q: %v", s.name, err)
			continue
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
