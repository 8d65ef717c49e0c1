package simulation

import (
	"maps"
	"slices"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// realPace is how many times faster than planned a history runs in real time: a minute of the plan takes
// 600 ms.
const realPace = 100

// faster returns the plan with all of its times divided by pace. The engine's fixed times (the life of a
// permit, pauses, budgets) stay as they are, and are therefore long in comparison. A permit outlives
// everything that the vendor does late, so no plan can let the vendor act after the quiet time. But if the journal's
// clock is set back, the permit seems to be over at once. Then only the quiet time is left, and a sale that was planned to
// come after it does. So in a plan with such a sale, the journal's clock has no jumps.
func (p plan) faster(pace int) plan {
	if p.beyondQuiet {
		p.jumps = nil
	}
	p.pace, p.beyondQuiet = pace, false
	by := func(d time.Duration) time.Duration { return d / time.Duration(pace) }
	p.healAfter = by(p.healAfter)
	p.calls, p.faults, p.jumps = slices.Clone(p.calls), slices.Clone(p.faults), slices.Clone(p.jumps)
	for i := range p.calls {
		c := &p.calls[i]
		c.at, c.gone = by(c.at), by(c.gone)
		if c.deadline > time.Millisecond { // one millisecond means a deadline that is always too short
			c.deadline = by(c.deadline) + purchase.AnswerMargin + 300*time.Millisecond
		}
	}
	for i := range p.faults {
		f := &p.faults[i]
		f.d = by(f.d)
		f.params = maps.Clone(f.params)
		for name, value := range f.params {
			text, _ := value.(string)
			if d, err := time.ParseDuration(text); err == nil {
				f.params[name] = by(d).String()
			}
		}
	}
	for i := range p.jumps {
		p.jumps[i] = jump{by(p.jumps[i].at), by(p.jumps[i].by)}
	}
	s := &p.settings
	for _, d := range []*sandbox.Duration{
		&s.Latency, &s.ListLag, &s.ReadLag, &s.TokenLifetime, &s.ListDefaultWindow, &s.IdempotencyForgottenAfter,
	} {
		*d = sandbox.Duration(by(time.Duration(*d)))
	}
	s.TokenLifetime = max(s.TokenLifetime, sandbox.Duration(time.Second)) // the sandbox's minimum
	return p
}

// leaseCut is how much leases are shortened in a faster world, since no setting changes the fixed part of
// a lease. See [journal.Write].
func (w *world) leaseCut() time.Duration {
	const unset = permitLife + 30*time.Second // the slack of a lease
	return unset - w.span(unset)
}
