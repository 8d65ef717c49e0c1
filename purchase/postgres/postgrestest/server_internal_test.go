package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// abandon makes this test binary start a server, print its folder, and wait to be killed.
const abandon = "GIGAGATE_TEST_ABANDON_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(abandon) == "" {
		goleak.VerifyTestMain(Tests{M: m})
		return
	}
	server, err := Start(context.Background(), "-c", "fsync=on")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, server.folder)
	select {}
}

// TestServerEndsWithItsTests: a test binary that panics or is killed leaves no server and no files behind.
func TestServerEndsWithItsTests(t *testing.T) {
	if _, err := findBinaries(); err != nil {
		require(t, nil, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(ctx, binary)
	child.Env = append(os.Environ(), abandon+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	folder, err := bufio.NewReader(out).ReadString('\n')
	if folder = strings.TrimSpace(folder); err != nil || folder == "" {
		t.Fatalf("the child started no server: %v", err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still there", folder)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
