package purchase

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
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
	absences     map[string]absence
	lastComplete time.Time
	lastScan     time.Time // when the newest, complete or not, began
}

// absence is what complete reads said of a purchase that they lacked.
type absence struct {
	attempt int
	// since is when this process first saw the attempt open, by its own clock. The journal's clock,
	// which the attempt's times are from, may differ from it.
	since time.Time
	// reads were shown to be readable around the attempt; unproven prove nothing, however many.
	reads, unproven int
	last            time.Time // when the newest of them began
	around          time.Time // when it was last looked for by itself
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
	open := r.ours(ctx, watched)
	r.engine.instruments.open(ctx, open)
	r.keepOpen(open)
	if near := r.aroundDue(open); len(near) > 0 {
		open = r.settleFound(ctx, open, r.readAround(ctx, near))
	}
	if !r.scanDue(watched, open, asked) {
		return len(open)
	}
	r.lastScan = time.Now()
	scan := r.scan(ctx, watched, open)
	r.alarmAbsent(ctx, watched, scan)
	open = r.settleFound(ctx, open, scan)
	for _, p := range open {
		if ctx.Err() != nil {
			break
		}
		r.weighAbsence(ctx, p, scan)
	}
	return len(open)
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
		uncertainFirst := cmp.Compare(p.State, q.State)
		return cmp.Or(uncertainFirst, r.absences[p.ID].around.Compare(r.absences[q.ID].around))
	})
	return due[:min(len(due), maxReadAround)]
}

// scanPause is the constant's, or less where settings are quicker than that.
func (r *reconciler) scanPause() time.Duration { return min(scanPause, r.config.Quiet/4) }

// watched may take longer than other reads: what was presumed absent is kept for ever, and without this
// read nothing is settled.
func (r *reconciler) watched(ctx context.Context) ([]Purchase, error) {
	return bounded(ctx, watchedBudget, r.engine.journal.Watched)
}

// scanDue reports whether a read of the vendor's whole list is worth its cost.
func (r *reconciler) scanDue(watched, open []Purchase, asked bool) bool {
	readable := func(p Purchase) bool { return p.State == Uncertain || p.Reason == Unreadable }
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

// ours picks what is open and was bought for the account that can be read.
func (r *reconciler) ours(ctx context.Context, watched []Purchase) []Purchase {
	account := r.engine.vendor.Account()
	var open []Purchase
	for _, p := range watched {
		switch {
		case p.State.Settled():
		case p.Account == account:
			open = append(open, p)
		case ctx.Err() == nil && time.Now().After(r.lastByte(p).Add(r.config.GiveUp)):
			r.beyondEvidence(ctx, p, OtherAccount)
		}
	}
	return open
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
	r.absences = still
}

// lastByte is when the newest send's last byte may have left, and its answer could still come.
func (r *reconciler) lastByte(p Purchase) time.Time { return p.SendNotAfter.Add(r.engine.timeout) }

// quietEnd is when the vendor's records must show a sale, by the journal's clock and by our own.
func (r *reconciler) quietEnd(p Purchase) time.Time {
	return later(r.lastByte(p), r.absences[p.ID].since).Add(r.config.Quiet)
}

// settleFound settles what records show, and returns what they do not.
func (r *reconciler) settleFound(ctx context.Context, open []Purchase, seen *sighting) []Purchase {
	var rest []Purchase
	for _, p := range open {
		records := seen.of(p.ID)
		if len(records) == 0 || ctx.Err() != nil {
			rest = append(rest, p)
			continue
		}
		r.settle(ctx, p, records)
	}
	return rest
}

// settle binds a purchase to the one package found under its token, if it can be that package.
func (r *reconciler) settle(ctx context.Context, p Purchase, records []gigastore.ActivatedItemRecord) {
	record := records[0]
	for _, other := range records[1:] {
		if other.ActivatedItem.UID != record.ActivatedItem.UID {
			r.beyondEvidence(ctx, p, SeveralFound)
			return
		}
	}
	record, whole := r.complete(ctx, record)
	if !whole && time.Now().Before(r.quietEnd(p)) {
		return // the customer or the eSIM is not readable yet, and without them a sale is of little use
	}
	if !plausible(p, record) {
		r.beyondEvidence(ctx, p, OtherFound)
		return
	}
	change, err := found(p, record)
	if err != nil {
		r.engine.logger.ErrorContext(ctx, "reconcile: the record cannot be kept", "purchase_id", p.ID, "error", err.Error())
		return
	}
	switch err := r.bind(ctx, p.ID, change); {
	case err == nil:
	case errors.Is(err, ErrItemTaken):
		r.beyondEvidence(ctx, p, ItemTaken)
	default:
		r.engine.logger.WarnContext(ctx, "reconcile: a sale that was found is not journaled yet", "purchase_id", p.ID, "error", err.Error())
	}
}

// complete reads the package by its uid, for the customer and the profile that lists may leave out,
// and reports whether that could be read.
func (r *reconciler) complete(ctx context.Context, record gigastore.ActivatedItemRecord) (gigastore.ActivatedItemRecord, bool) {
	full, err := r.engine.vendor.ActivatedItem(ctx, record.ActivatedItem.UID)
	if err != nil {
		return record, false
	}
	if full.ActivatedItem.Metatag == "" {
		full.ActivatedItem.Metatag = record.ActivatedItem.Metatag
	}
	if full.Customer.UID == "" {
		full.Customer = record.Customer
	}
	return *full, true
}

// alarmAbsent tells of purchases that were called absent and show up after all: their callers were
// told that nothing was sold.
func (r *reconciler) alarmAbsent(ctx context.Context, watched []Purchase, seen *sighting) {
	for _, p := range watched {
		records := seen.of(p.ID)
		if p.State != Failed || p.Anomalies > 0 || len(records) == 0 || ctx.Err() != nil {
			continue
		}
		if change, err := found(p, records[0]); err == nil {
			_ = r.bind(ctx, p.ID, change)
		}
	}
}

// bind journals what was found. Where it is not known whether it was written it asks again: the same
// event a second time adds nothing to the history, and an alarm goes with the answer. What was not
// written is left to the next pass, and keeps no other purchase waiting.
func (r *reconciler) bind(ctx context.Context, id string, change Change) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := r.engine.bind(ctx, id, change)
		switch {
		case err == nil, errors.Is(err, ErrNotWritten), errors.Is(err, ErrIllegal), errors.Is(err, ErrNotFound), errors.Is(err, ErrItemTaken):
			return err
		case !r.engine.sleep(ctx, pause):
			return err
		}
	}
}

