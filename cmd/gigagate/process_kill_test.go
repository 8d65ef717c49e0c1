package main

import (
	"path/filepath"
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestKilledOnSQLite kills a gateway at random moments under load, and starts it again on the same file.
func TestKilledOnSQLite(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := newShop(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(t.TempDir(), "journal.db")).start(t)
	load, kills := newTrial(t, s, r), times(8)
	for range kills {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), time.Duration(load.random.IntN(400))*time.Millisecond)
		r.kill()
		r.start(t)
	}
	t.Logf("%d kills in %.1f s", kills, time.Since(began).Seconds())
	load.settle()
	load.judge()
}

// TestKilledOnPostgreSQL kills one of two replicas, or both, at random moments under load.
func TestKilledOnPostgreSQL(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server := postgrestest.New(t)
	s := newShop(t)
	a := newReplica(t, s, server.URL).start(t)
	b := newReplica(t, s, server.URL).start(t)
	load, kills := newTrial(t, s, a, b), times(8)
	for killed := 0; killed < kills; {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), time.Duration(load.random.IntN(400))*time.Millisecond)
		victims := [][]*replica{{a}, {b}, {a, b}}[load.random.IntN(3)]
		for _, victim := range victims {
			victim.kill()
		}
		for _, victim := range victims {
			victim.start(t)
			killed++
		}
	}
	t.Logf("%d kills in %.1f s", kills, time.Since(began).Seconds())
	load.endOwners(server)
	load.settle()
	load.judge()
}

// endOwners restarts all replicas. The purchases of dead processes stay theirs for a lease of 45 s. No owner is alive
// in between, so the leases can end at once. TestStoppedPastItsLease covers a living owner.
func (l *trial) endOwners(server *postgrestest.Server) {
	l.t.Helper()
	for _, r := range l.replicas {
		r.kill()
	}
	waitForNobody(l.t, server)
	endLeases(l.t, server)
	for _, r := range l.replicas {
		r.start(l.t)
	}
}
