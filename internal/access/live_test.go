package access

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-jose/go-jose/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// recorded keeps what is logged.
type recorded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorded) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorded) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *recorded) count(line string) int { return strings.Count(r.String(), line) }

// measured returns the values of a metric by its only attribute.
func measured(t *testing.T, reader *metric.ManualReader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			}
			for _, p := range points {
				var key attribute.KeyValue
				key, _ = p.Attributes.Get(0)
				values[key.Value.AsString()] = p.Value
			}
		}
	}
	return values
}

// replace puts another text in place of a file, in one step.
func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, id, sum := NewKey()
		credentials := Credentials{Authorization: []string{"Bearer " + key}}
		log, reader := &recorded{}, metric.NewManualReader()
		meters := metric.NewMeterProvider(metric.WithReader(reader))
		defer func() { _ = meters.Shutdown(context.Background()) }()
		l := watchFile(t, Config{Logger: log.logger(), MeterProvider: meters, Transport: &fakeIssuer{}}, withKey(id, sum))
		known := func(want bool) {
			t.Helper()
			if p, err := l.Identify(t.Context(), credentials); (err == nil) != want || want && p.Name == "" || err != nil && !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%+v, %v", p, err)
			}
		}
		broken := func(want int64) {
			t.Helper()
			if got := measured(t, reader, "gigagate.access.problem")["callers_file"]; got != want {
				t.Errorf("the metric is %d", got)
			}
		}
		wait(pollFiles / 2) // every step of the test is between two looks at the file
		known(true)
		broken(0)

		// A broken file changes nothing, and is reported once.
		for _, text := range []string{"callers:\n- name: shop\n  may: {budget: 5}\n", "", "callers: []"} {
			replace(t, l.config.File, text)
			wait(10 * pollFiles)
			known(true)
			broken(1)
		}
		if n := log.count("the callers file cannot be used"); n != 3 || !strings.Contains(log.String(), "line 3: callers[0].may: ") {
			t.Errorf("%d warnings: %s", n, log)
		}
		if err := os.Remove(l.config.File); err != nil {
			t.Fatal(err)
		}
		wait(2 * pollFiles)
		known(true)
		broken(1)

		if l.Heir() != "" {
			t.Errorf("the heir is %q", l.Heir())
		}

		// A good file takes effect, also if it is the one before.
		replace(t, l.config.File, withKey(id, sum))
		wait(2 * pollFiles)
		known(true)
		broken(0)
		replace(t, l.config.File, withKey(id, strings.Repeat("ab", 32)))
		known(true)
		wait(2 * pollFiles)
		known(false)
		// Another heir would make repeated calls buy again.
		replace(t, l.config.File, goodFile)
		if err := l.Reload(t.Context()); !errors.Is(err, errHeir) || l.Heir() != "" {
			t.Errorf("the heir is %q, %v", l.Heir(), err)
		}
		// Reload does not wait for the next look.
		replace(t, l.config.File, withKey(id, sum))
		if err := l.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		known(true)
		replace(t, l.config.File, "callers: 5")
		if err := l.Reload(t.Context()); err == nil {
			t.Error("a broken file is no error")
		}
		known(true)
	})
}

// The keys of a JWKS file are read again, too.
func TestJWKSFileIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before, after := newSigner(t, jose.ES256, "1"), newSigner(t, jose.ES256, "2")
		keys := filepath.Join(t.TempDir(), "keys.json")
		replace(t, keys, jwks(t, before.public))
		l := watchFile(t, Config{}, strings.ReplaceAll(issuerFile, "keys.json", keys))
		replace(t, keys, jwks(t, after.public))
		if !accepts(t, l, before) || accepts(t, l, after) {
			t.Error("the keys are not those of the first file")
		}
		wait(2 * pollFiles)
		if accepts(t, l, before) || !accepts(t, l, after) {
			t.Error("the keys are not those of the second file")
		}
		replace(t, keys, "broken")
		wait(2 * pollFiles)
		if !accepts(t, l, after) {
			t.Error("a broken key file has replaced the one before")
		}
	})
}

func TestBrokenFileAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "callers.yaml")
	if _, err := Watch(Config{File: file}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	replace(t, file, "callers: 5")
	if _, err := Watch(Config{File: file}); err == nil || err.Error() != "line 1: callers: it must be a list" {
		t.Errorf("the error is %v", err)
	}
}

// Every wrong credential has the same error, is counted by its reason, and leaves no trace in the log.
func TestRefusalsAreCountedAndNotLogged(t *testing.T) {
	t.Parallel()
	key, id, sum := NewKey()
	other, _, _ := NewKey()
	log, reader := &recorded{}, metric.NewManualReader()
	l := watchFile(t, Config{Logger: log.logger(), MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))}, withKey(id, sum))
	if got := measured(t, reader, "gigagate.access.refusals"); len(got) != len(refusals) {
		t.Errorf("the series at the start are %v", got)
	}
	for _, value := range []string{"Bearer " + other, "Bearer x", "Bearer " + key + "x"} {
		if p, err := l.Identify(t.Context(), Credentials{Authorization: []string{value}}); p != nil || err != ErrUnauthenticated { //nolint:errorlint // it must be exactly this one
			t.Errorf("%v, %v", p, err)
		}
	}
	got := measured(t, reader, "gigagate.access.refusals")
	if len(got) != len(refusals) || got["key"] != 1 || got["malformed"] != 2 {
		t.Errorf("the counts are %v", got)
	}
	if log.String() != "" {
		t.Errorf("the log has %s", log)
	}
}
