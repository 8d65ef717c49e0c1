package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }

func TestJournal(t *testing.T) {
	t.Parallel()
	runJournal(t, false, "")
}

// TestJournalPrepared: without a pooler, the URL may ask for prepared statements.
func TestJournalPrepared(t *testing.T) {
	t.Parallel()
	runJournal(t, true, "&default_query_exec_mode=cache_statement")
}

func runJournal(t *testing.T, steady bool, parameter string) {
	t.Helper()
	server := postgrestest.Shared(t)
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) journaltest.Harness {
		schema := server.Schema(t)
		pool := newPooler(t, server.URL)
		pool.steady = steady
		options := postgres.Options{Schema: schema, Now: clock.Now}
		reopen := func(t *testing.T) purchase.Journal { return open(t, pool.url+parameter+"&pool_max_conns=4", options) }
		return journaltest.Harness{
			Journal: reopen(t),
			Replica: reopen,
			Restart: func(t *testing.T, killed bool) purchase.Journal {
				if killed {
					pool.cut()
				}
				return reopen(t)
			},
			LoseCommit: func(_ *testing.T, happened bool) {
				if happened {
					pool.lose(answerLost)
				} else {
					pool.lose(statementLost)
				}
			},
			RewriteOrder: func(t *testing.T, id string, text []byte) {
				execute(t, server, `UPDATE `+schema+`.purchase SET order_json = $2 WHERE id = $1`, id, text)
			},
			Purge: func(t *testing.T, id string) {
				execute(t, server, `DELETE FROM `+schema+`.purchase_secret WHERE id = $1`, id)
			},
		}
	})
}

// open opens a journal and closes it when the test ends.
func open(t testing.TB, url string, options postgres.Options) *postgres.Journal {
	t.Helper()
	journal, err := postgres.Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := journal.Close(); err != nil {
			t.Error(err)
		}
	})
	return journal
}

// connect opens a connection to the server beside those of the journals.
func connect(t testing.TB, server *postgrestest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func execute(t testing.TB, server *postgrestest.Server, sql string, args ...any) {
	t.Helper()
	if _, err := connect(t, server).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
