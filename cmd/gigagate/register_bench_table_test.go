package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

const (
	// leastRounds is how many rounds a bound is judged by. With fewer rounds the report only shows what was measured.
	leastRounds = 5
	// mostNoise is how much the medians of two equal variants may differ. Beyond it, the other results mean nothing.
	mostNoise = 0.05
)

// benchRow is one target: a value made from one or two variants, paired within each round.
type benchRow struct {
	name   string
	of, by string // variants; by may be empty
	value  func(of, by benchRun) float64
	format string
	least  bool // the bound is the least value; otherwise it is the most
	bound  float64
	// If the two runs of the control differ too much, the row is void.
	control benchControl
}

// benchControl is a variant that runs twice, and the measure in which its two runs are compared.
type benchControl struct {
	variant string
	measure benchMeasure
}

var (
	memoryCPU     = benchControl{"memory", serverCPU}
	sqliteCalls   = benchControl{"sqlite", perSecond}
	sqliteCPU     = benchControl{"sqlite", serverCPU}
	postgresCalls = benchControl{"postgres", perSecond}
	postgresCPU   = benchControl{"postgres", serverCPU}
)

func ratio(m benchMeasure) func(of, by benchRun) float64 {
	return func(of, by benchRun) float64 { return of.get(m) / by.get(m) }
}

func more(m benchMeasure) func(of, by benchRun) float64 {
	return func(of, by benchRun) float64 { return of.get(m) - by.get(m) }
}

func only(m benchMeasure) func(of, by benchRun) float64 {
	return func(of, _ benchRun) float64 { return of.get(m) }
}

// allCPU compares the CPU of the gateway and its PostgreSQL together.
func allCPU(of, by benchRun) float64 {
	return (of.get(serverCPU) + of.get(databaseCPU)) / (by.get(serverCPU) + by.get(databaseCPU))
}

// turnRows are the targets of BenchmarkTurns, in the order of the report.
var turnRows = []benchRow{
	{"SQLite ÷ ReverseProxy that connects for each request, CPU", "sqlite", "proxy-connecting", ratio(serverCPU), "%.2f", false, 2, sqliteCPU},
	{"SQLite ÷ ReverseProxy that keeps its connections, CPU", "sqlite", "proxy", ratio(serverCPU), "%.2f", false, 2.5, sqliteCPU},
	{"SQLite ÷ memory, CPU", "sqlite", "memory", ratio(serverCPU), "%.2f", false, 1.4, sqliteCPU},
	{"REST ÷ gRPC on SQLite, CPU", "sqlite-rest", "sqlite", ratio(serverCPU), "%.2f", false, 1.25, sqliteCPU},
	// What identity, rights and budgets add to a call. All that a caller uses of them may add 10 µs together, where a call on the
	// memory journal takes 141 µs without them. That is 7 %. A slower machine needs more µs for both.
	{"an API key ÷ none, CPU", "memory-key", "memory", ratio(serverCPU), "%.3f", false, 1.07, memoryCPU},
	{"an API key with a budget ÷ none, CPU", "memory-budget", "memory", ratio(serverCPU), "%.3f", false, 1.07, memoryCPU},
	{"a JWT ÷ none, CPU", "memory-jwt", "memory", ratio(serverCPU), "%.3f", false, 1.07, memoryCPU},
	{"a certificate ÷ none, CPU with TLS", "memory-certificate", "memory-tls", ratio(serverCPU), "%.3f", false, 1.07, memoryCPU},
	// On the same machine a call on SQLite takes 240 µs, so there 10 µs are 4 %.
	{"an API key with a budget ÷ none on SQLite, CPU", "sqlite-budget", "sqlite", ratio(serverCPU), "%.3f", false, 1.04, sqliteCPU},
	{"SQLite, full ÷ empty, calls/s", "sqlite-full", "sqlite", ratio(perSecond), "%.2f", true, 0.95, sqliteCalls},
	{"SQLite, full ÷ empty, CPU", "sqlite-full", "sqlite", ratio(serverCPU), "%.2f", false, 1.05, sqliteCPU},
	{"SQLite, full, first page of the slowest list, ms", "sqlite-full", "", only(warmList), "%.1f", false, 10, sqliteCalls},
	{"SQLite, full, the same when the file is not in memory, ms", "sqlite-full", "", only(coldList), "%.1f", false, 50, sqliteCalls},
	{"SQLite, full, ready later than without a journal, ms", "sqlite-full", "memory", more(ready), "%.0f", false, 50, sqliteCalls},
	{"PostgreSQL, full ÷ empty, calls/s", "postgres-full", "postgres", ratio(perSecond), "%.2f", true, 0.95, postgresCalls},
	{"PostgreSQL, full ÷ empty, CPU with the server's", "postgres-full", "postgres", allCPU, "%.2f", false, 1.05, postgresCPU},
	{"PostgreSQL, full, first page of the slowest list, ms", "postgres-full", "", only(warmList), "%.1f", false, 10, postgresCalls},
	{"PostgreSQL, full, ready later than without a journal, ms", "postgres-full", "memory", more(ready), "%.0f", false, 50, postgresCalls},
}