// weighAbsence decides what a read that lacks p means.
func (r *reconciler) weighAbsence(ctx context.Context, p Purchase, scan *sighting) {
	now := time.Now()
	if !scan.complete {
		if since := later(r.lastComplete, r.lastByte(p)); now.After(since.Add(r.config.GiveUp)) {
			r.beyondEvidence(ctx, p, Unreadable)
		}
		return
	}
	a := r.absences[p.ID]
	quietEnd := r.quietEnd(p)
	if scan.unvouched[p.ID] || scan.began.Before(quietEnd) || scan.began.Before(a.last.Add(r.config.Quiet/4)) {
		return
	}
	older, younger := scan.witnessed(p)
	unexplained := scan.unexplained[p.ID]
	switch {
	case p.SuccessSeen || unexplained || !older:
		a.unproven++
	case younger || !scan.began.Before(quietEnd.Add(r.config.Wait)):
		a.reads++
	default:
		return // a younger purchase, or the time that stands in for one, is still to come
	}
	a.last = scan.began
	r.absences[p.ID] = a
	switch {
	case a.reads >= absentReads && (p.State == Uncertain || p.Reason == Unreadable) && !p.SuccessSeen:
		r.engine.record(ctx, p.ID, Change{Event: PresumedAbsent, Attempt: p.Attempt, Reason: ReasonPresumedAbsent, By: ByReconciler})
	case a.unproven >= absentReads && p.SuccessSeen:
		r.beyondEvidence(ctx, p, SuccessSeen)
	case a.unproven >= absentReads && unexplained:
		r.beyondEvidence(ctx, p, Unexplained)
	case a.unproven >= absentReads:
		r.beyondEvidence(ctx, p, NoWitness)
	}
}

// beyondEvidence hands a purchase to an operator, once; or again, where records that could not be read
// show something worse now that they can be.
func (r *reconciler) beyondEvidence(ctx context.Context, p Purchase, reason Reason) {
	worse := p.Reason == Unreadable && reason != Unreadable && reason != OtherAccount
	if p.State != Uncertain && !worse {
		return
	}
	r.engine.record(ctx, p.ID, Change{Event: BeyondEvidence, Attempt: p.Attempt, Reason: reason, By: ByReconciler})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
