// Command filljournal puts settled purchases into an empty journal, to measure how a gateway works with a full one.
//
//	go run ./internal/filljournal -journal sqlite:full.db -purchases 10000000
//	go run ./internal/filljournal -journal 'postgres://…'
//
// The purchases look like those of a shop. The oldest 2 % failed and the others succeeded, and none of them was ever
// sent anywhere. So it refuses a journal that already has purchases.
//
// With SQLite it writes through [purchase.Journal], with many purchases at once, so that the journal can write them in
// groups. With PostgreSQL it copies them into the tables in one transaction, and builds the indexes at the end. On two busy
// cores, a million purchases took 50 seconds with PostgreSQL, and 200,000 took 32 seconds with SQLite.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

func main() {
	where := flag.String("journal", "", "sqlite:FILE or postgres://…")
	schema := flag.String("schema", "gigagate", "the schema in PostgreSQL")
	purchases := flag.Int("purchases", 1_000_000, "how many purchases to write")
	parallel := flag.Int("parallel", 512, "how many purchases to write to SQLite at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *where, *schema, &filling{count: *purchases, parallel: *parallel}); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, where, schema string, f *filling) (err error) {
	if f.count < 1 || f.parallel < 1 {
		return errors.New("-purchases and -parallel must be at least 1")
	}
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok {
		journal, err := sqlite.Open(ctx, file, sqlite.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, journal.Close()) }()
		return f.fill(ctx, journal, os.Stderr)
	}
	journal, err := postgres.Open(ctx, where, postgres.Options{Schema: schema}) // it creates the tables
	if err != nil {
		return err
	}
	if err := journal.Close(); err != nil {
		return err
	}
	return f.load(ctx, where, schema, os.Stderr)
}
