package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

// noFile recognizes a PostgreSQL connection string that was given as a file name.
var noFile = regexp.MustCompile(`(?is)://|:.*@|password\s*=`)

// openJournal opens the journal that where names. A PostgreSQL URL can hold a password, so errors must
// not repeat the URL. They may repeat the name of a file.
func openJournal(ctx context.Context, where string, logger *slog.Logger) (purchase.Journal, error) {
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok && file != "" {
		if noFile.MatchString(file) {
			return nil, errors.New("sqlite: takes the name of a file, but this is a connection string: for PostgreSQL, write postgres://…")
		}
		// With two slashes the text is ambiguous: as a URL it has a host and no file, as a path it is a file in the root folder.
		if path, isURL := strings.CutPrefix(file, "//"); isURL {
			if !strings.HasPrefix(path, "/") {
				return nil, errors.New("sqlite://… names a host: write sqlite:FILE, or sqlite:///FOLDER/FILE with three slashes")
			}
			file = filepath.Clean(path) // SQLite would read two remaining slashes as the start of a host
		}
		return sqlite.Open(ctx, file, sqlite.Options{Logger: logger})
	}
	if strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://") {
		return postgres.Open(ctx, where, postgres.Options{Logger: logger})
	}
	return nil, errors.New("must be sqlite:FILE or postgres://…")
}
