package purchase

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/gigastore"
)

func TestCallsBesideACall(t *testing.T) {
	t.Parallel()
	var f inFlight
	key := Key{Caller: "default", RequestID: "order-1"}
	f.enter(key)
	f.enterClaim(key)
	if others := f.leave(key); others {
		t.Error("a call's own claim counts as another call")
	}
	f.enter(key) // while the first call is under way
	f.leave(key)
	if others := f.leave(key); !others {
		t.Error("a call that came and left meanwhile is forgotten")
	}
	if len(f.keys) > 0 {
		t.Error("a key is kept although everything has left")
	}
	f.enter(key)
	if others := f.leave(key); others {
		t.Error("a call from before counts as one beside it")
	}
}

// TestPanicLeavesNoKey: after a panic in a call or in its claim, nothing is in flight under its key. Otherwise every later
// refusal of the same request id would be told as an unknown outcome.
func TestPanicLeavesNoKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1", ClientID: "test", ClientSecret: "test"})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		e := NewEngine(Config{Journal: absentJournal{}, Vendor: vendor, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer e.end()
		for what, budget := range map[string]*Budget{"claim": nil, "call": {}} {
			ctx, leave := context.WithTimeout(t.Context(), time.Minute)
			panicked := func() (panicked bool) {
				defer func() { panicked = recover() != nil }()
				_, _ = e.Buy(ctx, &Request{Key: Key{Caller: "default", RequestID: what}, Order: Order{Kind: Register}, Budget: budget})
				return false
			}()
			leave()
			synctest.Wait()
			if panicked != (what == "call") || len(e.inFlight.keys) > 0 {
				t.Errorf("%s: it panicked: %t, and left %v", what, panicked, e.inFlight.keys)
			}
		}
		if !strings.Contains(log.String(), "the owner of a purchase panicked") {
			t.Errorf("the log has %s", log.String())
		}
	})
}
