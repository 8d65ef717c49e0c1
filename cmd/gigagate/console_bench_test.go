package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
	"gigagate.internal/purchase/sqlite"
)

var consolePurchases = flag.Int("console.purchases", 1_000_000, "BenchmarkConsole: how many purchases a journal has")

const (
	// consoleTimes is how often each page is asked for.
	consoleTimes = 10
	// consoleWindow is how long the CPU of an open page is measured.
	consoleWindow = 20 * time.Second
	// consoleBound is the longest time of a page that the system has read before.
	consoleBound = 100 * time.Millisecond
	// consoleShare is the most that an open page may use of a core.
	consoleShare = 0.01
)

// BenchmarkConsole measures how long the pages of the console take with a full journal, and what an open page costs. It asks
// the shipped gateway as a browser does. It fails if a page takes longer than its bound.
//
// Each round asks for every page once. The median and the worst are of all rounds. Cold is the time of one more request, after
// the system has forgotten the files of the journal. For PostgreSQL, the server has just started, too. It has no bound,
// because it depends on the disk. A bound that is broken on a busy machine is void. With -short, it only shows that it runs: it
// measures fewer times and three cold pages.
//
//	make bench-console PURCHASES=1000000
func BenchmarkConsole(b *testing.B) {
	b.ReportMetric(0, "ns/op") // it would cover everything
	b.Run("sqlite", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		file := filepath.Join(b.TempDir(), "full.db")
		measureConsole(b, &consoleJournal{
			name: "SQLite", where: "sqlite:" + file,
			open: func() (purchase.Journal, error) { return sqlite.Open(b.Context(), file, sqlite.Options{}) },
			chill: func() error {
				for _, name := range []string{file, file + "-wal"} {
					if !forget(b.Context(), name) {
						return fmt.Errorf("the system does not forget %s", name)
					}
				}
				return nil
			},
		})
	})
	b.Run("postgres", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		server := postgrestest.New(b)
		measureConsole(b, &consoleJournal{
			name: "PostgreSQL", where: server.URL,
			open:   func() (purchase.Journal, error) { return postgres.Open(b.Context(), server.URL, postgres.Options{}) },
			filled: func() error { return server.Vacuum(b.Context()) },
			chill:  func() error { return server.RestartCold(b.Context()) },
			cpu:    benchServer{Kind: "postgres", Database: server}.databaseCPU,
		})
	})
}

// consoleJournal is a journal that BenchmarkConsole fills.
type consoleJournal struct {
	name, where string
	open        func() (purchase.Journal, error)
	filled      func() error         // may be nil
	chill       func() error         // makes the system forget the files
	cpu         func() time.Duration // of the database's own processes; may be nil
}

// measureConsole fills a journal, starts a gateway on it, and prints what it measured.
func measureConsole(b *testing.B, j *consoleJournal) {
	b.Helper()
	began := time.Now()
	program, err := goBuild(b, "../../internal/filljournal")
	if err != nil {
		b.Fatal(err)
	}
	fill := exec.CommandContext(b.Context(), program, "-spread", "-journal", j.where, "-purchases", fmt.Sprint(*consolePurchases))
	fill.Stderr = os.Stderr
	if err := fill.Run(); err != nil {
		b.Fatalf("fill: %v", err)
	}
	known := j.addMore(b)
	if j.filled != nil {
		if err := j.filled(); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: filled in %v\n", j.name, time.Since(began).Round(time.Second))

	file, key := consoleCallersFile(b)
	// The open purchases stay open.
	gateway := launch(b, nil, "serve", "--gigastore-url="+newShop(b).url, "--gigastore-client-id=reseller", "--journal="+j.where,
		"--callers-file="+file, "--reconcile-give-up=48h", "--log-level=error",
		"--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--console-listen=127.0.0.1:0")
	browser := newConsoleBrowser(b, gateway.out.waitForOrLog(b, gateway, `console +(https?://\S+)/console/`), key)
	admin := gateway.out.waitForOrLog(b, gateway, `admin +(http://\S+?)/`)
	t := consoleTable{journal: j, pages: browser.pages(b, known)}
	t.measureWarm(b, browser)
	t.measureOpenPage(b, browser, gateway)
	t.measureCold(b, browser, admin)
	if t.print(os.Stdout) > 0 {
		b.Fail()
	}
}

// consoleRoute matches the places in the console's code that add something for a browser to get.
var consoleRoute = regexp.MustCompile(`\.page\("([^"]+)"|HandleFunc\("GET "\+Root\+"([^"]+)"|Handle\("GET "\+Root\+"([^"]+)"`)
