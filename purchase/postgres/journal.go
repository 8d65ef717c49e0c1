// Package postgres keeps purchases in PostgreSQL, for gateways of several replicas.
//
// Every write is one statement, hence one transaction: an UPDATE or INSERT whose guard stands in its
// WHERE, with the entry of the history and the secret written from the rows it RETURNs. What a
// statement promises does not lean on what was read before it.
//
// No feature of a session is used (no advisory lock outlives its transaction, nothing is prepared by
// name, nothing is SET, nothing listens), so that a pooler in transaction mode may stand between.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"gigagate.internal/purchase"
)

const (
	defaultSchema   = "gigagate"
	defaultMaxConns = 16
	connectTimeout  = 5 * time.Second
)

// Options are the settings of a Journal. All may be left out.
type Options struct {
	// Now is the journal's clock. Nil is the database's own, the one clock that all replicas share:
	// a transaction's times, and whether a lease is over, are judged by when it began there.
	Now func() time.Time
	// Logger is told of migrations and of the server's warnings. Nil is silent.
	Logger *slog.Logger
	// Schema is the PostgreSQL schema that holds the tables, "gigagate" if empty.
	Schema string
}

// Journal is a [purchase.Journal] in PostgreSQL.
type Journal struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	logger *slog.Logger
	schema string
	sql    statements
}

var _ purchase.Journal = (*Journal)(nil)

// Open connects to the server that url names, checks that its commits are durable, and brings the
// schema up to date. The url is a connection URL or keyword/value string of PostgreSQL (libpq,
// "Connection Strings"). Errors do not repeat its password. A server that cannot be reached is an
// error here; later the journal reconnects by itself.
func Open(ctx context.Context, url string, options Options) (*Journal, error) {
	if strayAt(url) {
		return nil, errors.New("the journal's PostgreSQL URL: an @ in the user or password is written %40, and a / is written %2F")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The cause is left out: it quotes what it cannot read, which may be a part of the password.
		return nil, errors.New("the journal's PostgreSQL URL cannot be read: it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…, " +
			"and signs in the user or password are written as %XX")
	}
	// Errors repeat the user, the database and the hosts. A colon in them was meant to begin the password.
	if strings.Contains(config.ConnConfig.User+config.ConnConfig.Database, ":") {
		return nil, errors.New("the journal's PostgreSQL URL: its user or database has a colon in it; the form is postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	j := &Journal{now: options.Now, logger: options.Logger, schema: options.Schema}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	if j.schema == "" {
		j.schema = defaultSchema
	}
	j.sql = newStatements(j.schema)
	j.configure(config, url)
	switch config.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeCacheStatement:
	default: // those that do not ask the server for types would send JSON as bytes
		return nil, errors.New("the journal's PostgreSQL URL: default_query_exec_mode has to be cache_describe or cache_statement")
	}
	if j.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open the PostgreSQL journal: %w", err)
	}
	if err := j.checkSettings(ctx); err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("open the PostgreSQL journal: %w", withoutURL(err))
	}
	if err := j.migrate(ctx); err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("migrate the PostgreSQL journal: %w", err)
	}
	return j, nil
}

// strayAt reports whether a URL has an @ that does not end its user and password. What follows a stray one in a password
// would be read as the host or the database, whose names errors repeat.
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

// withoutURL returns the error of a first connection. Where the error quotes what was taken for a host or for a setting,
// and can be a part of the password, another error stands in for it.
func withoutURL(err error) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("no host is found by the name in the URL; the name is not shown, as it may be the end of a password without an @ and a host after it")
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "42704" || refused.Code == "22023") {
		return fmt.Errorf("the server refuses a setting in the URL, after the ? (SQLSTATE %s); it is not shown, as it may be the end of a password with an & in it, which is written %%26", refused.Code)
	}
	return err
}

// configure sets what url leaves open; pgx does not tell that from its own defaults.
func (j *Journal) configure(config *pgxpool.Config, url string) {
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = defaultMaxConns
	}
	// A connection that takes longer comes too late for the call that waits for it.
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	// Types are described once per connection and kept on this side, and each execution is one round
	// trip with an unnamed statement: nothing is left in the server's session, which behind a pooler
	// may be another one each time. The mode that describes nothing (exec) would send text. What it
	// costs is that the server plans each execution; where there is no pooler, or one that knows
	// prepared statements, default_query_exec_mode=cache_statement in the URL saves that.
	if !strings.Contains(url, "default_query_exec_mode") {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	// "The transaction has already committed locally, but might not have been replicated" is a warning
	// beside a success.
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		if notice.SeverityUnlocalized == "WARNING" {
			j.logger.Warn("journal: the PostgreSQL server warns", "code", notice.Code, "message", notice.Message)
		}
	}
}

// Close waits for what is under way and closes the connections.
func (j *Journal) Close() error {
	j.pool.Close()
	return nil
}

// clock is what stands for $1 of every write: the injected clock's time in microseconds, or NULL for
// the database's.
func (j *Journal) clock() *time.Time {
	if j.now == nil {
		return nil
	}
	now := j.now().UTC().Truncate(time.Microsecond)
	return &now
}
