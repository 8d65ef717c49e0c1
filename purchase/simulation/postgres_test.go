package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

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
		reader, err := postgres.Open(context.Background(), server.URL+"&pool_max_conns=1", postgres.Options{Schema: s.schema, Now: now})
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
// statements, lost answers, and processes that die or are stopped. With -all it plays all of them. Otherwise each
// step has one lost answer and one death.
func TestFaultsAloneOnPostgres(t *testing.T) {
	t.Parallel()
	var plans []plan
	for i, step := range journalSteps {
		for _, way := range waysTo(step) {
			for j, f := range faultsAt(step) {
				dos := []string{doLoseBefore, doLoseAfter, doCommitLate, doKillBefore, doKillAfter, doStopBefore, doStopAfter}
				typical := f.do == doLoseAfter || f.do == doKillBefore && f.d > time.Minute
				if typical || *playsAll && slices.Contains(dos, f.do) {
					f.nth = 1
					plans = append(plans, scene(kinds[(i+j)%len(kinds)], modes[j%len(modes)], append(slices.Clone(way), f)...))
				}
			}
		}
	}
	playAll(t, postgresStores(t), plans)
}

// TestHistoriesOnPostgresInBubbles plays the same histories as on the memory journal, in virtual
// time, which stands still while PostgreSQL works.
func TestHistoriesOnPostgresInBubbles(t *testing.T) {
	t.Parallel()
	playMany(t, 20, draw, postgresStores(t))
}

// TestHistoriesOnPostgres plays histories in real time, with settings of milliseconds. The real clock
// decides the order of events, so a seed gives the same plan again, but rarely the same history.
func TestHistoriesOnPostgres(t *testing.T) {
	t.Parallel()
	open := postgresStores(t)
	first, n := drawn(t, realHistories)
	const atOnce = 24 // they mostly wait
	sideBySide(t, atOnce, first, n, func(seed uint64) []string {
		w, wrong := run(t, draw(seed).faster(realPace), open)
		report(t, w, wrong)
		return again(t, seed, wrong)
	})
}
