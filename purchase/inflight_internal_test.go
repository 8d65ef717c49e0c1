package purchase

import "testing"

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
