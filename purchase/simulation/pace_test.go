package simulation

import (
	"maps"
	"slices"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// realPace is how many times faster than planned histories go that have no virtual time: a minute of
// the plan is 600 ms.
const realPace = 100

// faster is the plan with all of its times divided. The engine's own times that no setting changes
// (the life of a permit, pauses, budgets) stay as they are, so the ratio of the two is another one:
// a permit outlives whatever the vendor does late, and no vendor can act beyond the quiet time.
func (p plan) faster(pace int) plan {
	p.pace, p.beyondQuiet = pace, false
	by := func(d time.Duration) time.Duration { return d / time.Duration(pace) }
	p.healAfter = by(p.healAfter)
	p.calls, p.faults, p.jumps = slices.Clone(p.calls), slices.Clone(p.faults), slices.Clone(p.jumps)
	for i := range p.calls {
		c := &p.calls[i]
		c.at, c.gone = by(c.at), by(c.gone)
		if c.deadline > time.Millisecond { // that one is too short for anything
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
	s.TokenLifetime = max(s.TokenLifetime, sandbox.Duration(time.Second)) // the least there is
	return p
}

// leaseCut is how much shorter than the engine wants them leases are in a world that is faster: by
// what no setting changes of them. The engine does not notice, see [journal.TakeLapsed].
func (w *world) leaseCut() time.Duration {
	const unset = permitLife + 30*time.Second // its slack
	return unset - w.span(unset)
}
