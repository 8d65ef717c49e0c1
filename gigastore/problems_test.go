package gigastore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// told collects the log and the metrics of a client.
type told struct {
	log    bytes.Buffer
	reader *sdkmetric.ManualReader
}

// tellTo makes a client with cfg report to the result.
func tellTo(cfg *Config) *told {
	to := &told{reader: sdkmetric.NewManualReader()}
	cfg.Logger = slog.New(slog.NewTextHandler(&to.log, nil))
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(to.reader))
	return to
}

// lines counts the log lines with a level and a message.
func (to *told) lines(level, message string) int {
	return strings.Count(to.log.String(), "level="+level+" msg="+message)
}

// metric returns the gauge of a problem.
func (to *told) metric(t *testing.T, problem string) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := to.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "gigagate.vendor.problem" {
				continue
			}
			for _, point := range m.Data.(metricdata.Gauge[int64]).DataPoints {
				if value, _ := point.Attributes.Value(attrProblem); value.AsString() == problem {
					return point.Value
				}
			}
		}
	}
	t.Fatalf("no metric of %s", problem)
	return 0
}

// wantStanding checks whether a problem exists, both in the metric and in Problems.
func (to *told) wantStanding(t *testing.T, c *Client, problem string, want bool) {
	t.Helper()
	listed := strings.Contains("\n"+strings.Join(c.Problems(), "\n"), "\n"+problem+": ")
	if listed != want || (to.metric(t, problem) == 1) != want {
		t.Errorf("%s: listed %v, metric %d, want %v", problem, c.Problems(), to.metric(t, problem), want)
	}
}

func TestRefusedCredentials(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		synctest.Test(t, func(t *testing.T) {
			var fixed atomic.Bool
			logins := 0
			var cfg Config
			to := tellTo(&cfg)
			client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/reseller/authenticate":
					writeJSON(w, 200, saleJSON(testMark))
				case fixed.Load():
					authenticates(w, r)
				default:
					logins++
					writeJSON(w, status, `{"message":"canary@example.com is unknown"}`)
				}
			}), cfg)
			to.wantStanding(t, client, problemCredentials, false)
			start := time.Now()
			for range 50 {
				_, err := client.Register(t.Context(), testPermit(), testRegister())
				if e := wantEffect(t, err, EffectNone); !IsLasting(err) || e.BytesWritten != 0 {
					t.Fatalf("%d: %v", status, err)
				}
			}
			if took := time.Since(start); took > 0 || logins != 50 {
				t.Errorf("%d: %d logins in %s", status, logins, took)
			}
			to.wantStanding(t, client, problemCredentials, true)
			if n := to.lines("WARN", `"vendor problem"`); n != 1 || !strings.Contains(to.log.String(), string(errCredentials)) {
				t.Errorf("%d: %d warnings: %s", status, n, to.log.String())
			}
			<-time.After(repeatProblem)
			_, _ = client.Register(t.Context(), testPermit(), testRegister())
			if n := to.lines("WARN", `"vendor problem"`); n != 2 {
				t.Errorf("%d: %d warnings after a minute", status, n)
			}
			fixed.Store(true)
			if _, err := client.Register(t.Context(), testPermit(), testRegister()); err != nil {
				t.Error(err)
			}
			to.wantStanding(t, client, problemCredentials, false)
			if n := to.lines("INFO", `"vendor problem over"`); n != 1 {
				t.Errorf("%d: %d lines that the problem is over", status, n)
			}
			if found := containsAny(to.log.String()+strings.Join(client.Problems(), ""), canaries...); found != "" {
				t.Errorf("the log holds %q", found)
			}
		})
	}
}

// TestTokenThatMayComeYet: a failure that may soon be over is not lasting, and says nothing about the credentials.
func TestTokenThatMayComeYet(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no such path": func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 404, `{"message":"no"}`) },
		"throttled":    func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 429, `{"message":"no"}`) },
		"broken":       func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 500, `{"message":"no"}`) },
		"down":         func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 503, ``) },
		"no token":     func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, `{}`) },
		"cut off":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := servePipe(t, answer, Config{})
				_, err := client.Register(t.Context(), testPermit(), testRegister())
				wantEffect(t, err, EffectNone)
				if IsLasting(err) || len(client.Problems()) != 0 {
					t.Errorf("%v is lasting, problems %v", err, client.Problems())
				}
			})
		})
	}
}