// benchRows are the targets of BenchmarkRegister, in the order of the report.
var benchRows = []benchRow{
	{"PostgreSQL ÷ older build, calls/s", "postgres", "postgres-baseline", ratio(perSecond), "%.2f", true, 2.3, postgresCalls},
	{"PostgreSQL ÷ River, calls/s by jobs/s", "postgres", "river", ratio(perSecond), "%.2f", true, 0.9, postgresCalls},
	{"PostgreSQL's own CPU per purchase, ms", "postgres", "", func(r, _ benchRun) float64 { return r.get(databaseCPU) / 1000 }, "%.2f", false, 0.25, postgresCPU},
	{"SQLite, p50 added to a vendor of 50 ms, with few callers, ms", "sqlite-50ms", "vendor-50ms", more(p50), "%.1f", false, 3, sqliteCalls},
	{"PostgreSQL, p50 added to a vendor of 50 ms, with few callers, ms", "postgres-50ms", "vendor-50ms", more(p50), "%.1f", false, 6, postgresCalls},
	{"SQLite, memory per purchase in flight, KB", "sqlite-in-flight", "", only(perPurchase), "%.0f", false, 60, sqliteCPU},
}

// get returns what was measured, or NaN.
func (r benchRun) get(m benchMeasure) float64 {
	if value, ok := r[m]; ok {
		return value
	}
	return math.NaN()
}

// inRounds returns the row's value in each round in which it was measured.
func (r benchRow) inRounds(runs map[string][]benchRun) (list []float64) {
	for round, of := range runs[r.of] {
		var by benchRun
		if r.by != "" {
			if round >= len(runs[r.by]) {
				break
			}
			by = runs[r.by][round]
		}
		if value := r.value(of, by); !math.IsNaN(value) {
			list = append(list, value)
		}
	}
	return list
}

// inRounds returns how the control's second run compares with its first one, in each round.
func (c benchControl) inRounds(runs map[string][]benchRun) []float64 {
	return benchRow{of: c.variant + "-again", by: c.variant, value: ratio(c.measure)}.inRounds(runs)
}

// verdict says what the row's values mean. skipped says why a variant was not measured.
func (r benchRow) verdict(runs map[string][]benchRun, skipped map[string]string) string {
	list, control := r.inRounds(runs), r.control.inRounds(runs)
	switch {
	case len(list) == 0:
		for _, name := range []string{r.of, r.by} {
			if why, ok := skipped[name]; ok {
				return "skipped: " + why
			}
		}
		return "skipped: not measured"
	case len(control) == 0:
		return "VOID: without " + r.control.variant + "-again there is no control"
	case math.Abs(median(control)-1) > mostNoise:
		return fmt.Sprintf("VOID: %s twice gives %.2f in %s", r.control.variant, median(control), r.control.measure)
	case len(list) < leastRounds:
		return fmt.Sprintf("not judged: fewer than %d rounds", leastRounds)
	case r.least && median(list) < r.bound, !r.least && median(list) > r.bound:
		return "BROKEN"
	}
	return "holds"
}

