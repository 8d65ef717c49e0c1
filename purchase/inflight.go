package purchase

import (
	"errors"
	"sync"
)

// inFlight knows, by key, the calls and claims of this process that may still make a purchase which the journal does
// not show yet. A refused call must not say that there is nothing under its key if another call was under way beside it,
// even if that one came and left meanwhile: it may have bought after the refused call's look-up.
type inFlight struct {
	mu   sync.Mutex
	keys map[Key]*presence
}

// presence is what is known of a key while anything is under way.
type presence struct {
	now   int // calls and claims
	calls int // all calls since something is under way
}

// enter notes a call.
func (f *inFlight) enter(key Key) { f.add(key, 1) }

// enterClaim notes a claim. It belongs to a call, and may outlive it.
func (f *inFlight) enterClaim(key Key) { f.add(key, 0) }

func (f *inFlight) add(key Key, calls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys == nil {
		f.keys = map[Key]*presence{}
	}
	if f.keys[key] == nil {
		f.keys[key] = &presence{}
	}
	f.keys[key].now++
	f.keys[key].calls += calls
}

// leave ends a call or a claim. It reports whether there was more than one call.
func (f *inFlight) leave(key Key) (others bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.keys[key]
	if p.now--; p.now == 0 {
		delete(f.keys, key)
	}
	return p.calls > 1
}

// tellsOfKey reports whether an error of Buy is about a purchase under the key. All other errors say that there
// is none.
func tellsOfKey(err error) bool {
	_, mismatch := errors.AsType[*MismatchError](err)
	_, failed := errors.AsType[*FailedError](err)
	_, unsettled := errors.AsType[*UnsettledError](err)
	return mismatch || failed || unsettled
}
