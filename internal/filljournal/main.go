// Command filljournal puts settled purchases into an empty journal, to measure how a gateway works with a full one.
//
//	go run ./internal/filljournal -journal sqlite:full.db -purchases 10000000
//	go run ./internal/filljournal -journal 'postgres://…'
//
// The purchases look like those of a shop. The oldest 2 % failed and the others succeeded. With -spread, the failed ones are
// spread over all others instead. None of them was ever sent anywhere, so it refuses a journal that already has purchases.
//
// It writes into the tables, and builds the indexes at the end. So it is much faster than a gateway. A million purchases took
// about 90 s of CPU with SQLite, and 50 s with PostgreSQL on two busy cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"strings"

	"gigagate.internal/purchase/journaltest"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
	"gigagate.internal/purchase/sqlite"
	"gigagate.internal/purchase/sqlite/sqlitetest"
)

func main() {
	where := flag.String("journal", "", "sqlite:FILE or postgres://…")
	schema := flag.String("schema", "gigagate", "the schema in PostgreSQL")
	purchases := flag.Int("purchases", 1_000_000, "how many purchases to write")
	spread := flag.Bool("spread", false, "let one of 50 purchases fail, and not the oldest ones")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *where, *schema, &filling{count: *purchases, spread: *spread}); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, where, schema string, f *filling) error {
	if f.count < 1 {
		return errors.New("-purchases must be at least 1")
	}
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok {
		if err := create(sqlite.Open(ctx, file, sqlite.Options{})); err != nil {
			return err
		}
		return f.load(func(sales iter.Seq[journaltest.Sale], progress func(int)) error {
			return sqlitetest.Load(ctx, file, sales, progress)
		}, os.Stderr)
	}
	if err := create(postgres.Open(ctx, where, postgres.Options{Schema: schema})); err != nil {
		return err
	}
	return f.load(func(sales iter.Seq[journaltest.Sale], progress func(int)) error {
		return postgrestest.Load(ctx, where, schema, sales, progress)
	}, os.Stderr)
}

// create closes a journal that has been opened, and so created.
func create[J io.Closer](journal J, err error) error {
	if err != nil {
		return err
	}
	return journal.Close()
}
