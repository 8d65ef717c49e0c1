package simulation

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gigagate.internal/internal/tally"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == stormArgument {
		stormMain(os.Args[2], os.Args[3])
	}
	debug.SetGCPercent(800) // a history is short, and all its memory is garbage afterwards
	goleak.VerifyTestMain(postgrestest.Tests{M: m})
}

var (
	histories = flag.Int("histories", 0, "how many random histories each test plays; 0: a number that suits the journal")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first history; the next one has the next seed; 0: a new one each time")
	playsAll  = flag.Bool("all", false, "play every pair of faults, and every fault on PostgreSQL, instead of a sample")
	verbose   = flag.Bool("story", false, "print the histories")
)

// drawn returns the seeds that a test plays.
func drawn(t *testing.T, usual int) (first uint64, n int) {
	t.Helper()
	if first, n = *firstSeed, *histories; first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	if n == 0 {
		n = usual
	}
	t.Logf("from -seed %d", first)
	return first, n
}

// play runs one history in its own bubble. It fails the test if anything is wrong.
func play(t *testing.T, p plan, open func(*testing.T, func() time.Time) store) (w *world, wrong []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, wrong = run(t, p, open)
		report(t, w, wrong)
	})
	return w, wrong
}

// report fails the test if anything is wrong with a history.
func report(t *testing.T, w *world, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("%s\n%s", strings.Join(wrong, "\n"), w.story())
	} else if *verbose {
		t.Log(w.story())
	}
}

// again says how to play a history again if something is wrong with it.
func again(t *testing.T, seed uint64, wrong []string) []string {
	t.Helper()
	if len(wrong) > 0 {
		t.Logf("once more: go test ./purchase/simulation -run '^%s$' -all -histories 1 -seed %d", t.Name(), seed)
	}
	return wrong
}

// TestHistories plays random histories on the memory journal.
func TestHistories(t *testing.T) {
	t.Parallel()
	playMany(t, 300, draw, openMemory)
}

// TestHistoriesOnSQLite plays the same histories with one replica, because SQLite allows only one.
func TestHistoriesOnSQLite(t *testing.T) {
	t.Parallel()
	playMany(t, 20, func(seed uint64) plan {
		p := draw(seed)
		p.replicas = 1
		return p
	}, openSQLite)
}

// playMany plays histories in parallel, until one is wrong. usual is their number without -histories.
func playMany(t *testing.T, usual int, planOf func(seed uint64) plan, open func(*testing.T, func() time.Time) store) {
	t.Helper()
	first, n := drawn(t, usual)
	sideBySide(t, inBubbles(), first, n, func(seed uint64) []string {
		_, wrong := play(t, planOf(seed), open)
		return again(t, seed, wrong)
	})
}

// inBubbles is how many histories in virtual time run at once: two for each processor, because most goroutines of a
// history wait for another goroutine.
func inBubbles() int { return 2 * runtime.GOMAXPROCS(0) }

// sideBySide calls play with n numbers from first on, atOnce at the same time. play returns what is wrong with a
// history. sideBySide stops when the test has failed. Then it reports the tally.
func sideBySide(t *testing.T, atOnce int, first uint64, n int, play func(number uint64) []string) {
	t.Helper()
	var found tally.Tally
	long := n >= 1000 && (*histories > 0 || *playsAll)
	var next atomic.Int64
	var players sync.WaitGroup
	for range min(n, atOnce) {
		players.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !t.Failed(); i = int(next.Add(1)) - 1 {
				if long && i > 0 && i%(n/10) == 0 {
					t.Logf("%s; to go on from here: -seed %d", &found, first+uint64(max(0, i-atOnce))) // the last ones may still run
				}
				found.Add(play(first + uint64(i)))
			}
		})
	}
	players.Wait()
	t.Log(&found)
}
