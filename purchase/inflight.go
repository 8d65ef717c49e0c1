package purchase

import (
	"errors"
	"sync"
)

// inFlight counts, by key, the calls and claims of this process that may still make a purchase which the
// journal does not show yet. If one call is refused while another with the same key is under way, the refusal
// must not say that nothing is under way.
type inFlight struct {
	mu    sync.Mutex
	count map[Key]int
}

// enter counts one more call or claim.
func (f *inFlight) enter(key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[Key]int{}
	}
	f.count[key]++
}

// has reports whether any are counted.
func (f *inFlight) has(key Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[key] > 0
}

// others reports whether any besides the caller's are counted.
func (f *inFlight) others(key Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[key] > 1
}

// leave takes one back. It reports whether others are left.
func (f *inFlight) leave(key Key) (others bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[key]--
	if f.count[key] == 0 {
		delete(f.count, key)
		return false
	}
	return true
}

// tellsOfKey reports whether an error of Buy is about a purchase under the key. All other errors say that there
// is none.
func tellsOfKey(err error) bool {
	_, mismatch := errors.AsType[*MismatchError](err)
	_, failed := errors.AsType[*FailedError](err)
	_, unsettled := errors.AsType[*UnsettledError](err)
	return mismatch || failed || unsettled
}
