package simulation

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

var inPostgres = flag.Int("postgres-histories", 20, "how many random histories on PostgreSQL, in virtual time and again in real time")

// inServer is a journal in a PostgreSQL server. Each process has its own connections, which break when
// the process dies; see [links].
type inServer struct {
	schema string
	links  *links
	now    func() time.Time
	reader *postgres.Journal
	opened atomic.Int64
}

// postgresStores opens a schema for each history. It must be called outside bubbles.
func postgresStores(t *testing.T) func(*testing.T, func() time.Time) store {
	t.Helper()
	server := postgrestest.New(t, "-c", "max_connections=500")
	links := newLinks(t, server.URL)
	return func(t *testing.T, now func() time.Time) store {
		t.Helper()
		s := &inServer{schema: server.Schema(t), links: links, now: now}
		reader, err := postgres.Open(context.Background(), server.URL+"&pool_max_conns=1", postgres.Options{Schema: s.schema})
		if err != nil {
			t.Fatal(err)
		}
		s.reader = reader
		return s
	}
}

func (s *inServer) journal() purchase.Journal { return s.reader }
func (s *inServer) close()                    { _ = s.reader.Close() }

func (s *inServer) open() (way, error) {
	l, url := s.links.open(fmt.Sprintf("%s.%d", s.schema, s.opened.Add(1)))
	journal, err := postgres.Open(context.Background(), url+"&pool_max_conns=4", postgres.Options{Schema: s.schema, Now: s.now})
	if err != nil {
		l.cut()
		return way{}, err
	}
	return way{Journal: journal, link: l}, nil
}

// TestFaultsAloneOnPostgres plays faults of connections and leases at every step of the journal: lost
// statements, lost answers, and processes that die or are stopped. With -postgres-histories of 200 or more
// it plays all of them. Otherwise each step has one lost answer and one death.
func TestFaultsAloneOnPostgres(t *testing.T) {
	t.Parallel()
	var plans []plan
	for i, step := range journalSteps {
		for _, way := range waysTo(step) {
			for j, f := range faultsAt(step) {
				dos := []string{doLoseBefore, doLoseAfter, doCommitLate, doKillBefore, doKillAfter, doStopBefore, doStopAfter}
				typical := f.do == doLoseAfter || f.do == doKillBefore && f.d > time.Minute
				if typical || *inPostgres >= 200 && slices.Contains(dos, f.do) {
					f.nth = 1
					plans = append(plans, scene(kinds[(i+j)%len(kinds)], modes[j%len(modes)], append(slices.Clone(way), f)...))
				}
			}
		}
	}
	playAll(t, postgresStores(t), len(plans), func(i int) plan { return plans[i] })
	t.Logf("%d histories", len(plans))
}

// TestHistoriesOnPostgresInBubbles plays the same histories as on the memory journal, in virtual
// time, which stands still while PostgreSQL works.
func TestHistoriesOnPostgresInBubbles(t *testing.T) {
	t.Parallel()
	open := postgresStores(t)
	if *firstSeed != 0 {
		play(t, draw(*firstSeed), open)
		return
	}
	playMany(t, *inPostgres, draw, open)
}

// TestHistoriesOnPostgres plays histories in real time, with settings of milliseconds. The real clock
// decides the order of events, so a seed gives the same plan again, but rarely the same history.
func TestHistoriesOnPostgres(t *testing.T) {
	t.Parallel()
	open := postgresStores(t)
	seed, n := *firstSeed, 1
	if seed == 0 {
		seed, n = uint64(time.Now().UnixNano()), *inPostgres
	}
	t.Logf("seeds from %d", seed)
	const atATime = 24 // they mostly wait
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range min(n, atATime) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < uint64(n) && !t.Failed(); i = next.Add(1) - 1 {
				p := draw(seed + i).faster(realPace)
				w, wrong := run(t, p, open)
				if len(wrong) > 0 {
					t.Errorf("%s\n%s\nreplay: go test ./purchase/simulation -run ^TestHistoriesOnPostgres$ -seed %d",
						strings.Join(wrong, "\n"), w.story(), p.seed)
				} else if *verbose {
					t.Log(w.story())
				}
			}
		})
	}
	workers.Wait()
}
