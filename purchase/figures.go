package purchase

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

const (
	// reportEvery is how often the figures are read.
	reportEvery = 15 * time.Second
	// reportLease is how long a process that has died stays the one that reports. Another one takes over within a minute.
	reportLease = 40 * time.Second
	// leastReport is the least pause between two reads, however often purchases become uncertain.
	leastReport = time.Second
)

// CallerBudget is the budget of a caller, under the name that the journal has for the caller.
type CallerBudget struct {
	Caller string
	Budget *Budget
}

// figures are what the metrics show about the whole journal. All replicas would show the same. So only one of them shows it,
// and the sum over all replicas is right. A figure that nobody knows is not shown, because 0 would be a lie.
type figures struct {
	nudged chan struct{}

	mu    sync.Mutex
	until time.Time // this process reports until then, unless it asks again
	open  map[State]openFigures
	left  []budgetLeft

	openUntil, leftUntil time.Time // until when they are shown, unless they are read again
}

// openFigures are about the open purchases in one state.
type openFigures struct {
	count  int64
	oldest time.Time // the earliest claim
}

// budgetLeft is what is left of one limit of a caller's budget.
type budgetLeft struct {
	caller, currency string
	period           BudgetPeriod
	amount, limit    Micros
}

// nudge asks for a read soon.
func (f *figures) nudge() {
	select {
	case f.nudged <- struct{}{}:
	default:
	}
}

// reportFigures reads the figures again and again, while this process is the one that reports them.
func (e *Engine) reportFigures() {
	replica := newID(e.entropy)
	for e.life.Err() == nil {
		began := time.Now()
		e.readFigures(replica)
		took := time.Since(began)
		timer := time.NewTimer(reportEvery)
		select {
		case <-timer.C:
		case <-e.figures.nudged:
			sleep(e.life, max(leastReport, 10*took)) // so that the reads of a long list do not keep the journal busy
		case <-e.life.Done():
		}
		timer.Stop()
	}
	if e.figures.stop() {
		// A lease that is over now lets another replica take over with its next read.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), time.Second)
		defer cancel()
		_, _ = e.journal.MayReport(ctx, replica, 0)
	}
}

// readFigures reads the figures if this process reports them. If the journal cannot be read, the figures stay as they are until
// the lease of their read is over. The reconciler logs that.
func (e *Engine) readFigures(replica string) {
	until := time.Now().Add(reportLease)
	reports, err := bounded(e.life, journalBudget, func(ctx context.Context) (bool, error) {
		return e.journal.MayReport(ctx, replica, reportLease)
	})
	switch {
	case err != nil:
		return
	case !reports:
		e.figures.stop()
		return
	}
	e.figures.setUntil(until)
	open, err := bounded(e.life, watchedBudget, func(ctx context.Context) ([]Purchase, error) { return e.journal.Watched(ctx, 0) })
	if err == nil || errors.Is(err, ErrUnreadableOrder) {
		open, _ = e.reconciler.unsettled(open)
		e.figures.setOpen(open, until)
	}
	if e.budgets == nil {
		return
	}
	if totals, err := e.BudgetTotals(e.life, ""); err == nil {
		e.figures.setLeft(leftOf(e.budgets(), totals, time.Now()), until)
	}
}

// leftOf returns what is left of each limit of the budgets at the time now.
func leftOf(budgets []CallerBudget, totals []BudgetTotal, now time.Time) []budgetLeft {
	type place struct{ caller, currency, period string }
	used := map[place]Micros{}
	for _, t := range totals {
		used[place{t.Caller, t.Currency, t.Period}] = t.Reserved + t.Spent
	}
	var left []budgetLeft
	for _, b := range budgets {
		names, limits := (&Claim{Budget: b.Budget}).Reservation(now).Periods(), b.Budget.Limits()
		for i, period := range [3]BudgetPeriod{InTotal, PerMonth, PerDay} {
			if limits[i] < maxTotal {
				amount := max(limits[i]-used[place{b.Caller, b.Budget.Currency, names[i]}], 0)
				left = append(left, budgetLeft{b.Caller, b.Budget.Currency, period, amount, limits[i]})
			}
		}
	}
	return left
}

