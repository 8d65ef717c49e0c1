package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/sdk/resource"

	"gigagate.internal/purchase"
)

// slowJournal is a journal whose checks hang until release.
type slowJournal struct {
	purchase.Journal
	checks  atomic.Int64
	release chan struct{}
}

// Ping implements [purchase.Journal].
func (j *slowJournal) Ping(context.Context) error {
	j.checks.Add(1)
	<-j.release
	return nil
}

// TestScrapesShareOneRead: scrapes that come while the journal hangs share one read of the metrics. One after another, each of
// them would wait for the journal, and the metrics would be gone when they are needed most.
func TestScrapesShareOneRead(t *testing.T) {
	t.Parallel()
	metrics := &telemetry{}
	if err := metrics.setUpMetrics(t.Context(), resource.Empty()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = metrics.meterProvider.Shutdown(context.Background()) }()
	journal := &slowJournal{release: make(chan struct{})}
	stop, err := measureJournal(metrics.meterProvider, journal)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const scrapers = 20
	var scrapes sync.WaitGroup
	for range scrapers {
		scrapes.Go(func() {
			answer := httptest.NewRecorder()
			metrics.metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
			if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "\ngigagate_journal_problem{") {
				t.Errorf("%d: %s", answer.Code, answer.Body)
			}
		})
	}
	eventually(t, "all scrapes have begun", func() error {
		if n := countScrapes(t.Name()); n < scrapers {
			return fmt.Errorf("%d of %d", n, scrapers)
		}
		return nil
	})
	close(journal.release)
	scrapes.Wait()
	if n := journal.checks.Load(); n > scrapers/2 { // one, unless a scrape began too late to share it
		t.Errorf("%d scrapes checked the journal %d times", scrapers, n)
	}
}

// countScrapes returns how many goroutines of a test read the metrics now.
func countScrapes(test string) (count int) {
	stacks := make([]byte, 64<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, test) && strings.Contains(stack, ").Gather(") {
			count++
		}
	}
	return count
}
