package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// settings reads the server settings that a durable journal depends on.
const settings = `
SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_setting('fsync') = 'on',
       current_setting('synchronous_commit'), current_setting('client_min_messages'), current_setting('transaction_isolation'),
       current_setting('server_encoding')`

// checkSettings returns an error if the server could lose commits, or if the journal cannot work with its
// settings.
func (j *Journal) checkSettings(ctx context.Context) error {
	var recovery, readOnly, fsync bool
	var synchronous, messages, isolation, encoding string
	err := j.pool.QueryRow(ctx, settings).Scan(&recovery, &readOnly, &fsync, &synchronous, &messages, &isolation, &encoding)
	if err != nil {
		return err
	}
	switch {
	case recovery:
		return errors.New("the PostgreSQL server is a replica in recovery: connect the journal to the primary")
	case readOnly:
		return errors.New("the PostgreSQL server is read-only (default_transaction_read_only): the journal has to write")
	case !fsync:
		return errors.New("the PostgreSQL server runs with fsync = off: a committed purchase could be lost with the machine")
	case synchronous == "off" || synchronous == "local":
		return fmt.Errorf("the PostgreSQL server has synchronous_commit = %s: a committed purchase could be lost; set it to on, remote_write or remote_apply", synchronous)
	case messages == "error" || messages == "fatal" || messages == "panic":
		return fmt.Errorf("the PostgreSQL server has client_min_messages = %s, which hides the warning that a commit has not reached its standby: set it to warning or notice", messages)
	case isolation != "read committed":
		return fmt.Errorf("the PostgreSQL server has default_transaction_isolation = %q: the journal is written for read committed", isolation)
	case encoding != "UTF8":
		return fmt.Errorf("the PostgreSQL database is encoded in %s: the journal needs UTF8", encoding)
	}
	return nil
}

// Ping implements [purchase.Journal]. It writes a row of its own. It also fails if the server's settings no
// longer guarantee durable commits.
func (j *Journal) Ping(ctx context.Context) error {
	if err := j.checkSettings(ctx); err != nil {
		return err
	}
	return j.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return j.probe(ctx, conn.Conn()) })
}

// MayReport implements [purchase.Journal].
func (j *Journal) MayReport(ctx context.Context, replica string, lease time.Duration) (bool, error) {
	changed, err := j.pool.Exec(ctx, j.sql.mayReport, j.clock(), replica, lease)
	return changed.RowsAffected() == 1, err
}
