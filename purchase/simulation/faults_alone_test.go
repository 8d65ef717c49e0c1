package simulation

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// Answers of the vendor that make a purchase reach a later step.
var (
	soldUnseen   = vendor(stepSend, "commit_then_reset", nil)
	unsoldUnseen = vendor(stepSend, "reset_before", m{"afterBytes": "request"})
	turnedAway   = vendor(stepSend, "unauthorized", nil)
	rewritten    = vendor(stepSend, "metatag_rewritten", nil)
	priceRefused = vendor(stepSend, "refuse", m{"reason": "priceMismatch"})
)

// waysTo returns the faults that must come first so that a step is reached.
func waysTo(step string) [][]fault {
	at := func(nth int, f fault) fault {
		f.nth = nth
		return f
	}
	switch step {
	case "record ANSWERED_REFUSED":
		return [][]fault{{at(1, priceRefused)}}
	case "record ANSWERED_NO_EFFECT", "record PERMITTED":
		return [][]fault{{at(1, turnedAway)}}
	case "record WINDOW_OVER":
		return [][]fault{{at(1, turnedAway), at(2, turnedAway)}}
	case "record ANSWERED_UNKNOWN", "record FOUND", "secrets":
		return [][]fault{{at(1, soldUnseen)}}
	case "record PRESUMED_ABSENT", "witnesses", "get":
		return [][]fault{{at(1, unsoldUnseen)}}
	case "record ABANDONED":
		return [][]fault{claimNotKnown()}
	case "record LOST":
		return [][]fault{{{step: stepSend, nth: 1, do: doKillAfter, d: time.Second}}}
	case "record TAKEN_OVER":
		return [][]fault{{at(1, turnedAway), {step: "record ANSWERED_NO_EFFECT", nth: 1, do: doKillAfter, d: time.Second}}}
	case "history":
		return [][]fault{{{step: "record ANSWERED_APPLIED", nth: 1, do: doLoseAfter}}}
	case "record BEYOND_EVIDENCE":
		return [][]fault{{at(1, rewritten)}}
	case "watched", stepRead:
		return [][]fault{{at(1, soldUnseen)}, {at(1, unsoldUnseen)}}
	}
	return [][]fault{nil}
}

// claimNotKnown returns the faults that let a claim be written without its owner's knowledge.
func claimNotKnown() []fault {
	return []fault{{step: "claim", nth: 1, do: doLoseAfter}, {step: "claim", nth: 2, do: doOutage, d: 4 * time.Second}}
}

// scene is a plan around one purchase: two replicas, an older and a younger witness, and a caller that
// sends the same request to both replicas and repeats it.
func scene(kind purchase.Kind, mode gigastore.ActivationMode, faults ...fault) plan {
	p := plan{seed: 1, replicas: 2, settings: sandbox.DefaultSettings(), faults: faults, healAfter: 2 * time.Minute}
	for _, f := range faults {
		switch f.step {
		case "record PRESUMED_ABSENT", "record BEYOND_EVIDENCE", "record LOST", "record TAKEN_OVER": // these take longer
			p.healAfter = 6 * time.Minute
		}
	}
	p.settings.TokenLifetime = sandbox.Duration(40 * time.Second) // short, so that new tokens are needed
	p.older = []purchase.Order{order(kind, mode, "older-0")}
	p.younger = []purchase.Order{order(kind, mode, "younger-0")}
	c := call{key: "order-0", order: order(kind, mode, "order-0"), personal: personal(kind, true), tries: 4, at: 45 * time.Second}
	again := c
	again.at, again.replica, again.deadline = 46*time.Second, 1, 20*time.Second
	p.calls = append(p.calls, c, again)
	return p
}

// TestEveryFaultAlone plays every fault at the first and at the second visit of every step, for every
// kind of purchase.
func TestEveryFaultAlone(t *testing.T) {
	t.Parallel()
	var plans []plan
	for _, step := range allSteps() {
		for i, f := range faultsAt(step) {
			for _, way := range waysTo(step) {
				for k, kind := range kinds {
					for nth := 1; nth <= 2; nth++ {
						f.nth = nth
						if nth == 2 && (testing.Short() || strings.HasPrefix(step, "record ") || k > 0) {
							continue // a second visit of these steps is rare, and the kind makes no difference
						}
						plans = append(plans, scene(kind, modes[(i+k)%len(modes)], append(slices.Clone(way), f)...))
					}
				}
			}
		}
	}
	played := playAll(t, openMemory, plans)
	for _, step := range allSteps() {
		for _, f := range faultsAt(step) {
			if played[f.what()] == 0 {
				t.Errorf("%s was never played", f.what())
			}
		}
	}
}

// TestEverySetting plays every setting of the sandbox. Each is played with a purchase that goes well, one
// that is sold without an answer, and one that is lost.
func TestEverySetting(t *testing.T) {
	t.Parallel()
	var plans []plan
	for i, s := range settings {
		for k, kind := range kinds {
			for _, first := range []fault{{}, soldUnseen, unsoldUnseen} {
				first.nth = 1
				p := scene(kind, modes[(i+k)%len(modes)], first)
				s.apply(&p.settings)
				p.setting = []string{s.name}
				plans = append(plans, p)
			}
		}
	}
	playAll(t, openMemory, plans)
}

