package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

// noFile recognizes a PostgreSQL connection string that was given as a file name.
var noFile = regexp.MustCompile(`(?is)://|:.*@|password\s*=`)

// sqliteFile returns the file of a journal in SQLite, or "" if where names none. Its error may repeat the name of a
// file, but no password.
func sqliteFile(where string) (string, error) {
	file, ok := strings.CutPrefix(where, "sqlite:")
	if !ok {
		return "", nil
	}
	if noFile.MatchString(file) {
		return "", errors.New("sqlite: takes the name of a file, but this is a connection string: for PostgreSQL, write postgres://…")
	}
	// With two slashes the text is ambiguous: as a URL it has a host and no file, as a path it is a file in the root folder.
	if path, isURL := strings.CutPrefix(file, "//"); isURL {
		if !strings.HasPrefix(path, "/") {
			return "", errors.New("sqlite://… names a host: write sqlite:FILE, or sqlite:///FOLDER/FILE with three slashes")
		}
		file = filepath.Clean(path) // SQLite would read two remaining slashes as the start of a host
	}
	return file, nil
}

// isPostgres reports whether where is the URL of a journal in PostgreSQL.
func isPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// openJournal opens the journal that where names. A PostgreSQL URL can hold a password, so errors must
// not repeat the URL.
func openJournal(ctx context.Context, where string, logger *slog.Logger, meters metric.MeterProvider) (purchase.Journal, error) {
	file, err := sqliteFile(where)
	switch {
	case err != nil:
		return nil, err
	case file != "":
		journal, err := sqlite.Open(ctx, file, sqlite.Options{Logger: logger, Meters: meters})
		if _, ok := errors.AsType[*sqlite.BackupError](err); ok {
			err = fmt.Errorf("%w. Compare it with the vendor's records: gigagate journal check --allow-start. Or accept that "+
				"packages can be sold twice: gigagate journal check --accept-unknown-sales", err)
		}
		if err != nil {
			return nil, err
		}
		return journal, nil
	case isPostgres(where):
		return postgres.Open(ctx, where, postgres.Options{Logger: logger, Meters: meters})
	}
	return nil, errors.New("must be sqlite:FILE or postgres://…")
}

// openJournalFile opens a journal in SQLite that no gateway uses.
func openJournalFile(ctx context.Context, where string) (*sqlite.File, error) {
	file, err := sqliteFile(where)
	if err == nil && file == "" {
		err = errors.New("must be sqlite:FILE: PostgreSQL has its own tools for backups, such as pg_dump")
	}
	if err != nil {
		return nil, fmt.Errorf("--journal: %w", err)
	}
	journal, err := sqlite.OpenFile(ctx, file)
	if errors.Is(err, sqlite.ErrInUse) {
		err = fmt.Errorf("%w. Make a backup of it with the gateway that has it open: gigagate journal backup FILE", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--journal: %w", err)
	}
	return journal, nil
}
