package purchase

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ReconcileConfig configures how uncertain purchases are settled.
type ReconcileConfig struct {
	// Quiet is how long the vendor's records have to show a sale before an absence counts. It starts at the
	// last moment at which a byte may have left or an answer may have come.
	Quiet time.Duration
	// Wait replaces a younger purchase as a witness, if there is none.
	Wait time.Duration
	// GiveUp is how long the records may stay unreadable before an operator is asked.
	GiveUp time.Duration
}

const (
	// absentReads is how many complete reads must lack a purchase.
	absentReads = 3
	// firstPass and longestPass bound the pause between passes while a purchase is uncertain.
	firstPass   = time.Second
	longestPass = 30 * time.Second
	// scanPause is the least time between two reads of the vendor's whole list, however many callers ask for
	// their purchases.
	scanPause = 5 * time.Second
	// operatorPause replaces scanPause while all open purchases wait for an operator and nobody asks.
	operatorPause = 5 * time.Minute
	// auditPause replaces scanPause while no purchase is open. The list is still read for purchases that were
	// called absent less than auditFor ago, because their callers were told that nothing was sold.
	auditPause = time.Hour
	auditFor   = 48 * time.Hour
	// maxReadAround is how many purchases a pass looks for one by one. One read of the list serves all the
	// others. aroundBudget limits the time for it, because the vendor's customers may hang while its list
	// works.
	maxReadAround = 20
	aroundBudget  = 30 * time.Second
	// watchedBudget limits a pass's first read of the journal.
	watchedBudget = 30 * time.Second
	// passBudget limits one pass. The vendor's list can be long.
	passBudget = 10 * time.Minute
)

// reconciler settles uncertain purchases by reading the vendor's records.
type reconciler struct {
	engine *Engine
	config ReconcileConfig
	nudged chan struct{}

	// The rest is what this process has seen so far. It is not stored. After a restart the reads start again,
	// which costs time and nothing else.
	mu           sync.Mutex // guards absences and lastScan for other goroutines
	absences     map[string]absence
	lastComplete time.Time
	lastScan     time.Time // start of the newest scan, complete or not
	failedScans  int       // failed scans in a row
}

// absence is what complete reads showed about a purchase that they lacked.
type absence struct {
	attempt int
	// since is when this process first saw the attempt open, by its own clock. The attempt's times come from
	// the journal's clock, which may differ.
	since time.Time
	// reads counts the reads that were shown to be complete around the attempt. unproven counts those that were
	// not. They prove nothing, however many there are.
	reads, unproven int
	// lacked counts all complete reads after the quiet time that lacked the purchase.
	lacked int
	last   time.Time // start of the newest such read
	around time.Time // when readAround last looked for the purchase
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

// run makes pass after pass. It makes one soon after a nudge, and then ever less often.
func (r *reconciler) run() {
	ctx := r.engine.life
	r.lastComplete = time.Now()
	r.engine.instruments.scanned(ctx, r.lastComplete)
	asked := false
	passes := pauses(firstPass, min(longestPass, r.config.Quiet/4))
	for sleep(ctx, min(firstPass, r.config.Quiet/4)) {
		began := time.Now()
		open := r.pass(ctx, asked)
		// If the last scan was too recent, keep the request for the next pass.
		asked = asked && open > 0 && r.lastScan.Before(began)
		pause := passes.NextBackOff()
		if open == 0 {
			// A purchase of this process wakes the reconciler when it becomes uncertain. A purchase of another
			// replica does not.
			pause = longestPass
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.nudged:
			passes.Reset()
			asked = true
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pass reads the vendor's records once, if a read is due or asked for, and settles what they decide. It returns
// how many purchases are still open. A panic ends the pass but not the process.
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
	r.trackOpen(slices.Concat(open, foreign))
	if near := r.aroundDue(open); len(near) > 0 {
		open = r.settleNear(ctx, open, near)
	}
	if !r.scanDue(watched, slices.Concat(open, foreign), asked) {
		return len(open) + len(foreign)
	}
	return r.settleByList(ctx, watched, open, foreign)
}

// settleNear reads the records near some of the open purchases, and settles those that it finds. It returns the others.
func (r *reconciler) settleNear(ctx context.Context, open, near []Purchase) []Purchase {
	ctx, end := r.engine.startSpan(ctx, spanReadCustomers, near...)
	defer end()
	return r.settleFound(ctx, open, r.readAround(ctx, near))
}

// settleByList reads the vendor's whole list, and settles what it decides. It returns how many purchases are still open.
func (r *reconciler) settleByList(ctx context.Context, watched, open, foreign []Purchase) int {
	ctx, end := r.engine.startSpan(ctx, spanReadList, slices.Concat(open, foreign)...)
	defer end()
	r.startScan()
	scan := r.readList(ctx, watched, open)
	r.alarmAbsent(ctx, watched, scan)
	foreign = r.settleForeign(ctx, foreign, scan)
	open = r.settleFound(ctx, open, scan)
	for _, p := range open {
		if ctx.Err() != nil {
			break
		}
		r.evaluateAbsence(ctx, p, scan)
		r.explainAbsent(p, scan)
	}
	return len(open) + len(foreign)
}

// startScan sets the time of the newest scan.
func (r *reconciler) startScan() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastScan = time.Now()
}

// aroundDue picks the purchases that readAround looks for. Uncertain purchases come before those that wait for
// an operator. Among these, the purchase that was not looked for the longest comes first, so that none waits
// behind twenty others for ever.
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

// scanPause is the constant, or less if Quiet is short.
func (r *reconciler) scanPause() time.Duration { return min(scanPause, r.config.Quiet/4) }

// watched returns the purchases to look for. It may take longer than other reads, because without it nothing is
// settled.
func (r *reconciler) watched(ctx context.Context) ([]Purchase, error) {
	return bounded(ctx, watchedBudget, func(ctx context.Context) ([]Purchase, error) {
		return r.engine.journal.Watched(ctx, auditFor)
	})
}

// scanDue reports whether it is time to read the vendor's whole list.
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

// unsettled returns the open purchases. open are those of the account that can be read. foreign are the others.
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

// trackOpen drops the counts of attempts that are no longer open, and starts new ones.
func (r *reconciler) trackOpen(open []Purchase) {
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

// lastByte is when the newest send's last byte may have left. Its answer may come until then.
func (r *reconciler) lastByte(p Purchase) time.Time { return p.SendNotAfter.Add(r.engine.timeout) }

// quietEnd is when the vendor's records must show a sale, by the journal's clock and by this process's.
func (r *reconciler) quietEnd(p Purchase) time.Time {
	return later(r.lastByte(p), r.absences[p.ID].since).Add(r.config.Quiet)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seen returns what this process knows about an attempt: when the vendor must show a sale, and the reads that
// lacked it. If this process has not seen the attempt before, the time starts now.
func (r *reconciler) seen(p Purchase) (quietEnd time.Time, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.absences[p.ID]
	if !ok || a.attempt != p.Attempt {
		a = absence{attempt: p.Attempt, since: time.Now()}
	}
	return later(r.lastByte(p), a.since).Add(r.config.Quiet), a
}

// setAbsence sets what is known about an attempt. Only the reconciler writes it, so the reconciler reads it without
// the lock.
func (r *reconciler) setAbsence(id string, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.absences[id] = a
}
