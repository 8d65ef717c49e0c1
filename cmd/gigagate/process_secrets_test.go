package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestKilledWhileRotatingOnSQLite kills a gateway under load while it rotates the keys of its journal.
func TestKilledWhileRotatingOnSQLite(t *testing.T) {
	t.Parallel()
	s, keys := newShop(t), newRing(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(t.TempDir(), "journal.db"), keys.flag()).start(t)
	keys.trial(newTrial(t, s, r))
}

// TestKilledWhileRotatingOnPostgreSQL does the same with two replicas of one journal. The other replica sells meanwhile, and
// reads texts that are sealed with a key that it did not know.
func TestKilledWhileRotatingOnPostgreSQL(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s, keys := newShop(t), newRing(t)
	a, b := newReplica(t, s, server.URL, keys.flag()).start(t), newReplica(t, s, server.URL, keys.flag()).start(t)
	load := newTrial(t, s, a, b)
	keys.server = server
	keys.trial(load)
}

// ring is a key file that gets a new first key for each rotation.
type ring struct {
	path   string
	lines  []string // the newest first
	server *postgrestest.Server
}

func newRing(t *testing.T) *ring {
	t.Helper()
	k := &ring{path: filepath.Join(t.TempDir(), "keys")}
	k.add(t)
	return k
}

func (k *ring) flag() string { return "--journal-key-file=" + k.path }

func (k *ring) add(t *testing.T) {
	t.Helper()
	next := k.path + ".next" // the gateway may read the file at any time
	k.lines = append([]string{newKeyFile(t, next, k.lines...)}, k.lines...)
	if err := os.Rename(next, k.path); err != nil {
		t.Fatal(err)
	}
}

// trial kills the first replica during rotations. Each replica finds every key that is in the file when it needs it. After the
// last rotations, the newest key alone is enough.
func (k *ring) trial(load *trial) {
	t := load.t
	t.Helper()
	interrupted := 0
	for range times(6) {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), time.Duration(load.random.IntN(200))*time.Millisecond)
		k.add(t)
		over := make(chan command, 1)
		go func() { over <- load.replicas[0].rotate(t) }()
		pause(t.Context(), time.Duration(load.random.IntN(50))*time.Millisecond)
		load.replicas[0].kill()
		if got := <-over; got.status != 0 {
			interrupted++
		}
		load.replicas[0].start(t)
	}
	for _, r := range load.replicas {
		if log := r.process().log.String(); strings.Contains(log, "cannot be read: it is sealed with the key") {
			t.Errorf("a replica did not find a key that was in the file:\n%s", log)
		}
	}
	if k.server != nil {
		load.endOwners(k.server)
	}
	load.settle()
	var got command
	for range 2 { // a replica may have sealed with its former key until its own rotation
		for _, r := range load.replicas {
			got = r.rotate(t)
		}
	}
	var done rotation
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || got.status != 0 || done.Sealed != 0 || done.Unreadable != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	if err := os.WriteFile(k.path, []byte(k.lines[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range load.replicas {
		r.kill()
		r.start(t)
	}
	load.judge()
	if got := load.replicas[0].rotate(t); got.status != 0 || !strings.Contains(got.out, `"unreadable": 0`) {
		t.Errorf("with the newest key alone: %+v", got)
	}
	t.Logf("%d rotations were interrupted; %d rows", interrupted, done.Rows)
}

func (r *replica) rotate(t *testing.T) command {
	t.Helper()
	return gigagate(t, "journal", "keys", "rotate", "--output=json", "--admin-address="+r.adminAddress())
}

func (r *replica) adminAddress() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admin
}

// TestKilledWhileErasing kills a gateway while it erases the data of a customer. Each purchase is erased with an entry in its
// history, or not at all. An erasure that is not interrupted does the rest, and then no file holds the data.
func TestKilledWhileErasing(t *testing.T) {
	t.Parallel()
	const topUps = 60
	s := newShop(t)
	path := filepath.Join(t.TempDir(), "journal.db")
	r := newReplica(t, s, "sqlite:"+path).start(t)
	buy := func(in *intent) told {
		t.Helper()
		conn, err := r.connection(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := in.buyWithin(t.Context(), conn, soon)
		if a.sold == nil {
			t.Fatalf("%s: %s", in.requestID, a)
		}
		return a
	}
	first := newRegister("order-0")
	first.register.UserIp = "203.0.113.24"
	customer := buy(first).sold.(*gigagatev1.RegisterResponse).GetCustomer().GetUid() //nolint:forcetypeassert // it is a register
	bought := []*intent{first}
	for n := range topUps {
		in := newIntent(3*n+2, []string{customer}) // with a new profile
		in.topUp.NewProfile.UserIp = fmt.Sprintf("203.0.113.%d", 100+n)
		buy(in)
		bought = append(bought, in)
	}
	other := newRegister("other")
	other.register.UserIp = "203.0.113.5"
	kept := buy(other)
	erase := func() command {
		return gigagate(t, "erase", "--customer="+customer, "--operator=dana", "--output=json", "--admin-address="+r.adminAddress())
	}
	interrupted := 0
	for i := range times(5) {
		over := make(chan command, 1)
		go func() { over <- erase() }()
		pause(t.Context(), time.Duration(5+10*i)*time.Millisecond)
		r.kill()
		if got := <-over; got.status != 0 {
			interrupted++
		}
		r.start(t)
		erased := 0
		for _, in := range bought {
			before, after := in.answers()[0], buy(in)
			history := r.historyOf(t, after.purchase)
			marks := strings.Count(history, "ERASED")
			if after.item != before.item || marks > 1 || (marks == 1) == after.hasCodes() {
				t.Fatalf("%s: %d erasures in the history, and the answer is %v", in.requestID, marks, after.sold)
			}
			erased += marks
		}
		t.Logf("%d of %d are erased", erased, len(bought))
	}
	if got := erase(); got.status != 0 || !strings.Contains(got.out, fmt.Sprintf(`"purchases": %d`, len(bought))) {
		t.Fatalf("%+v", got)
	}
	for _, file := range []string{path, path + "-wal"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n := range topUps {
			if strings.Contains(string(text), fmt.Sprintf(`"203.0.113.%d"`, 100+n)) || strings.Contains(string(text), `"203.0.113.24"`) {
				t.Fatalf("%s still holds the data of order %d", file, n)
			}
		}
		if n := strings.Count(string(text), "LPA:1"); n != strings.Count(string(text), kept.codes()) {
			t.Errorf("%s still holds %d activation codes", file, n)
		}
	}
	if again := buy(other); !again.replayed || !again.hasCodes() || len(s.ledger(t).Sales) != len(bought)+1 {
		t.Errorf("another customer's purchase: %v", again)
	}
	t.Logf("%d erasures were interrupted", interrupted)
}

func (r *replica) historyOf(t *testing.T, id string) string {
	t.Helper()
	got, err := r.purchases(t).GetPurchase(t.Context(), &gigagatev1.GetPurchaseRequest{Id: id})
	if err != nil {
		t.Fatal(newCallError(err))
	}
	return fmt.Sprint(got.GetHistory())
}

// codes returns the activation code of an answer, or "".
func (a told) codes() string {
	return a.sold.(interface {
		GetEsimProfile() *gigagatev1.EsimProfile
	}).GetEsimProfile().GetActivationCode() //nolint:forcetypeassert // both answers have it
}

func (a told) hasCodes() bool { return a.codes() != "" }
