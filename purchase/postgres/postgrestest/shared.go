package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const startTimeout = time.Minute

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared returns the server that all tests of the binary share. The first call starts it, and [Tests] stops it.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		shared.server, shared.err = Start(ctx)
	})
	return require(tb, shared.server, shared.err)
}

// Tests runs the tests of a binary and then stops the server of [Shared]:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }
type Tests struct{ *testing.M }

// Run runs the tests.
func (t Tests) Run() int {
	defer func() {
		if shared.server != nil {
			shared.server.Stop()
		}
	}()
	return t.M.Run()
}

// New returns a private server for one test, which may kill or slow it. The server stops when the test ends.
// options are server options of PostgreSQL ("-c", "fsync=off").
func New(tb testing.TB, options ...string) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	if len(options) == 0 {
		options = []string{"-c", "log_checkpoints=off"} // any option will do, because a server with options is private
	}
	server, err := Start(ctx, options...)
	server = require(tb, server, err)
	tb.Cleanup(server.Stop)
	return server
}

func require(tb testing.TB, server *Server, err error) *Server {
	tb.Helper()
	switch {
	case errors.Is(err, ErrNoServer) && os.Getenv("CI") != "true":
		tb.Skipf("needs PostgreSQL: %v", err)
	case err != nil:
		tb.Fatalf("PostgreSQL: %v", err)
	}
	return server
}

var schemas atomic.Int64

// Schema returns the name of a schema that only this test uses. The journal creates it. It is dropped when the
// test ends.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("case_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), schemas.Add(1))
	if s.Private() {
		return name // it ends with the server
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), startTimeout)
		defer cancel()
		if err := s.exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{name}.Sanitize()+` CASCADE`); err != nil {
			tb.Errorf("drop schema %s: %v", name, err)
		}
	})
	return name
}

// Vacuum does what PostgreSQL would do by itself some time after many rows were written. A benchmark calls it before
// it measures.
func (s *Server) Vacuum(ctx context.Context) error {
	return s.exec(ctx, `VACUUM (ANALYZE)`, `CHECKPOINT`)
}

func (s *Server) exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// EndLeases ends the leases of gateways that were killed. Their connections have the name of the schema as their
// application name. First it waits until the server has noticed that they are gone.
func (s *Server) EndLeases(tb testing.TB, schema string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	for connected := 1; connected > 0; {
		if err := conn.QueryRow(tb.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", schema).Scan(&connected); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := conn.Exec(tb.Context(), "UPDATE "+schema+".purchase_open SET lease_until = now() WHERE lease_until > now()"); err != nil {
		tb.Fatal(err)
	}
}
