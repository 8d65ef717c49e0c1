package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The deadline of a call can pass while its client is slowed down. Such a call never begins, so it takes no place, and it does
// not count as useless. Otherwise a client could be slow for as long as it makes calls.
func TestPausesDoNotProlongThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.longest = time.Minute
		var ends []func()
		for range maxUseless {
			ends = append(ends, a.floods.uselessCall("10.0.0.1"))
		}
		for range 2 * maxUseless {
			stream, leave := from(t, "10.0.0.1")
			stream, late := context.WithTimeout(stream, floodPause/2)
			ends = append(ends, late, leave)
			ctx, err := a.admit(stream, register)
			if err != nil || ctx.Err() == nil {
				t.Fatalf("the call goes on: %v", err)
			}
			synctest.Wait()
		}
		if taken := a.calls.Of("10.0.0.1"); taken != 0 {
			t.Errorf("%d calls that never began have a place", taken)
		}
		for _, end := range ends {
			end()
		}
		if took := took(func() { a.floods.begin("10.0.0.1") }); took != 0 {
			t.Errorf("a call waits for %s, though no useless call is left", took)
		}
		<-time.After(2 * a.longest) // until nothing runs any more
	})
}
