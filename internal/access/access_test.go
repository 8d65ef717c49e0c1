package access_test

import (
	"testing"

	"gigagate.internal/internal/access"
)

func TestNobodyMayDoAnything(t *testing.T) {
	t.Parallel()
	if access.Of(t.Context()) != nil {
		t.Error("a call that nobody identified has a principal")
	}
	if (access.Rights{}).Methods.Has("Register") {
		t.Error("no rights allow a method")
	}
}

// The heir of the purchases that were made before there were callers keeps their key.
func TestHeirKeepsTheKey(t *testing.T) {
	t.Parallel()
	heir := &access.Principal{Name: "shop", Rights: access.Rights{InheritsDefault: true}}
	other := &access.Principal{Name: "billing"}
	if heir.Key() != "default" || other.Key() != "billing" {
		t.Errorf("the keys are %q and %q", heir.Key(), other.Key())
	}
}
