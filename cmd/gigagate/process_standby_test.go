package main

import (
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestStandbyPromoted: under load, the primary crashes or hangs, and its synchronous standby is promoted. The gateways
// find the new primary by themselves. It has every purchase of which a caller was told.
func TestStandbyPromoted(t *testing.T) {
	t.Parallel()
	began := time.Now()
	primary := postgrestest.New(t)
	standby := postgrestest.NewStandby(t, primary, nil)
	s := newShop(t)
	url := postgrestest.BothHosts(primary, standby)
	a, b := newReplica(t, s, url).start(t), newReplica(t, s, url).start(t)
	load, promotions := newTrial(t, s, a, b), times(1)
	hangs := load.random.IntN(2) == 0
	for i := range promotions {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), time.Duration(load.random.IntN(400))*time.Millisecond)
		if hangs = !hangs; hangs {
			freeze(t, primary)
		} else {
			primary.Kill()
		}
		if err := standby.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		promoted := time.Now()
		load.more(perRound)
		eventually(t, "ready on the new primary", a.isReady(t))
		eventually(t, "ready on the new primary", b.isReady(t))
		t.Logf("the primary hung: %t; ready %.1f s after the promotion", hangs, time.Since(promoted).Seconds())
		primary.Kill()
		primary, standby = standby, primary
		if i < promotions-1 {
			standby = postgrestest.NewStandby(t, primary, standby)
		}
	}
	t.Logf("%d promotions in %.1f s", promotions, time.Since(began).Seconds())
	load.endOwners(primary)
	load.settle()
	load.judge()
}