// TestRefusedTokens: the vendor accepts the credentials, but refuses all calls with the tokens that it issues.
func TestRefusedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := 0
		var cfg Config
		to := tellTo(&cfg)
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case authenticates(w, r):
			case refuses > 0:
				refuses--
				writeJSON(w, 401, `{}`)
			default:
				writeJSON(w, 200, `{"items":[]}`)
			}
		}), cfg)
		for range 3 { // an old token is not a problem, however often it happens
			refuses = 1
			if _, err := client.Inventory(t.Context()); err != nil || to.log.Len() > 0 {
				t.Errorf("%v, %s", err, to.log.String())
			}
		}
		to.wantStanding(t, client, problemToken, false)
		refuses = 2
		for range 2 {
			_, err := client.Register(t.Context(), testPermit(), testRegister())
			wantEffect(t, err, EffectNone)
		}
		to.wantStanding(t, client, problemToken, true)
		if to.lines("WARN", `"vendor problem"`) != 1 {
			t.Errorf("%s", to.log.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client.Watch(ctx) // a token alone would not show that calls are accepted again
		to.wantStanding(t, client, problemToken, false)
	})
}

// TestSecretIsReadAgain: a replaced secret is used for the next token. If the secret cannot be read, the previous one
// stays in use.
func TestSecretIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		valid, secret, readErr := "first", Secret("first"), error(nil)
		var shown []string
		cfg := Config{ClientID: "test-id", ClientSecret: "first", ReadSecret: func() (Secret, error) { return secret, readErr }}
		to := tellTo(&cfg)
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, login := r.BasicAuth()
			switch {
			case login && password != valid:
				shown = append(shown, password)
				writeJSON(w, 401, `{}`)
			case login:
				shown = append(shown, password)
				authenticates(w, r)
			default:
				writeJSON(w, 200, `{"items":[]}`)
			}
		}), cfg)
		for _, step := range []struct {
			valid   string // the secret that the vendor accepts
			secret  Secret // the secret in the file
			readErr error
			shown   string
			works   bool
			broken  bool // the file is unusable
		}{
			{valid: "first", secret: "first", shown: "first", works: true},
			{valid: "first", readErr: errors.New("file is gone"), shown: "first", works: true, broken: true},
			{valid: "first", secret: "", shown: "first", works: true, broken: true},
			{valid: "first", secret: "canary client secret", shown: "first", works: true, broken: true},
			{valid: "second", secret: "first", shown: "first"},
			{valid: "second", secret: "second", shown: "second", works: true},
			{valid: "second", secret: "two\nlines", shown: "second", works: true, broken: true},
			{valid: "second", secret: "second", shown: "second", works: true},
		} {
			valid, secret, readErr, shown = step.valid, step.secret, step.readErr, nil
			client.tokens.invalidate(client.tokens.current)
			client.tokens.taken()
			_, err := client.Inventory(t.Context())
			if (err == nil) != step.works || len(shown) != 1 || shown[0] != step.shown {
				t.Errorf("%+v: shown %q, %v", step, shown, err)
			}
			to.wantStanding(t, client, problemSecret, step.broken)
		}
		text := to.log.String()
		if !strings.Contains(text, "file is gone") || containsAny(text, "canary client", "lines") != "" {
			t.Errorf("%s", text)
		}
	})
}

// TestWatch: Watch notices refused credentials before anybody buys, and notices the end of the problem.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		var calls atomic.Int64
		var cfg Config
		to := tellTo(&cfg)
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			switch {
			case status.Load() != 200:
				writeJSON(w, int(status.Load()), `{}`)
			case !authenticates(w, r):
				writeJSON(w, 200, `{"items":[]}`)
			}
		}), cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		status.Store(503)
		go func() { client.Watch(ctx); close(ended) }()
		pass(30 * time.Second)
		to.wantStanding(t, client, problemCredentials, false)
		if to.lines("WARN", `"the vendor could not be asked about the credentials"`) != 1 {
			t.Errorf("%s", to.log.String())
		}
		status.Store(401)
		pass(repeatProblem)
		to.wantStanding(t, client, problemCredentials, true)
		status.Store(200)
		pass(repeatProblem)
		to.wantStanding(t, client, problemCredentials, false)
		before := calls.Load()
		pass(24 * time.Hour)
		if calls.Load() != before {
			t.Errorf("%d calls, although nothing was wrong", calls.Load()-before)
		}
		// A problem that appears later also ends without a call by anybody else.
		status.Store(401)
		_, _ = client.Inventory(t.Context())
		to.wantStanding(t, client, problemCredentials, true)
		status.Store(200)
		pass(repeatProblem)
		to.wantStanding(t, client, problemCredentials, false)
		cancel()
		<-ended
	})
}