// report prints what was measured and the targets. It returns how many bounds are broken.
func (s *benchSuite) report(w io.Writer, variants []benchVariant) (broken int) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	columns := []benchMeasure{perSecond, serverCPU, p50, p99, sandboxCPU, databaseCPU, ready, perPurchase}
	fmt.Fprintf(table, "\nmedian (min–max) of %d rounds", *benchRounds)
	for _, m := range columns {
		fmt.Fprintf(table, "\t%s", m)
	}
	for _, v := range variants {
		fmt.Fprintf(table, "\n%s", v.name)
		for _, m := range columns {
			format := "%.0f"
			if m == p50 || m == p99 {
				format = "%.1f"
			}
			fmt.Fprintf(table, "\t%s", spread(format, benchRow{of: v.name, value: only(m)}.inRounds(s.runs)))
		}
	}
	fmt.Fprint(table, "\n\ncontrols\tmedian (min–max)\tbound\n")
	for _, c := range []benchControl{memoryCPU, sqliteCalls, sqliteCPU, postgresCalls, postgresCPU} {
		if len(c.inRounds(s.runs)) == 0 {
			continue
		}
		fmt.Fprintf(table, "%s twice, %s\t%s\t%.2f to %.2f\n", c.variant, c.measure, spread("%.2f", c.inRounds(s.runs)), 1-mostNoise, 1+mostNoise)
	}
	fmt.Fprint(table, "\ntargets\tmedian (min–max)\tbound\tverdict\n")
	for _, row := range s.rows {
		verdict := row.verdict(s.runs, s.skipped)
		if verdict == "BROKEN" {
			broken++
		}
		bound := "at most "
		if row.least {
			bound = "at least "
		}
		fmt.Fprintf(table, "%s\t%s\t%s"+row.format+"\t%s\n", row.name, spread(row.format, row.inRounds(s.runs)), bound, row.bound, verdict)
	}
	_ = table.Flush()
	if broken > 0 {
		fmt.Fprintf(w, "\nbroken bounds: %d\n", broken)
	}
	return broken
}

// spread formats the median and the range of a list, or a dash if it is empty.
func spread(format string, list []float64) string {
	if len(list) == 0 {
		return "–"
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(list), slices.Min(list), slices.Max(list))
}

// TestBenchVerdicts: a broken bound counts only if it was measured often enough, beside a control that is quiet.
func TestBenchVerdicts(t *testing.T) {
	runs := func(rounds int, cpu float64) []benchRun {
		return slices.Repeat([]benchRun{{perSecond: 1000, serverCPU: cpu}}, rounds)
	}
	row := benchRow{of: "sqlite", by: "proxy", value: ratio(serverCPU), bound: 2, control: sqliteCPU}
	least := benchRow{of: "sqlite", by: "proxy", value: ratio(serverCPU), bound: 2.5, least: true, control: sqliteCPU}
	for _, c := range []struct {
		name string
		row  benchRow
		runs map[string][]benchRun
		want string
	}{
		{"within", row, map[string][]benchRun{"sqlite": runs(5, 200), "sqlite-again": runs(5, 205), "proxy": runs(5, 100)}, "holds"},
		{"above", row, map[string][]benchRun{"sqlite": runs(5, 201), "sqlite-again": runs(5, 205), "proxy": runs(5, 100)}, "BROKEN"},
		{"below the least", least, map[string][]benchRun{"sqlite": runs(5, 249), "sqlite-again": runs(5, 249), "proxy": runs(5, 100)}, "BROKEN"},
		{"noise", row, map[string][]benchRun{"sqlite": runs(5, 300), "sqlite-again": runs(5, 280), "proxy": runs(5, 100)}, "VOID"},
		{"no control", row, map[string][]benchRun{"sqlite": runs(5, 300), "proxy": runs(5, 100)}, "VOID"},
		{"few rounds", row, map[string][]benchRun{"sqlite": runs(4, 300), "sqlite-again": runs(4, 300), "proxy": runs(4, 100)}, "not judged"},
		{"no proxy", row, map[string][]benchRun{"sqlite": runs(5, 300), "sqlite-again": runs(5, 300)}, "skipped: why"},
		{"no CPU", row, map[string][]benchRun{"sqlite": runs(5, 300), "sqlite-again": runs(5, 300), "proxy": {{perSecond: 1}}}, "skipped: not measured"},
	} {
		skipped := map[string]string{}
		if c.runs["proxy"] == nil {
			skipped["proxy"] = "why"
		}
		if got := c.row.verdict(c.runs, skipped); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}
