package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// release is one version of gigagate.
type release struct{ version, binary string }

// wrapper starts the release in place of the binary that a replica names.
func (r release) wrapper() []string {
	return []string{"/bin/sh", "-c", `shift; exec "$0" "$@"`, r.binary}
}

// laterStep is a step as a later release may add one to the schema: it only adds.
const laterStep = `
ALTER TABLE gigagate.purchase ADD COLUMN later text;
CREATE INDEX purchase_by_later ON gigagate.purchase (later);
CREATE TABLE gigagate.purchase_later (id text PRIMARY KEY REFERENCES gigagate.purchase, later text NOT NULL);`

// newLaterRelease builds this tree with one more step in the schema of PostgreSQL.
func newLaterRelease(t *testing.T) release {
	t.Helper()
	schema, err := filepath.Abs("../../purchase/postgres/schema")
	if err != nil {
		t.Fatal(err)
	}
	known, err := filepath.Glob(filepath.Join(schema, "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	step, overlay := filepath.Join(folder, "step.sql"), filepath.Join(folder, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(schema, fmt.Sprintf("%04d_later.sql", len(known)+1)): step,
	}})
	if err := errors.Join(err, os.WriteFile(step, []byte(laterStep), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	r := release{"v999.0.0", filepath.Join(folder, "gigagate")}
	command := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-overlay", overlay,
		"-ldflags=-X main.stamped="+r.version, "-o", r.binary, ".")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return r
}

// releases returns two successive releases: -process.older and this tree, or this tree and a later one.
func releases(t *testing.T) (older, newer release) {
	t.Helper()
	this := release{versionOf(t, build(t)), build(t)}
	if *processOlder == "" {
		return this, newLaterRelease(t)
	}
	return release{versionOf(t, *processOlder), *processOlder}, this
}

func versionOf(t *testing.T, binary string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), binary, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestTwoReleases: two gateways share a journal under load. They change to the next release and back, one after the
// other. So each release works beside the other one, and the older release works on the newer one's schema.
func TestTwoReleases(t *testing.T) {
	t.Parallel()
	older, newer := releases(t)
	server := postgrestest.New(t)
	s := newShop(t)
	both := []*replica{newReplica(t, s, server.URL), newReplica(t, s, server.URL)}
	for _, r := range both {
		r.wrapper = older.wrapper()
		r.start(t)
	}
	load, changes := newTrial(t, s, both...), times(4)
	began := time.Now()
	for i := range changes {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), time.Duration(load.random.IntN(400))*time.Millisecond)
		r, to := both[i%2], []release{newer, older}[i/2%2]
		if load.random.IntN(2) == 0 {
			r.process().signal(t, syscall.SIGTERM)
			if status := r.process().exit(t); status != 0 {
				t.Errorf("exit status %d after SIGTERM; its log:\n%s", status, r.process().log)
			}
		}
		r.kill()
		r.wrapper = to.wrapper()
		r.start(t)
		if got := get(t, "http://"+r.admin+"/healthz").body; got != "ok "+to.version+"\n" {
			t.Fatalf("/healthz: %q, want %s", got, to.version)
		}
	}
	t.Logf("%d changes between %s and %s in %.1f s", changes, older.version, newer.version, time.Since(began).Seconds())
	if *processOlder == "" {
		inDatabase(t, server, "SELECT later FROM gigagate.purchase LIMIT 0") // the newer release's step was made
	}
	load.endOwners(server)
	load.settle()
	load.judge()
}
