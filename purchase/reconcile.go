package purchase

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ReconcileConfig says how uncertain purchases are settled.
type ReconcileConfig struct {
	// Quiet is how long the vendor's records must have had time to show a sale before an absence
	// counts, after the last moment a byte may have left and been answered.
	Quiet time.Duration
	// Wait stands in for a younger purchase as a witness, where there is none.
	Wait time.Duration
	// GiveUp is how long records may stay unreadable before an operator is asked.
	GiveUp time.Duration
}

const (
	// absentReads is how many complete reads must lack a purchase.
	absentReads = 3
	// firstPass and longestPass bound the pause between passes while something is uncertain.
	firstPass   = time.Second
	longestPass = 30 * time.Second
	// scanPause is the least time between two reads of the vendor's whole list, however many callers
	// ask after their purchases.
	scanPause = 5 * time.Second
	// operatorPause is the same while operators own all that is open, and nobody asks.
	operatorPause = 5 * time.Minute
	// auditPause is the same while nothing is open, for sales of what was presumed absent less than
	// auditFor ago: their callers were told that nothing was sold.
	auditPause = time.Hour
	auditFor   = 48 * time.Hour
	// maxReadAround is how many purchases are looked for one by one in a pass; one read of the list
	// serves them all. aroundBudget bounds that, since the list may be well where customers hang.
	maxReadAround = 20
	aroundBudget  = 30 * time.Second
	// watchedBudget bounds its first read, of all that is watched.
	watchedBudget = 30 * time.Second
	// passBudget bounds one pass: a list of the vendor's can be long.
	passBudget = 10 * time.Minute
)

// reconciler settles what is uncertain by reading the vendor's records.
type reconciler struct {
	engine *Engine
	config ReconcileConfig
	nudged chan struct{}

	// What one process has seen so far. It is not journaled: after a restart the reads begin anew,
	// which costs time and nothing else.
	mu           sync.Mutex // of absences, for those who only ask
	absences     map[string]absence
	lastComplete time.Time
	lastScan     time.Time // when the newest, complete or not, began; of mu, too
	failedScans  int       // in a row
}

// absence is what complete reads said of a purchase that they lacked.
type absence struct {
	attempt int
	// since is when this process first saw the attempt open, by its own clock. The journal's clock,
	// which the attempt's times are from, may differ from it.
	since time.Time
	// reads were shown to be readable around the attempt; unproven prove nothing, however many.
	reads, unproven int
	// lacked counts the complete reads after the quiet time that did not show it, whatever they prove.
	lacked int
	last   time.Time // when the newest of them began
	around time.Time // when it was last looked for by itself
	look   look
}

func newReconciler(engine *Engine, config ReconcileConfig) *reconciler {
	return &reconciler{engine: engine, config: config, nudged: make(chan struct{}, 1), absences: map[string]absence{}}
}

// nudge asks for a pass soon.
func (r *reconciler) nudge() {
	select {
	case r.nudged <- struct{}{}:
	default:
	}
}

