package simulation

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/tally"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
	"gigagate.internal/purchase/sqlite"
)

// The storm: stormCalls calls at once want to buy on a budget for stormCovers packages. kill -9 ends their processes in the
// middle, again and again. The processes are engines in this test binary; see storm_child_test.go.
const (
	stormBudget = stormCovers * stormPrice
	stormPrice  = purchase.Micros(1_490_000)
	// stormKills is how often a storm kills something. It kills after at most stormSends more requests to buy, and
	// within stormLull.
	stormKills = 3
	stormSends = 60
	stormLull  = 200 * time.Millisecond
)

// storm is a vendor, a journal, and what kills the processes between them.
type storm struct {
	t       *testing.T
	random  *rand.Rand
	box     *sandbox.Sandbox
	vendor  *httptest.Server
	journal string // as a child takes it
	// left is how many more requests to buy come before the next kill. killNow gets a value then.
	left    atomic.Int64
	killNow chan struct{}
}

func newStorm(t *testing.T, seed uint64, journal string) *storm {
	t.Helper()
	settings := sandbox.DefaultSettings()
	settings.InitialCredit = 10_000_000 // cents
	settings.Latency = sandbox.Duration(10 * time.Millisecond)
	box, err := sandbox.New(sandbox.Config{Seed: seed, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{t: t, random: rand.New(rand.NewPCG(seed, 1)), box: box, journal: journal, killNow: make(chan struct{}, 1)}
	s.vendor = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == registerPath && s.left.Add(-1) == 0 {
			select {
			case s.killNow <- struct{}{}:
			default: // the storm is over
			}
		}
		box.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.vendor.Close()
		_ = box.Close()
	})
	return s
}

// stormChild is one process of a storm.
type stormChild struct {
	command *exec.Cmd
	words   chan string // what the process says; closed at its end
}

// start starts a process. It makes all calls at once, and says so.
func (s *storm) start() *stormChild {
	s.t.Helper()
	c := &stormChild{command: exec.CommandContext(s.t.Context(), os.Args[0], stormArgument, s.vendor.URL, s.journal), words: make(chan string, 2)}
	c.command.Stderr = os.Stderr
	output, err := c.command.StdoutPipe()
	if err == nil {
		err = c.command.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(c.words)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			c.words <- lines.Text()
		}
		_ = c.command.Wait() // the words tell how it ended
	}()
	if word := <-c.words; word != "started" {
		s.t.Fatalf("a process says %q", word)
	}
	return c
}

// kill is kill -9.
func (c *stormChild) kill() {
	_ = c.command.Process.Kill()
	for range c.words { // until it has ended
	}
}

// finish waits until every call has an answer.
func (c *stormChild) finish(t *testing.T) {
	t.Helper()
	if word := <-c.words; word != "finished" {
		t.Errorf("a process says %q instead of finishing", word)
	}
	c.kill()
}

