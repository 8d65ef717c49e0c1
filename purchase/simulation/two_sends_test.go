package simulation

import (
	"slices"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// patience is how long a caller waits for an answer.
var patience = map[string]call{
	"waits":             {},
	"has little time":   {deadline: 600 * time.Millisecond},
	"has too little":    {deadline: 100 * time.Millisecond},
	"hangs up soon":     {gone: 30 * time.Millisecond},
	"hangs up later":    {gone: 2 * time.Second},
	"has a few seconds": {deadline: 3 * time.Second},
}

// twoSends is a plan in which a caller sends one order to one replica and then, after it has stopped waiting there, to the
// other one.
func twoSends(kind purchase.Kind, first, second string, faults ...fault) plan {
	p := scene(kind, modes[0], faults...)
	p.inTurn = true
	send := p.calls[0]
	p.calls = nil
	for i, name := range []string{first, second} {
		send.replica, send.deadline, send.gone = i, patience[name].deadline, patience[name].gone
		p.calls = append(p.calls, send)
		send.at = time.Millisecond // so that lastWord sees which of the two came first
	}
	return p
}

// TestTwoSendsOfOneID sends one order to one replica and then to another one, with every fault at every step. If the second
// send is told that nothing was started or that nothing was sold, the ledger has no sale: see lastWord and answer.
func TestTwoSendsOfOneID(t *testing.T) {
	t.Parallel()
	var plans []plan
	for _, step := range allSteps() {
		for _, f := range faultsAt(step) {
			f.nth = 1
			for _, way := range waysTo(step) {
				faults := append(slices.Clone(way), f)
				for i, first := range []string{"waits", "has little time", "hangs up soon", "hangs up later", "has a few seconds"} {
					if underRace && i%2 == 1 {
						continue
					}
					plans = append(plans, twoSends(purchase.Register, first, "has too little", faults...))
					if !testing.Short() && !underRace {
						plans = append(plans, twoSends(purchase.TopUp, first, "waits", faults...))
					}
				}
			}
		}
	}
	playAll(t, openMemory, plans)
}
