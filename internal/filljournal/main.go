// Command filljournal puts settled purchases into an empty journal, to measure how a gateway works with a full one.
//
//	go run ./internal/filljournal -journal sqlite:full.db -purchases 10000000
//	go run ./internal/filljournal -journal 'postgres://…?default_query_exec_mode=cache_statement&pool_max_conns=32'
//
// It writes through [purchase.Journal], with many purchases at once, so that the journal can write them in groups. The
// purchases look like those of a shop. The oldest 2 % failed and the others succeeded, and none of them was ever sent
// anywhere. So it refuses a journal that already has purchases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

func main() {
	where := flag.String("journal", "", "sqlite:FILE or postgres://…")
	schema := flag.String("schema", "", "the schema in PostgreSQL (default gigagate)")
	purchases := flag.Int("purchases", 1_000_000, "how many purchases to write")
	parallel := flag.Int("parallel", 512, "how many purchases to write at once")
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
	var journal purchase.Journal
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok {
		journal, err = sqlite.Open(ctx, file, sqlite.Options{})
	} else {
		journal, err = postgres.Open(ctx, where, postgres.Options{Schema: schema})
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	return f.fill(ctx, journal, os.Stderr)
}