// run passes over what is uncertain: soon after a nudge, then ever more slowly, and not at all
// while there is nothing.
func (r *reconciler) run() {
	ctx := r.engine.life
	r.lastComplete = time.Now()
	asked := false
	for pause := firstPass; r.engine.sleep(ctx, min(firstPass, r.config.Quiet/4)); pause = min(2*pause, longestPass, r.config.Quiet/4) {
		began := time.Now()
		open := r.pass(ctx, asked)
		asked = asked && open > 0 && r.lastScan.Before(began) // what came too soon after a read waits for the next
		if open == 0 {
			pause = longestPass
			// Nothing in flight here can become uncertain without a nudge; other replicas' can.
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.nudged:
			pause, asked = firstPass, true
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pass reads the vendor's records once, if that is due or asked for, and settles what they settle. It
// returns how many purchases are still open. A panic ends this pass and not the process, like that of
// an owner.
func (r *reconciler) pass(ctx context.Context, asked bool) (left int) {
	defer func() {
		if value := recover(); value != nil {
			r.engine.logger.ErrorContext(ctx, "the reconciler panicked", panicked(value))
			left = 1
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, passBudget)
	defer cancel()
	watched, err := r.watched(ctx)
	if err != nil {
		r.engine.logger.WarnContext(ctx, "reconcile: the journal cannot be read", "error", err.Error())
		if !errors.Is(err, ErrUnreadableOrder) {
			return 1
		}
	}
	open, foreign := r.unsettled(watched)
	r.engine.instruments.open(ctx, open)
	r.keepOpen(slices.Concat(open, foreign))
	if near := r.aroundDue(open); len(near) > 0 {
		open = r.settleFound(ctx, open, r.readAround(ctx, near))
	}
	if !r.scanDue(watched, slices.Concat(open, foreign), asked) {
		return len(open) + len(foreign)
	}
	r.beganScan()
	scan := r.readList(ctx, watched, open)
	r.alarmAbsent(ctx, watched, scan)
	foreign = r.settleForeign(ctx, foreign, scan)
	open = r.settleFound(ctx, open, scan)
	for _, p := range open {
		if ctx.Err() != nil {
			break
		}
		r.evaluateAbsence(ctx, p, scan)
		r.tellAbsent(p, scan)
	}
	return len(open) + len(foreign)
}

func (r *reconciler) beganScan() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastScan = time.Now()
}

// aroundDue picks what is worth looking for by itself: what is uncertain before what operators own, and what was not
// looked for the longest first, so that nobody waits behind twenty others for ever.
func (r *reconciler) aroundDue(open []Purchase) []Purchase {
	var due []Purchase
	for _, p := range open {
		pause := operatorPause
		if p.State == Uncertain {
			pause = r.scanPause()
		}
		if time.Since(r.absences[p.ID].around) >= pause {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(p, q Purchase) int {
		uncertainFirst := -cmp.Compare(p.State, q.State) // NEEDS_OPERATOR, UNCERTAIN
		return cmp.Or(uncertainFirst, r.absences[p.ID].around.Compare(r.absences[q.ID].around))
	})
	return due[:min(len(due), maxReadAround)]
}

// scanPause is the constant's, or less where settings are quicker than that.
func (r *reconciler) scanPause() time.Duration { return min(scanPause, r.config.Quiet/4) }

// watched may take longer than other reads: without it nothing is settled.
func (r *reconciler) watched(ctx context.Context) ([]Purchase, error) {
	return bounded(ctx, watchedBudget, func(ctx context.Context) ([]Purchase, error) {
		return r.engine.journal.Watched(ctx, auditFor)
	})
}

// scanDue reports whether a read of the vendor's whole list is worth its cost.
func (r *reconciler) scanDue(watched, open []Purchase, asked bool) bool {
	readable := func(p Purchase) bool {
		return p.State == Uncertain || p.Reason.unread() && r.engine.owns(p.Account)
	}
	late := func(p Purchase) bool {
		return p.State == Failed && p.Anomalies == 0 && time.Since(p.SettledAt) < auditFor
	}
	since := time.Since(r.lastScan)
	switch {
	case slices.ContainsFunc(open, readable), asked && len(open) > 0:
		return since >= r.scanPause()
	case len(open) > 0:
		return since >= operatorPause
	default:
		return since >= auditPause && slices.ContainsFunc(watched, late)
	}
}

// unsettled parts what is open by whether it was bought for the account that can be read.
func (r *reconciler) unsettled(watched []Purchase) (open, foreign []Purchase) {
	for _, p := range watched {
		switch {
		case p.State.Settled():
		case r.engine.owns(p.Account):
			open = append(open, p)
		default:
			foreign = append(foreign, p)
		}
	}
	return open, foreign
}

// keepOpen drops what was counted of attempts that are open no more, and begins with the new ones.
func (r *reconciler) keepOpen(open []Purchase) {
	still := map[string]absence{}
	for _, p := range open {
		a, ok := r.absences[p.ID]
		if !ok || a.attempt != p.Attempt {
			a = absence{attempt: p.Attempt, since: time.Now()}
		}
		still[p.ID] = a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.absences = still
}

// lastByte is when the newest send's last byte may have left, and its answer could still come.
func (r *reconciler) lastByte(p Purchase) time.Time { return p.SendNotAfter.Add(r.engine.timeout) }

// quietEnd is when the vendor's records must show a sale, by the journal's clock and by our own.
func (r *reconciler) quietEnd(p Purchase) time.Time {
	return later(r.lastByte(p), r.absences[p.ID].since).Add(r.config.Quiet)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seen returns what this process knows of an attempt: the time by which the vendor must show a sale, and the reads that
// lacked it. For a process that has not seen the attempt before, the time starts now.
func (r *reconciler) seen(p Purchase) (quietEnd time.Time, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.absences[p.ID]
	if !ok || a.attempt != p.Attempt {
		a = absence{attempt: p.Attempt, since: time.Now()}
	}
	return later(r.lastByte(p), a.since).Add(r.config.Quiet), a
}

// keep replaces what is known of an attempt. The reconciler alone writes, and reads without the lock.
func (r *reconciler) keep(id string, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.absences[id] = a
}