// circumstances are neither faults at a step nor settings of the vendor.
var circumstances = map[string]func(*plan){
	"the journal's clock is far behind":  func(p *plan) { p.jumps = []jump{{0, -50 * time.Minute}} },
	"the journal's clock is far ahead":   func(p *plan) { p.jumps = []jump{{0, 50 * time.Minute}} },
	"the journal's clock goes back":      func(p *plan) { p.jumps = []jump{{46 * time.Second, -20 * time.Minute}} },
	"the journal's clock leaps a little": func(p *plan) { p.jumps = []jump{{46 * time.Second, time.Minute}} },
	"the journal's clock leaps":          func(p *plan) { p.jumps = []jump{{46 * time.Second, 20 * time.Minute}} },
	"a 429 has no effect":                func(p *plan) { p.throttledHasNoEffect = true },
	"another account after a restart":    func(p *plan) { p.otherAccountAfterRestart = true },
	"another account beside":             func(p *plan) { p.otherAccountBeside = true },
	"a new client id after a restart":    func(p *plan) { p.otherAccountAfterRestart, p.formerSaid = true, true },
	"a new client id beside":             func(p *plan) { p.otherAccountBeside, p.formerSaid = true, true },
	"callers are gone at once":           func(p *plan) { p.callers(func(c *call) { c.gone = time.Nanosecond }) },
	"callers are gone in a second":       func(p *plan) { p.callers(func(c *call) { c.gone = time.Second }) },
	"callers have a millisecond":         func(p *plan) { p.callers(func(c *call) { c.deadline = time.Millisecond }) },
	"callers have two seconds":           func(p *plan) { p.callers(func(c *call) { c.deadline = 2 * time.Second }) },
	"callers have no deadline":           func(p *plan) { p.callers(func(c *call) { c.deadline = 0 }) },
	"the same id at one instant":         func(p *plan) { p.callers(func(c *call) { c.at = 45 * time.Second }) },
	"another order under the id": func(p *plan) {
		p.callers(func(c *call) { c.at = 45 * time.Second })
		p.calls[1].order.InventoryItemID = sandbox.ItemWorldwide1GB
	},
}

func (p *plan) callers(transition func(*call)) {
	for i := range p.calls {
		transition(&p.calls[i])
	}
}

// TestCircumstances plays each circumstance with a purchase that goes well, and with each fault that takes
// a purchase off its usual way through the states.
func TestCircumstances(t *testing.T) {
	t.Parallel()
	at := func(step, do string, d time.Duration) fault { return fault{step: step, nth: 1, do: do, d: d} }
	throttled := vendor(stepSend, "throttle", nil)
	firsts := []fault{
		{},
		soldUnseen, unsoldUnseen, turnedAway, throttled, at(stepDial, doDialRefused, 0), at(stepSend, doKillAfter, time.Second),
		at(stepSend, doStopAfter, 5*time.Minute), at("claim", doKillAfter, 200*time.Second), at("claim", doLoseAfter, 0),
		at("record ANSWERED_APPLIED", doKillBefore, time.Second), at("record ANSWERED_APPLIED", doStopBefore, 5*time.Minute),
	}
	var plans []plan
	for i, name := range slices.Sorted(maps.Keys(circumstances)) {
		for j, first := range firsts {
			first.nth = 1
			p := scene(kinds[(i+j)%len(kinds)], modes[j%len(modes)], first)
			circumstances[name](&p)
			p.setting = []string{name}
			plans = append(plans, p)
		}
	}
	playAll(t, openMemory, plans)
}

// TestPairsOfFaults plays two faults in one history: a sample of the pairs, or all pairs with -all. Then -seed is the
// number of the first pair.
func TestPairsOfFaults(t *testing.T) {
	t.Parallel()
	var faults []fault
	for _, step := range allSteps() {
		faults = append(faults, faultsAt(step)...)
	}
	all := len(faults) * len(faults)
	pair := func(number uint64) []string {
		i := int(number)
		first, second := faults[i/len(faults)], faults[i%len(faults)]
		first.nth, second.nth = 1, 1+i%2
		if first.step == second.step {
			second.nth = 2
		}
		_, wrong := play(t, scene(kinds[i%len(kinds)], modes[i/len(kinds)%len(modes)], first, second), openMemory)
		return again(t, number, wrong)
	}
	t.Logf("%d faults, %d pairs", len(faults), all)
	if *playsAll {
		n := max(0, all-int(*firstSeed))
		if *histories > 0 {
			n = min(n, *histories)
		}
		sideBySide(t, inBubbles(), *firstSeed, n, pair)
		return
	}
	sample := 300
	if testing.Short() {
		sample = 200
	}
	seed, n := drawn(t, sample)
	sideBySide(t, inBubbles(), seed, n, func(seed uint64) []string {
		return pair(rand.New(rand.NewPCG(seed, 0)).Uint64N(uint64(all)))
	})
}

// playAll plays plans in parallel, and returns how often each fault was played.
func playAll(t *testing.T, open func(*testing.T, func() time.Time) store, plans []plan) map[string]int {
	t.Helper()
	var mu sync.Mutex
	played := map[string]int{}
	sideBySide(t, inBubbles(), 0, len(plans), func(i uint64) []string {
		w, wrong := play(t, plans[i], open)
		mu.Lock()
		defer mu.Unlock()
		for what, n := range w.played {
			played[what] += n
		}
		return wrong
	})
	return played
}
