// Package postgres keeps purchases in PostgreSQL, for gateways with several replicas.
//
// Package purchase decides what happens to a purchase. Two SQL functions write it: they compare the revision, and so
// do not depend on an earlier read. The schema has the tables and the functions.
//
// Writes wait in a queue. Two goroutines take what waits, each write it in one transaction and one round trip, and then
// answer the callers. Nobody waits for a group to grow: while one is written, the next one gathers. The permits that
// the engine asks for are read in the same way.
//
// The journal works behind a pooler in transaction mode, because it uses no session features: no SET, no
// LISTEN, no named prepared statements, and no advisory lock that outlives its transaction.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

const (
	defaultSchema   = "gigagate"
	defaultMaxConns = 16
	connectTimeout  = 5 * time.Second
)

// Options configure a Journal. Every field is optional.
type Options struct {
	// Now is the journal's clock. If it is nil, the journal uses the clock of the database, which all replicas
	// share. Times and leases then follow the moment at which a transaction began on the server.
	Now func() time.Time
	// Logger gets a line for each migration and for each warning of the server. If it is nil, nothing is logged.
	Logger *slog.Logger
	// Schema is the PostgreSQL schema of the tables. The default is "gigagate".
	Schema string
	// Meters measure the transactions that write. If it is nil, nothing is measured.
	Meters metric.MeterProvider
}

// Journal is a [purchase.Journal] in PostgreSQL.
type Journal struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	logger *slog.Logger
	schema string
	sql    statements

	zones sync.Map // the names of time zones that the database knows

	changes      *groups.Queue[*change]
	permits      *groups.Queue[*permit]
	running      sync.WaitGroup // the goroutines that serve the queues
	maxWaiting   int
	groupTimeout time.Duration
	instruments  *groups.Instruments
}

var _ purchase.Journal = (*Journal)(nil)

// Open connects to the server, checks that its commits are durable, and migrates the schema to the newest step.
// url is a PostgreSQL connection URL or keyword/value string (libpq, "Connection Strings"). Errors never
// contain its password. Open returns an error if the server cannot be reached. After that the journal
// reconnects on its own.
func Open(ctx context.Context, url string, options Options) (*Journal, error) {
	j, err := connect(ctx, url, options)
	if err != nil {
		return nil, err
	}
	if err := j.checkSettings(ctx); err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("open the PostgreSQL journal: %w", withoutURL(err))
	}
	if err := j.migrate(ctx); err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("migrate the PostgreSQL journal: %w", err)
	}
	for range atOnce {
		j.running.Go(func() { serve(j, j.changes, j.writeGroup) })
		j.running.Go(func() { serve(j, j.permits, j.confirmGroup) })
	}
	return j, nil
}

// connect returns a journal with a pool of connections. It has not connected yet, and serves no queue.
func connect(ctx context.Context, url string, options Options) (*Journal, error) {
	if strayAt(url) {
		return nil, errors.New("the journal's PostgreSQL URL: write an @ in the user or password as %40, and a / as %2F")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The cause is left out. It quotes the text that it cannot parse, which may be part of the password.
		return nil, errors.New("the journal's PostgreSQL URL cannot be parsed: write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…, " +
			"with special characters in the user or password as %XX")
	}
	// Later errors contain the user, the database and the hosts. A colon in one of them probably starts a password.
	if strings.Contains(config.ConnConfig.User+config.ConnConfig.Database, ":") {
		return nil, errors.New("the journal's PostgreSQL URL: the user or database contains a colon; write the URL as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	j := &Journal{
		now: options.Now, logger: options.Logger, schema: options.Schema,
		changes: groups.NewQueue[*change](make(chan struct{}, 1)), permits: groups.NewQueue[*permit](make(chan struct{}, 1)),
		maxWaiting: maxWaiting, groupTimeout: groupTimeout,
	}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	if j.schema == "" {
		j.schema = defaultSchema
	}
	if j.instruments, err = groups.NewInstruments(options.Meters, j.waiting); err != nil {
		return nil, err
	}
	j.sql = newStatements(j.schema)
	j.configure(config, url)
	switch config.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeCacheStatement:
	default: // the other modes do not ask the server for types and would send JSON as bytea
		return nil, errors.New("the journal's PostgreSQL URL: default_query_exec_mode has to be cache_describe or cache_statement")
	}
	if j.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open the PostgreSQL journal: %w", err)
	}
	return j, nil
}

// strayAt reports whether a URL has an @ that does not end its user and password. If such an @ is part of a
// password, the rest of the password would be parsed as the host or database name, and errors show these names.
func strayAt(url string) bool {
	_, rest, isURL := strings.Cut(url, "://")
	if !isURL {
		return false
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	return strings.Count(authority, "@") > 1 || strings.Count(rest, "@") > strings.Count(authority, "@")
}

// withoutURL returns err, or a replacement if err quotes a host or a setting of the URL. Either may be part of
// a password.
func withoutURL(err error) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("the host in the URL cannot be found; its name is not shown, because it may be part of a password; check that an @ and the host follow the password")
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "42704" || refused.Code == "22023") {
		return fmt.Errorf("the server refuses a setting after the ? in the URL (SQLSTATE %s); it is not shown, because it may be part of a password; write an & in a password as %%26", refused.Code)
	}
	return err
}

// configure sets what url leaves open. pgx does not show whether a value comes from the URL or is its own
// default.
func (j *Journal) configure(config *pgxpool.Config, url string) {
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = defaultMaxConns
	}
	// A connection that takes longer is too late for the waiting call.
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	// A standby of a URL with several hosts lags behind. A look-up there could miss a purchase.
	if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	// cache_describe asks for the types of a statement once per connection and caches them in the client. Each
	// execution is one round trip with an unnamed statement. It leaves nothing in the server's session, and
	// behind a pooler each transaction may use another session. The exec mode asks for no types and sends text.
	//
	// The price of cache_describe is that the server plans every execution. If there is no pooler, or if the
	// pooler supports prepared statements, default_query_exec_mode=cache_statement in the URL avoids that.
	if !strings.Contains(url, "default_query_exec_mode") {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	// Some warnings come with a success. The name of the server's source file is the only part of this warning that is
	// neither translated nor shared with harmless warnings. See durably.
	config.ConnConfig.OnNotice = func(conn *pgconn.PgConn, notice *pgconn.Notice) {
		if notice.SeverityUnlocalized == "WARNING" {
			if notice.File == "syncrep.c" {
				conn.CustomData()[onlyLocal] = true
			}
			j.logger.Warn("journal: the PostgreSQL server warns", "code", notice.Code, "message", notice.Message)
		}
	}
}

// Close serves what is already in the queues, waits for the running statements, and closes the connections.
func (j *Journal) Close() error {
	j.changes.Close()
	j.permits.Close()
	j.running.Wait()
	j.pool.Close()
	return nil
}

// waiting returns how many writes wait.
func (j *Journal) waiting() int {
	n, _ := j.changes.Len()
	return n
}

// clock returns the time of the injected clock in microseconds, or nil (NULL) for the database's clock.
func (j *Journal) clock() any {
	if j.now == nil {
		return nil
	}
	return j.now().UTC().Truncate(time.Microsecond)
}
