package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

// openJournal opens the journal that where names. A PostgreSQL URL can hold a password, so errors
// must not repeat it.
func openJournal(ctx context.Context, where string, logger *slog.Logger) (purchase.Journal, error) {
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok && file != "" {
		return sqlite.Open(ctx, file, sqlite.Options{Logger: logger})
	}
	if strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://") {
		return postgres.Open(ctx, where, postgres.Options{Logger: logger})
	}
	return nil, errors.New("must be sqlite:FILE or postgres://…")
}
