package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

// consoleTable is what BenchmarkConsole measured with one journal.
type consoleTable struct {
	journal *consoleJournal
	pages   []consolePage
	warm    [][]float64 // in milliseconds, of each page
	cold    []float64   // in milliseconds, of each page
	control []float64   // in milliseconds, of the control
	// gateway and database are the shares of a core that an open page uses.
	gateway, database float64
}

// mostBusy is how many times as long as its fastest run the control may take. Beyond it, the machine had other work, and a page
// above its bound means nothing.
const mostBusy = 2

// control is work that always takes the same time if the machine has nothing else to do: about 5 ms.
func control() time.Duration {
	began := time.Now()
	block := make([]byte, 1<<20)
	for range 4 {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
	return time.Since(began)
}

// isBusy reports whether the machine had other work.
func (t *consoleTable) isBusy() bool { return slices.Max(t.control) > mostBusy*slices.Min(t.control) }

// measureWarm asks for every page in each round, in random order. So what the machine does meanwhile happens to all pages alike.
func (t *consoleTable) measureWarm(b *testing.B, browser *consoleBrowser) {
	b.Helper()
	t.warm = make([][]float64, len(t.pages))
	rounds := 1 + consoleTimes // the first one only warms up
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		for _, i := range rand.Perm(len(t.pages)) {
			_, took, err := browser.get(b.Context(), t.pages[i])
			if err != nil {
				b.Fatal(err)
			}
			if round > 0 {
				t.warm[i] = append(t.warm[i], milliseconds(took))
				t.control = append(t.control, milliseconds(control()))
			}
		}
	}
}

// measureOpenPage compares the CPU time with one open page Now with the mean of those without one before and after.
func (t *consoleTable) measureOpenPage(b *testing.B, browser *consoleBrowser, gateway *program) {
	b.Helper()
	used := func() (process, database time.Duration) {
		if t.journal.cpu != nil {
			database = t.journal.cpu()
		}
		return runningProcesses()[gateway.command.Process.Pid].cpu, database
	}
	window := consoleWindow
	if testing.Short() {
		window = time.Second
	}
	share := func() (process, database float64) {
		before, beforeDatabase := used()
		if !pause(b.Context(), window) {
			b.Fatal(b.Context().Err())
		}
		after, afterDatabase := used()
		return (after - before).Seconds() / window.Seconds(), (afterDatabase - beforeDatabase).Seconds() / window.Seconds()
	}
	closed, closedDatabase := share()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	got, err := browser.open(ctx, consolePage{name: "an open page", stream: true})
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, got.Body) // until cancel
	}()
	open, openDatabase := share()
	cancel()
	<-read
	_ = got.Body.Close()
	again, againDatabase := share()
	t.gateway, t.database = open-(closed+again)/2, openDatabase-(closedDatabase+againDatabase)/2
}

// measureCold asks for every page once, after the system has forgotten the journal's files.
func (t *consoleTable) measureCold(b *testing.B, browser *consoleBrowser, admin string) {
	b.Helper()
	pages := t.pages
	if testing.Short() {
		pages = pages[:3]
	}
	for _, p := range pages {
		if err := t.journal.chill(); err != nil {
			b.Fatal(err)
		}
		for deadline := time.Now().Add(soon); !isReadyAt(b, admin); { // the gateway connects to its database again
			if time.Now().After(deadline) || !pause(b.Context(), 20*time.Millisecond) {
				b.Fatal("the gateway is not ready")
			}
		}
		_, took, err := browser.get(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		t.cold = append(t.cold, milliseconds(took))
	}
}

func isReadyAt(b *testing.B, admin string) bool {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, admin+"/readyz", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	got, err := httpClient.Do(request)
	if err != nil {
		return false
	}
	_ = got.Body.Close()
	return got.StatusCode == http.StatusOK
}

// print prints the table, the slowest page first. It returns how many bounds are broken.
func (t *consoleTable) print(w io.Writer) (broken int) {
	order := make([]int, len(t.pages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return int(1000 * (slices.Max(t.warm[j]) - slices.Max(t.warm[i]))) })
	verdict := func(holds bool) string {
		switch {
		case holds:
			return "holds"
		case t.isBusy():
			return "VOID"
		}
		broken++
		return "BROKEN"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\n%s, %d purchases, ms\tmedian\tworst of %d\tcold\tworst: at most %d\n", t.journal.name, *consolePurchases, len(t.control)/max(1, len(t.pages)), consoleBound.Milliseconds())
	for _, i := range order {
		worst, cold := slices.Max(t.warm[i]), "–"
		if i < len(t.cold) {
			cold = fmt.Sprintf("%.0f", t.cold[i])
		}
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%s\t%s\n", t.pages[i].name, median(t.warm[i]), worst, cold, verdict(worst <= milliseconds(consoleBound)))
	}
	fmt.Fprintf(table, "control: work of this program\t%.1f\t%.1f\t%.1f (fastest)\n", median(t.control), slices.Max(t.control), slices.Min(t.control))
	fmt.Fprintf(table, "\n%s, %% of a core\tgateway\tdatabase\ttogether: at most %.0f\n", t.journal.name, 100*consoleShare)
	fmt.Fprintf(table, "an open page Now\t%.2f\t%.2f\t%s\n", 100*t.gateway, 100*t.database, verdict(t.gateway+t.database <= consoleShare))
	_ = table.Flush()
	if t.isBusy() {
		fmt.Fprintln(w, "\nVOID: the machine had other work, so what is above its bound means nothing")
	}
	if broken > 0 {
		fmt.Fprintf(w, "\nbroken bounds: %d\n", broken)
	}
	return broken
}

// TestConsoleBenchVerdicts: a page or an open page above its bound breaks it, whatever the median is. On a busy machine it does not.
func TestConsoleBenchVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		worst, gateway, database, control float64
		want                              int
	}{{100, 0.004, 0.006, 9, 0}, {100.1, 0, 0, 10, 1}, {1, 0.006, 0.006, 5, 1}, {101, 0.02, 0, 5, 2}, {101, 0.02, 0, 11, 0}} {
		table := consoleTable{
			journal: &consoleJournal{name: "a journal"}, pages: []consolePage{{name: "a page"}}, warm: [][]float64{{1, 1, c.worst}}, cold: []float64{1000},
			control: []float64{5, c.control}, gateway: c.gateway, database: c.database,
		}
		if got := table.print(io.Discard); got != c.want {
			t.Errorf("%+v: %d bounds are broken", c, got)
		}
	}
}
