package simulation

import (
	"flag"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gigagate.internal/purchase/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // a history is short, and all its memory is garbage afterwards
	goleak.VerifyTestMain(postgrestest.Tests{M: m})
}

var (
	histories = flag.Int("histories", 300, "how many random histories")
	inSQLite  = flag.Int("sqlite-histories", 20, "how many of them on SQLite")
	firstSeed = flag.Uint64("seed", 0, "play this one history and print it; 0: many")
	verbose   = flag.Bool("story", false, "print the histories")
)

// play runs one history in its own bubble. It fails the test if anything is wrong.
func play(t *testing.T, p plan, open func(*testing.T, func() time.Time) store) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, wrong := run(t, p, open)
		if len(wrong) > 0 {
			t.Errorf("%s\n%s\nreplay: go test ./purchase/simulation -run %q -seed %d",
				strings.Join(wrong, "\n"), w.story(), "^"+strings.SplitN(t.Name(), "/", 2)[0]+"$", p.seed)
		} else if *verbose {
			t.Log(w.story())
		}
	})
}

// TestHistories plays random histories on the memory journal.
func TestHistories(t *testing.T) {
	t.Parallel()
	if *firstSeed != 0 {
		play(t, draw(*firstSeed), openMemory)
		return
	}
	playMany(t, *histories, draw, openMemory)
}

// TestHistoriesOnSQLite plays the same histories with one replica, because SQLite allows only one.
func TestHistoriesOnSQLite(t *testing.T) {
	t.Parallel()
	alone := func(seed uint64) plan {
		p := draw(seed)
		p.replicas = 1
		return p
	}
	if *firstSeed != 0 {
		play(t, alone(*firstSeed), openSQLite)
		return
	}
	playMany(t, *inSQLite, alone, openSQLite)
}

// playMany plays n histories in parallel, until one is wrong.
func playMany(t *testing.T, n int, planOf func(seed uint64) plan, open func(*testing.T, func() time.Time) store) {
	t.Helper()
	began := uint64(time.Now().UnixNano())
	t.Logf("seeds from %d", began)
	sideBySide(t, n, func(i int) { play(t, planOf(began+uint64(i)), open) })
}

// perProcessor is how many histories run at once for each processor. There are several because most
// goroutines of a history wait for another goroutine.
const perProcessor = 2

// sideBySide calls play with 0 to n-1, some in parallel. It stops when the test has failed.
func sideBySide(t *testing.T, n int, play func(i int)) {
	t.Helper()
	var next atomic.Int64
	var players sync.WaitGroup
	for range min(n, perProcessor*runtime.GOMAXPROCS(0)) {
		players.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !t.Failed(); i = int(next.Add(1)) - 1 {
				play(i)
			}
		})
	}
	players.Wait()
}
