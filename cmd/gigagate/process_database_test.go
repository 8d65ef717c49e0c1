package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5" //nolint:depguard // does to the database what only an operator or an accident would

	"gigagate.internal/purchase/postgres/postgrestest"
)

// connectTo connects to the database as its owner.
func connectTo(t *testing.T, server *postgrestest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// inDatabase runs one statement.
func inDatabase(t *testing.T, server *postgrestest.Server, statement string) {
	t.Helper()
	conn := connectTo(t, server)
	_, err := conn.Exec(t.Context(), statement)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// endLeases ends all leases at once, as if their time were over.
func endLeases(t *testing.T, server *postgrestest.Server) {
	t.Helper()
	inDatabase(t, server, `UPDATE gigagate.purchase_open SET lease_until = now() WHERE lease_until > now()`)
}

// waitForNobody waits until the server has noticed that its clients are dead. Until then it finishes and
// commits their last statements.
func waitForNobody(t *testing.T, server *postgrestest.Server) {
	t.Helper()
	conn := connectTo(t, server)
	eventually(t, "nobody else is connected", func() error {
		var others int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others)
		if err == nil && others > 0 {
			err = fmt.Errorf("%d are", others)
		}
		return err
	})
}

// lockPurchases blocks all writes, but no reads, until release is called.
func lockPurchases(t *testing.T, server *postgrestest.Server) (release func()) {
	t.Helper()
	lock, err := connectTo(t, server).Begin(t.Context())
	if err == nil {
		_, err = lock.Exec(t.Context(), "LOCK TABLE gigagate.purchase IN SHARE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := lock.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// freeze stops all processes of a server. thaw lets them go on.
func freeze(t *testing.T, server *postgrestest.Server) (thaw func()) {
	t.Helper()
	if !server.Private() {
		t.Fatal("the test may stop only a private server")
	}
	var folder string
	conn := connectTo(t, server)
	if err := errors.Join(conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder), conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	postmaster, err := strconv.Atoi(string(first))
	if err != nil {
		t.Fatal(err)
	}
	// Stop the postmaster first, so that it starts no new processes.
	stopped := []int{postmaster}
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = sync.OnceFunc(func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	t.Cleanup(thaw)
	for _, child := range childrenOf(t, postmaster) {
		if err := syscall.Kill(child, syscall.SIGSTOP); err == nil {
			stopped = append(stopped, child)
		}
	}
	return thaw
}

// childrenOf reads /proc: the fourth field of stat is the parent. The second field is a name in parentheses.
func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, errPID := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if errPID == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, pid)
		}
	}
	return found
}
