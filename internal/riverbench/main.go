// Command riverbench measures River, a job queue in PostgreSQL (github.com/riverqueue/river), on work like that of
// the gateway: each job makes one paid call to the sandbox. `make bench` compares the two on the same server.
//
// Each caller inserts a job, waits until a worker has made the call, and inserts the next one. A worker ends before
// River has written that the job is complete, so a caller waits for one write. A caller of the gateway waits for two.
// Everything runs in this process, so there is no gRPC in it either.
//
// It is a Go module of its own, so that the gateway does not depend on River.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// settings are the flags. The request to the vendor comes from the benchmark, so that both send the same.
type settings struct {
	database, schema string
	url, token, body string
	callers          int
	warmUp, window   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.database, "database", "", "the URL of the PostgreSQL database")
	flag.StringVar(&s.schema, "schema", "river", "the schema to create")
	flag.StringVar(&s.url, "url", "", "the URL that each job calls")
	flag.StringVar(&s.token, "token", "", "the bearer token")
	flag.StringVar(&s.body, "body", "", "the JSON that each job sends")
	flag.IntVar(&s.callers, "callers", 64, "how many callers wait for a job at once")
	flag.DurationVar(&s.warmUp, "warm-up", 700*time.Millisecond, "how long nothing is measured")
	flag.DurationVar(&s.window, "window", 2*time.Second, "how long is measured")
	flag.Parse()
	result, err := s.measure(context.Background())
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "riverbench:", err)
		os.Exit(1)
	}
}

// result is what was measured.
type result struct {
	Jobs      int64   `json:"jobs"`
	PerSecond float64 `json:"per_second"`
}

func (s settings) measure(ctx context.Context) (_ result, err error) {
	pool, err := s.newDatabase(ctx)
	if err != nil {
		return result{}, err
	}
	defer pool.Close()
	work := &purchase{settings: s, done: map[int]chan error{}, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: 20 * time.Second,
	}}
	for caller := range s.callers {
		work.done[caller] = make(chan error, 1)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, work)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: s.schema, Workers: workers, Logger: slog.New(slog.DiscardHandler),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.callers}},
		FetchCooldown:     river.FetchCooldownMin, // with the default, 100 ms, River waits more than it works
		FetchPollInterval: 100 * time.Millisecond,
	})
	if err != nil {
		return result{}, err
	}
	if err := client.Start(ctx); err != nil {
		return result{}, err
	}
	defer func() {
		stop, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err = errors.Join(err, client.Stop(stop))
	}()
	return s.load(ctx, client.Insert, work)
}

// newDatabase connects, and creates the schema and River's tables.
func (s settings) newDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.database)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 32
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: s.schema, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = pool.Exec(ctx, "CREATE SCHEMA "+s.schema)
	}
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