// buyWitness makes one purchase without a budget. An older purchase in the vendor's records proves that they are complete.
func (s *storm) buyWitness() {
	s.t.Helper()
	journal, err := openStormJournal(s.t.Context(), strings.Fields(s.journal))
	if err != nil {
		s.t.Fatal(err)
	}
	engine, err := newStormEngine(journal, s.vendor.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	stormCall(s.t.Context(), engine, "older", nil)
	pause(time.Second) // purchases of one instant have no order of age
	engine.Close()
	if err := journal.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// run plays the storm with a number of processes, and returns what is wrong. ended is called when all are dead.
func (s *storm) run(processes int, ended func()) {
	s.t.Helper()
	s.buyWitness()
	children := make([]*stormChild, processes)
	for range stormKills {
		for i, c := range children {
			if c == nil {
				children[i] = s.start()
			}
		}
		s.left.Store(1 + s.random.Int64N(stormSends))
		select {
		case <-s.killNow:
		case <-time.After(time.Duration(s.random.Int64N(int64(stormLull)))): // the process may not have come as far as to the vendor
		}
		all := s.random.IntN(3) == 0
		victim := s.random.IntN(processes)
		for i, c := range children {
			if all || i == victim {
				c.kill()
				children[i] = nil
			}
		}
	}
	for _, c := range children {
		if c != nil {
			c.kill()
		}
	}
	ended()
	// The first pass settles what the kills left. The second one buys with what that has released.
	for range 2 {
		for i := range children {
			children[i] = s.start()
		}
		for _, c := range children {
			c.finish(s.t)
		}
		ended()
	}
}

// judge compares the ledger with the journal and the budget. check is the journal's own check.
func (s *storm) judge(journal purchase.Journal, check func() (int, []string, error)) (wrong []string) {
	add := func(kind, format string, args ...any) { wrong = append(wrong, tally.Finding(kind, format, args...)) }
	sold := map[string]int{}
	var took purchase.Micros
	for _, sale := range s.box.Ledger().Sales {
		id, text := purchase.SplitMetatag(sale.Metatag)
		if text == "older" {
			continue
		}
		sold[id]++
		took += purchase.Micros(sale.PurchasePrice) * 10_000 // from cents
		switch p, err := journal.Get(context.Background(), id); {
		case err != nil:
			add(tally.Lost, "a sale for %s, which is not in the journal: %v", id, err)
		case p.State != purchase.Succeeded || p.Charge == nil || *p.Charge != stormPrice || sold[id] > 1:
			add(tally.Untrue, "%s is %s, was sold %d times and is charged with %v", id, p.State, sold[id], p.Charge)
		}
	}
	open, err := journal.Watched(context.Background(), 0)
	held := purchase.Micros(len(open)) * stormPrice
	if err != nil || took+held != stormBudget {
		add(tally.Untrue, "%s were sold and %s are held on a budget of %s, %v", took, held, stormBudget, err)
	}
	totals, err := journal.BudgetTotals(context.Background(), "")
	if err != nil || len(totals) < 3 {
		add(tally.Broken, "totals: %v, %v", totals, err)
	}
	for _, total := range totals {
		if total.Period == purchase.PeriodTotal && (total.Reserved != held || total.Spent != took) {
			add(tally.Untrue, "%s are reserved and %s spent, but %s are held and %s were sold", total.Reserved, total.Spent, held, took)
		}
	}
	if _, problems, err := check(); err != nil || len(problems) > 0 {
		add(tally.Untrue, "the journal's check: %v, %v", problems, err)
	}
	return wrong
}

// playStorms plays storms one after the other, one without -histories.
func playStorms(t *testing.T, play func(seed uint64) []string) {
	t.Helper()
	first, n := drawn(t, 1)
	sideBySide(t, 1, first, n, func(seed uint64) []string {
		wrong := again(t, seed, play(seed))
		if len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
		return wrong
	})
}

// TestBudgetStormOnSQLite kills the only process, and starts it again on the same file.
func TestBudgetStormOnSQLite(t *testing.T) {
	t.Parallel()
	playStorms(t, func(seed uint64) []string {
		path := filepath.Join(t.TempDir(), "journal.db")
		s := newStorm(t, seed, "sqlite "+path)
		s.run(1, func() {})
		journal, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.judge(journal, func() (int, []string, error) {
			if err := journal.Close(); err != nil {
				return 0, nil, err
			}
			file, err := sqlite.OpenFile(t.Context(), path)
			if err != nil {
				return 0, nil, err
			}
			defer func() { _ = file.Close() }()
			return file.Check(t.Context())
		})
	})
}

// TestBudgetStormOnPostgres kills one of two replicas, or both.
func TestBudgetStormOnPostgres(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	playStorms(t, func(seed uint64) []string {
		schema := server.Schema(t)
		s := newStorm(t, seed, "postgres "+server.URL+"&application_name="+schema+" "+schema)
		journal, err := postgres.Open(t.Context(), server.URL, postgres.Options{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = journal.Close() }()
		s.run(2, func() { server.EndLeases(t, schema) })
		return s.judge(journal, func() (int, []string, error) {
			reader, err := postgres.OpenReader(t.Context(), server.URL, postgres.Options{Schema: schema})
			if err != nil {
				return 0, nil, err
			}
			defer func() { _ = reader.Close() }()
			return reader.Check(t.Context())
		})
	})
}
