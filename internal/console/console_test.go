package console

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/internal/access"
)

// TestSessionsEnd: a session ends after half an hour without a request, and after eight hours in any case.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	s := newSessions(func() time.Time { return now })
	begin := func() *http.Request {
		w := httptest.NewRecorder()
		s.begin(w, httptest.NewRequest(http.MethodPost, Root, http.NoBody), access.Credentials{}, sessionLength)
		r := httptest.NewRequest(http.MethodGet, Root, http.NoBody)
		r.AddCookie(w.Result().Cookies()[0])
		return r
	}
	r := begin()
	for range 15 { // 7.5 hours of work
		now = now.Add(sessionIdle - time.Second)
		if _, ok := s.of(r); !ok {
			t.Fatal("a session in use has ended")
		}
	}
	now = now.Add(sessionIdle - time.Second)
	if _, ok := s.of(r); !ok {
		t.Fatal("a session ended before its time")
	}
	now = now.Add(sessionIdle - time.Second)
	if _, ok := s.of(r); ok {
		t.Error("a session lasts longer than eight hours")
	}
	r = begin()
	stream := r.Clone(t.Context())
	stream.Header.Set("Accept", "text/event-stream")
	for range 3 {
		now = now.Add(sessionIdle / 3)
		s.of(stream)
	}
	if _, ok := s.of(r); ok {
		t.Error("an open page keeps its session")
	}
}

// TestSessionsAreBounded: the session that was used the longest time ago makes room.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	s := newSessions(func() time.Time { return now })
	var cookies []*http.Cookie
	for range maxSessions + 1 {
		now = now.Add(time.Second)
		w := httptest.NewRecorder()
		s.begin(w, httptest.NewRequest(http.MethodPost, Root, http.NoBody), access.Credentials{}, sessionLength)
		cookies = append(cookies, w.Result().Cookies()[0])
	}
	of := func(i int) bool {
		r := httptest.NewRequest(http.MethodGet, Root, http.NoBody)
		r.AddCookie(cookies[i])
		_, ok := s.of(r)
		return ok
	}
	if of(0) || !of(1) || !of(maxSessions) || len(s.by) != maxSessions {
		t.Errorf("%d sessions; the first: %t, the second: %t, the last: %t", len(s.by), of(0), of(1), of(maxSessions))
	}
}

// TestOwnPath: a link to the form for the key cannot send an operator to another site.
func TestOwnPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                Root,
		"/console/purchases?state=FAILED": "/console/purchases?state=FAILED",
		"https://evil.example/console/":   Root,
		"//evil.example/console/":         Root,
		`/\evil.example/console/`:         Root,
		`/console/\\evil`:                 "/console/%5C%5Cevil",
		"/v1/purchases":                   Root,
		"javascript:alert(1)":             Root,
	} {
		if got := ownPath(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestVisible: characters without a form cannot make a text look like another one.
func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":      "plain",
		"a\u202Eb":   "a⟨202E⟩b",
		"a\x00\nb":   "a⟨0000⟩⟨000A⟩b",
		"\u200bα":    "⟨200B⟩α",
		"\xff":       "⟨FFFD⟩",
		"שלום عربية": "שלום عربية",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := short(5, strings.Repeat("é", 1000)); got != "ééééé…" {
		t.Errorf("short: %q", got)
	}
	if got := short(5, "ééééé"); got != "ééééé" {
		t.Errorf("short of a text that fits: %q", got)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	h := histogram{bounds: []float64{1, 2, 4}, counts: []uint64{10, 10, 0, 0}}
	for part, want := range map[float64]float64{0.25: 0.5, 0.5: 1, 0.75: 1.5, 1: 2} {
		if got, ok := h.quantile(part); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", part, got, want)
		}
	}
	if got, ok := (histogram{bounds: []float64{1}, counts: []uint64{0, 3}}).quantile(0.5); !ok || got != 1 {
		t.Errorf("above the last bound: %v", got)
	}
	if _, ok := (histogram{}).quantile(0.5); ok {
		t.Error("a quantile of nothing")
	}
}

// TestMinutes: each minute has what its samples gained.
func TestMinutes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 8, 30, 30, 0, time.UTC)
	series := newSeries()
	for i := range mostSamples + 10 {
		series.add(sample{at: now.Add(time.Duration(i-mostSamples-9) * samplePause), sold: int64(2 * i)}, nil)
	}
	samples, _ := series.all()
	if len(samples) != mostSamples {
		t.Fatalf("%d samples", len(samples))
	}
	list := minutes(samples, now)
	if last, before := list[len(list)-1], list[len(list)-2]; last.sold != 14 || before.sold != 24 || list[0].sold != 24 {
		t.Errorf("the last minutes sold %d and %d, the first %d", before.sold, last.sold, list[0].sold)
	}
	if c := purchaseChart(list); c.Top != "50" || len(c.Bars) != 60 {
		t.Errorf("the chart: top %s, %d bars", c.Top, len(c.Bars))
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "89462000000000000001": "••••0001", "1234": "••••"} {
		if got := masked(text, 4); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// nobody is a callers file without entries.
type nobody struct{}

func (nobody) Identify(context.Context, access.Credentials) (*access.Principal, error) {
	return nil, access.ErrUnauthenticated
}

func newTestConsole(t *testing.T, who Access) *Console {
	t.Helper()
	c, err := New(Config{Access: who, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestWrongKeysAreHeldBack: the answer to a wrong key takes a second, and a client has few attempts under way.
func TestWrongKeysAreHeldBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTestConsole(t, nobody{})
		began := time.Now()
		results := make(chan int)
		for range maxSignIns {
			go func() {
				r := httptest.NewRequest(http.MethodPost, Root+"sign-in", strings.NewReader("key=gg_wrong"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				c.ServeHTTP(w, r)
				results <- w.Code
			}()
		}
		count := map[int]int{}
		for range maxSignIns {
			count[<-results]++
		}
		if count[http.StatusForbidden] != maxSignIns/2 || count[http.StatusTooManyRequests] != maxSignIns/2 {
			t.Errorf("answers by status: %v", count)
		}
		if took := time.Since(began); took != wrongKeyPause {
			t.Errorf("the answers took %v", took)
		}
	})
}

// TestOpenPagesAreBounded: one client has at most half of the places of open pages, and these leave the others alone.
func TestOpenPagesAreBounded(t *testing.T) {
	t.Parallel()
	c := newTestConsole(t, nil)
	for range maxStreams / 2 {
		if !c.streams.Take("192.0.2.1") {
			t.Fatal("too few places")
		}
	}
	ask := func(accept string) int {
		r := httptest.NewRequest(http.MethodGet, Root+"static/console.css", http.NoBody)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code
	}
	if stream, usual := ask("text/event-stream"), ask("*/*"); stream != http.StatusTooManyRequests || usual != http.StatusOK {
		t.Errorf("a stream: %d, another request: %d", stream, usual)
	}
}
