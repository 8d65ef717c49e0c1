package fairshare_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"gigagate.internal/internal/fairshare"
)

// One client gets half of the places. The other clients get the rest.
func TestOneClientHasHalf(t *testing.T) {
	t.Parallel()
	limit := fairshare.New(4)
	for i, try := range []struct {
		client string
		want   bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"", true}, {"", false}, {"c", false}} {
		if got := limit.Take(try.client); got != try.want {
			t.Errorf("%d: a place for %q: %t", i, try.client, got)
		}
	}
	limit.Release("a")
	if !limit.Take("c") {
		t.Error("a released place is not given out again")
	}
}

// The gateway itself may have all places.
func TestTheGatewayMayHaveAllPlaces(t *testing.T) {
	t.Parallel()
	limit := fairshare.New(3)
	for range 3 {
		if !limit.Take("") {
			t.Fatal("refused")
		}
	}
}

// A place goes to the call that has waited longest. A call whose client already has its share is passed over.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limit := fairshare.New(2)
		limit.Take("a")
		limit.Take("b")
		var order []string
		waits := func(ctx context.Context, name, client string) {
			go func() {
				if err := limit.Wait(ctx, client); err != nil {
					name += " " + err.Error()
				}
				order = append(order, name)
			}()
			synctest.Wait()
		}
		gone, leave := context.WithCancelCause(t.Context())
		waits(t.Context(), "second of a", "a")
		waits(gone, "gone", "c")
		waits(t.Context(), "first of c", "c")
		leave(errors.New("left"))
		synctest.Wait()
		limit.Release("b")
		synctest.Wait()
		limit.Release("a")
		synctest.Wait()
		want := []string{"gone context canceled", "first of c", "second of a"}
		if len(order) != len(want) {
			t.Fatalf("%q", order)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Errorf("%q, want %q", order, want)
			}
		}
		limit.Release("a")
		limit.Release("c")
		if !limit.Take("x") || !limit.Take("y") || limit.Take("z") {
			t.Error("the number of places has changed")
		}
	})
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"10.1.2.3:4711": "10.1.2.3", "10.1.2.3": "10.1.2.3", "[::ffff:10.1.2.3]:80": "10.1.2.3",
		"[2001:db8:0:1::5]:80": "2001:db8:0:1::/64", "[2001:db8:0:1:ffff::6]:81": "2001:db8:0:1::/64", "[fe80::1%eth0]:1": "fe80::/64",
		"bufconn": "bufconn", "": "",
	} {
		if got := fairshare.ClientOf(address); got != want {
			t.Errorf("%q is the client %q, want %q", address, got, want)
		}
	}
}