func (f *figures) setUntil(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
}

// stop ends the report of this process, and reports whether it was the one that reports.
func (f *figures) stop() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	reported := time.Now().Before(f.until)
	f.until, f.openUntil, f.leftUntil = time.Time{}, time.Time{}, time.Time{}
	return reported
}

func (f *figures) setOpen(open []Purchase, until time.Time) {
	states := map[State]openFigures{Uncertain: {}, NeedsOperator: {}}
	for _, p := range open {
		s := states[p.State]
		if s.count++; s.count == 1 || p.ClaimedAt.Before(s.oldest) {
			s.oldest = p.ClaimedAt
		}
		states[p.State] = s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.openUntil = states, until
}

func (f *figures) setLeft(left []budgetLeft, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.leftUntil = left, until
}

// now returns the figures that this process knows and reports.
func (f *figures) now() (open map[State]openFigures, left []budgetLeft) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Before(f.openUntil) {
		open = f.open
	}
	if now.Before(f.leftUntil) {
		left = f.left
	}
	return open, left
}

// makeGauges makes the gauges. They show what is so when somebody asks.
func (i *Instruments) makeGauges(meter metric.Meter) error {
	var errs [7]error
	open, err := meter.Int64ObservableGauge("gigagate.purchase.open",
		metric.WithDescription("Purchases of this account in the whole journal that are uncertain or need an operator, by state. One replica counts "+
			"them. There is no value while they cannot be counted."), metric.WithUnit("{purchase}"))
	errs[0] = err
	oldest, err := meter.Float64ObservableGauge("gigagate.purchase.oldest",
		metric.WithDescription("The time since the claim of the oldest such purchase, by state. One replica reports it. There is no value while it is not known."),
		metric.WithUnit("s"))
	errs[1] = err
	left, err := meter.Float64ObservableGauge("gigagate.budget.left",
		metric.WithDescription("What is left of a caller's budget, by caller, currency and period. One replica reports it."), metric.WithUnit("{currency_unit}"))
	errs[2] = err
	owners, err := meter.Int64ObservableGauge("gigagate.purchase.owners",
		metric.WithDescription("Purchases that are under way in this process."), metric.WithUnit("{purchase}"))
	errs[3] = err
	limit, err := meter.Int64ObservableGauge("gigagate.purchase.owners.limit",
		metric.WithDescription("How many purchases can be under way in this process."), metric.WithUnit("{purchase}"))
	errs[4] = err
	budget, err := meter.Float64ObservableGauge("gigagate.budget.limit",
		metric.WithDescription("The limit of a caller's budget, by caller, currency and period. One replica reports it."), metric.WithUnit("{currency_unit}"))
	errs[5] = err
	_, errs[6] = meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		e := i.engine.Load()
		if e == nil {
			return nil
		}
		observer.ObserveInt64(owners, int64(e.places.Taken()))
		observer.ObserveInt64(limit, int64(e.places.Most()))
		found, budgets := e.figures.now()
		for state, figures := range found {
			option, age := metric.WithAttributes(attrState.String(string(state))), time.Duration(0)
			if figures.count > 0 {
				age = max(time.Since(figures.oldest), 0)
			}
			observer.ObserveInt64(open, figures.count, option)
			observer.ObserveFloat64(oldest, age.Seconds(), option)
		}
		for _, b := range budgets {
			labels := metric.WithAttributes(
				attrCaller.String(b.caller), attrCurrency.String(b.currency), attrBudgetPeriod.String(string(b.period)))
			observer.ObserveFloat64(left, b.amount.units(), labels)
			observer.ObserveFloat64(budget, b.limit.units(), labels)
		}
		return nil
	}, open, oldest, left, budget, owners, limit)
	return errors.Join(errs[:]...)
}
