package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// steps are the steps of the schema. The file name starts with the number: 0001_purchases.sql is step 1. A
// released step is never edited.
//
// Releases can be deployed in any order, so a step only adds tables, indexes or nullable columns. Older releases
// then keep working. A step that cannot be made compatible raises oldestBinary, and older binaries refuse to start.
//
//go:embed schema/*.sql
var steps embed.FS

// oldestBinary is the newest step that a binary must know to work on this schema.
const oldestBinary = 1

// schemaName is how the statements spell the schema. inSchema replaces it with the schema from the options.
const schemaName = "gigagate."

// versionTable is created before the first step. Its newest row tells the version of the schema.
const versionTable = `
CREATE TABLE IF NOT EXISTS gigagate.schema_version (
    version        integer NOT NULL PRIMARY KEY,
    oldest_binary  integer NOT NULL,  -- binaries that do not know this step refuse to start
    applied_at     timestamptz NOT NULL
)`

// inSchema returns sql with every "gigagate." replaced by the given schema.
func inSchema(schema, sql string) string {
	return strings.ReplaceAll(sql, schemaName, pgx.Identifier{schema}.Sanitize()+".")
}

// migrate applies the missing steps of the schema in one transaction. Replicas that start together take turns
// by an advisory lock. The lock ends with the transaction, so it also works behind a pooler. If the schema is
// up to date, migrate only reads it, and the role needs no right to change it.
func (j *Journal) migrate(ctx context.Context) error {
	known, err := knownSteps()
	if err != nil {
		return err
	}
	version, err := j.schemaVersion(ctx, j.pool, len(known))
	if err != nil || version >= len(known) {
		return err
	}
	tx, err := j.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey(j.schema)); err != nil {
		return err
	}
	// Another replica may have migrated the schema while this one waited for the lock.
	if version, err = j.schemaVersion(ctx, tx, len(known)); err != nil || version >= len(known) {
		return err
	}
	if version == 0 {
		// CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
		var exists bool
		if err := tx.QueryRow(ctx, schemaExists, j.schema).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			if _, err := tx.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{j.schema}.Sanitize()); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, inSchema(j.schema, versionTable)); err != nil {
			return err
		}
	}
	for step := version + 1; step <= len(known); step++ {
		// Only the simple protocol accepts several statements at once.
		if _, err := tx.Exec(ctx, inSchema(j.schema, known[step-1]), pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("schema step %d: %w", step, err)
		}
		if _, err := tx.Exec(ctx, inSchema(j.schema,
			`INSERT INTO gigagate.schema_version (version, oldest_binary, applied_at) VALUES ($1, $2, now())`), step, oldestBinary); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	j.logger.InfoContext(ctx, "journal schema migrated", "from", version, "to", len(known))
	return nil
}

// These queries read the catalog tables, which are always current. Within a transaction, to_regclass and
// to_regnamespace may miss what another replica committed while this one waited for the lock.
const (
	schemaExists       = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`
	versionTableExists = `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'schema_version')`
)

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns the newest applied step, or 0 if there is no schema yet. known is the number of steps
// that this binary knows. The error says so if the schema requires a newer binary.
func (j *Journal) schemaVersion(ctx context.Context, db querier, known int) (int, error) {
	table := pgx.Identifier{j.schema, "schema_version"}.Sanitize()
	var exists bool
	if err := db.QueryRow(ctx, versionTableExists, j.schema).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	var version, oldest int
	err := db.QueryRow(ctx, `SELECT version, oldest_binary FROM `+table+` ORDER BY version DESC LIMIT 1`).Scan(&version, &oldest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, err
	case oldest > known:
		return 0, fmt.Errorf("the journal's schema is at version %d and needs a binary that knows version %d; this one knows only versions up to %d", version, oldest, known)
	}
	return version, nil
}

// knownSteps reads the embedded steps in ascending order.
func knownSteps() ([]string, error) {
	files, err := steps.ReadDir("schema")
	if err != nil {
		return nil, err
	}
	known := make([]string, 0, len(files))
	for i, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("schema file %s is not step %d", file.Name(), i+1)
		}
		text, err := steps.ReadFile("schema/" + file.Name())
		if err != nil {
			return nil, err
		}
		known = append(known, string(text))
	}
	return known, nil
}

// lockKey returns the key of the schema's advisory lock. Advisory locks belong to one database.
func lockKey(schema string) int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("gigagate journal schema " + schema))
	return int64(hash.Sum64()) //nolint:gosec // any 64 bits are a valid key
}
