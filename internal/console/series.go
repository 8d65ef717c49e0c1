package console

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	// samplePause is the time between two samples of the metrics.
	samplePause = 5 * time.Second
	// kept is how much of the past is kept.
	kept = time.Hour
	// mostSamples is how many samples that is.
	mostSamples = int(kept/samplePause) + 1
)

// sample is what the metrics of this process said at one time.
type sample struct {
	at time.Time
	// Purchases that were settled so far, and answers of the vendor that left a purchase uncertain.
	sold, failed, unclear int64
	calls                 histogram // of Register and TopUp
	vendor                histogram
	commits               histogram // of the journal
	gauges                map[string]float64
	spent                 []spending
}

// spending is what this process has spent for a caller since its start.
type spending struct {
	Caller, Currency string
	Amount           float64
}

// histogram has the counts of a histogram since the start of the process. Its last count is of all values above the bounds.
type histogram struct {
	bounds []float64
	counts []uint64
}

// series are the samples of the last hour, the oldest first.
type series struct {
	mu      sync.Mutex
	samples []sample
	has     map[string]bool // the metrics that exist
}

func newSeries() *series { return &series{has: map[string]bool{}} }

// sample reads the metrics.
func (c *Console) sample(ctx context.Context) {
	var read metricdata.ResourceMetrics
	if err := c.config.Metrics.Collect(ctx, &read); err != nil {
		if ctx.Err() == nil {
			c.config.Logger.WarnContext(ctx, "the console cannot read the metrics", "error", err)
		}
		return
	}
	c.series.add(newSample(c.config.Now(), &read))
}

// names of the metrics that the console shows. docs/operations.md describes them.
const (
	metricSettled  = "gigagate.purchase.settled"
	metricEvents   = "gigagate.purchase.events"
	metricQueue    = "gigagate.journal.queue"
	metricProblem  = "gigagate.journal.problem"
	metricLastScan = "gigagate.reconciler.last_scan"
	metricCalls    = "gigagate.call.duration"
	metricVendor   = "gigagate.vendor.call.duration"
	metricCommits  = "gigagate.journal.commit.duration"
	metricSpent    = "gigagate.spent"
)

// singles are the metrics of one number.
var singles = []string{metricQueue, metricProblem, metricLastScan}

func newSample(now time.Time, read *metricdata.ResourceMetrics) (s sample, has map[string]bool) {
	s, has = sample{at: now, gauges: map[string]float64{}}, map[string]bool{}
	for _, scope := range read.ScopeMetrics {
		for _, m := range scope.Metrics {
			has[m.Name] = true
			s.take(m)
		}
	}
	return s, has
}

// take takes what the console shows out of one metric.
func (s *sample) take(m metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			switch m.Name {
			case metricSettled:
				switch text(p.Attributes, "gigagate.purchase.state") {
				case "SUCCEEDED":
					s.sold += p.Value
				case "FAILED":
					s.failed += p.Value
				}
			case metricEvents:
				if event := text(p.Attributes, "gigagate.purchase.event"); event == "ANSWERED_UNKNOWN" || event == "LOST" {
					s.unclear += p.Value
				}
			default:
				s.single(m.Name, float64(p.Value))
			}
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			if m.Name == metricSpent {
				s.spend(text(p.Attributes, "gigagate.caller"), text(p.Attributes, "gigagate.currency"), p.Value)
			}
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			s.single(m.Name, float64(p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			s.single(m.Name, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			switch m.Name {
			case metricCalls:
				method := text(p.Attributes, "rpc.method")
				if strings.HasSuffix(method, "/Register") || strings.HasSuffix(method, "/TopUp") {
					s.calls.add(p.Bounds, p.BucketCounts)
				}
			case metricVendor:
				s.vendor.add(p.Bounds, p.BucketCounts)
			case metricCommits:
				s.commits.add(p.Bounds, p.BucketCounts)
			}
		}
	}
}

func (s *sample) single(name string, value float64) {
	if slices.Contains(singles, name) {
		s.gauges[name] += value
	}
}

func (s *sample) spend(caller, currency string, amount float64) {
	at := slices.IndexFunc(s.spent, func(o spending) bool { return o.Caller == caller && o.Currency == currency })
	if at < 0 {
		s.spent = append(s.spent, spending{caller, currency, amount})
		return
	}
	s.spent[at].Amount += amount
}

func text(attributes attribute.Set, key attribute.Key) string {
	value, _ := attributes.Value(key)
	return value.String()
}

// add adds counts with the same bounds.
func (h *histogram) add(bounds []float64, counts []uint64) {
	if h.counts == nil {
		h.bounds, h.counts = slices.Clone(bounds), slices.Clone(counts)
		return
	}
	if !slices.Equal(h.bounds, bounds) {
		return
	}
	for i, n := range counts {
		h.counts[i] += n
	}
}

// less returns the values of h that an earlier state did not have.
func (h histogram) less(earlier histogram) histogram {
	d := histogram{h.bounds, slices.Clone(h.counts)}
	if len(earlier.counts) == len(d.counts) {
		for i, n := range earlier.counts {
			d.counts[i] -= min(n, d.counts[i])
		}
	}
	return d
}

func (h histogram) total() (n uint64) {
	for _, count := range h.counts {
		n += count
	}
	return n
}

// quantile estimates the value that a part of all values do not exceed. ok is false without values.
func (h histogram) quantile(part float64) (value float64, ok bool) {
	total := h.total()
	if total == 0 {
		return 0, false
	}
	rank, below := part*float64(total), 0.0
	for i, n := range h.counts {
		if below+float64(n) < rank || n == 0 {
			below += float64(n)
			continue
		}
		if i >= len(h.bounds) {
			return h.bounds[len(h.bounds)-1], true // nothing is known above the last bound
		}
		low := 0.0
		if i > 0 {
			low = h.bounds[i-1]
		}
		return low + (h.bounds[i]-low)*(rank-below)/float64(n), true
	}
	return h.bounds[len(h.bounds)-1], true
}

// add keeps a sample, and forgets those that are too old.
func (s *series) add(one sample, has map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has = has
	if len(s.samples) == mostSamples {
		s.samples = append(s.samples[:0], s.samples[1:]...)
	}
	if last := len(s.samples) - 1; last >= 0 {
		s.samples[last].spent = nil // nobody asks what was spent earlier, and there can be many callers
	}
	s.samples = append(s.samples, one)
}

// all returns the samples, and which metrics exist.
func (s *series) all() ([]sample, map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.samples), s.has
}

// minute is what happened in one minute of this process.
type minute struct {
	sold, failed, unclear int64
	calls                 histogram
	sampled               bool
}

// minutes are the last hour, the oldest minute first. The last one is not over yet.
func minutes(samples []sample, now time.Time) []minute {
	list := make([]minute, int(kept/time.Minute))
	for i := 1; i < len(samples); i++ {
		before, after := samples[i-1], samples[i]
		at := len(list) - 1 - int(now.Truncate(time.Minute).Sub(after.at.Truncate(time.Minute))/time.Minute)
		if at < 0 || at >= len(list) {
			continue
		}
		m := &list[at]
		m.sampled = true
		m.sold += after.sold - before.sold
		m.failed += after.failed - before.failed
		m.unclear += after.unclear - before.unclear
		if d := after.calls.less(before.calls); d.total() > 0 {
			m.calls.add(d.bounds, d.counts)
		}
	}
	return list
}
