package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestFailingDisk runs a gateway under load on a disk that refuses some writes and syncs. It kills the
// gateway during that, and starts it again on a sound disk. strace makes the system calls fail.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	refusals := filepath.Join(t.TempDir(), "refusals")
	// With -D, the started process is gigagate itself, so that the test can kill it. Each thread counts its
	// own calls. The first calls must succeed, because otherwise the gateway does not start.
	faulty := []string{
		"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-Z", "-o", refusals, "-e", "trace=fsync,fdatasync,pwrite64",
		"-e", "inject=fsync,fdatasync:error=EIO:when=15+13", "-e", "inject=pwrite64:error=ENOSPC:when=150+151",
	}
	if text, err := exec.CommandContext(t.Context(), faulty[0], append(faulty[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs strace, and the right to use it: %v %s", err, text)
	}
	s := newShop(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(t.TempDir(), "journal.db")).start(t)
	load := newTrial(t, s, r)
	restart := func(wrapper []string) {
		r.kill()
		r.wrapper = wrapper
		r.start(t)
	}
	restart(faulty)
	enough := times(4) // refusals of each kind
	syncs, writes := 0, 0
	for round := 0; (syncs < enough || writes < enough) && round < max(mostRounds, enough); round++ {
		load.trouble()
		load.more(perRound)
		pause(t.Context(), 500*time.Millisecond)
		text, err := os.ReadFile(refusals)
		if err != nil {
			t.Fatal(err)
		}
		syncs, writes = bytes.Count(text, []byte(" EIO ")), bytes.Count(text, []byte(" ENOSPC "))
	}
	restart(nil)
	if t.Logf("%d syncs and %d writes were refused", syncs, writes); syncs < enough || writes < enough {
		t.Error("too few refusals for a meaningful test")
	}
	load.settle()
	load.judge()
}
