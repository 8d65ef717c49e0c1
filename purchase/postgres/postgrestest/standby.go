package postgrestest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// standbyName is how a standby calls itself at its primary.
const standbyName = "standby"

// NewStandby returns a hot standby of a private server. From then on every commit of the primary waits until the
// standby has it on disk. If replaced is not nil, the standby gets the port of that server, which must be dead.
func NewStandby(tb testing.TB, primary, replaced *Server) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	s := &Server{binaries: primary.binaries, options: primary.options}
	if replaced != nil {
		s.port, s.URL = replaced.port, replaced.URL
	}
	tb.Cleanup(s.Stop)
	err := s.create(ctx, "pg_basebackup", "--dbname", "host=127.0.0.1 user=gigagate application_name="+standbyName+
		" port="+strconv.Itoa(primary.port), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if err == nil {
		err = s.Restart(ctx)
	}
	if err == nil {
		// Only now, because the standby must not inherit it: a promoted standby has no standby.
		err = primary.exec(ctx, `ALTER SYSTEM SET synchronous_standby_names = '`+standbyName+`'`, `SELECT pg_reload_conf()`)
	}
	if err == nil {
		err = primary.waitForStandby(ctx)
	}
	if err != nil {
		tb.Fatalf("PostgreSQL: a standby: %v", err)
	}
	return s
}

// waitForStandby waits until commits wait for the standby.
func (s *Server) waitForStandby(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for {
		var state string
		err := conn.QueryRow(ctx, `SELECT sync_state FROM pg_stat_replication WHERE application_name = '`+standbyName+`'`).Scan(&state)
		if err == nil && state == "sync" {
			return nil
		}
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Promote makes a standby a primary.
func (s *Server) Promote(ctx context.Context) error { return s.run(ctx, "pg_ctl", "promote") }

// BothHosts is a URL with the hosts of two servers. Clients use the one that is the primary.
func BothHosts(a, b *Server) string {
	host := "127.0.0.1:" + strconv.Itoa(a.port)
	return strings.Replace(a.URL, host, host+",127.0.0.1:"+strconv.Itoa(b.port), 1)
}
