package access

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// begin makes calls until one is beyond a limit, and returns how many were allowed.
func (l *Limits) begin(t *testing.T, want Excess) (allowed int, wait time.Duration) {
	t.Helper()
	for ; ; allowed++ {
		switch excess, wait := l.Begin(time.Now()); {
		case excess == want:
			return allowed, wait
		case excess != NoExcess || allowed > 1000:
			t.Fatalf("call %d is beyond limit %d, want %d", allowed+1, excess, want)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(LimitSettings{PerSecond: 50, Burst: 100})
		if n, pause := l.begin(t, TooFast); n != 100 || pause != 20*time.Millisecond {
			t.Errorf("%d calls at once, then a wait of %s", n, pause)
		}
		wait(time.Second)
		if n, _ := l.begin(t, TooFast); n != 50 {
			t.Errorf("%d calls after a second", n)
		}
		wait(time.Hour)
		if n, _ := l.begin(t, TooFast); n != 100 {
			t.Errorf("%d calls after an hour", n)
		}
	})
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLimits(LimitSettings{AtOnce: 3})
	if n, _ := l.begin(t, TooManyAtOnce); n != 3 {
		t.Errorf("%d calls at once", n)
	}
	l.End()
	if n, _ := l.begin(t, TooManyAtOnce); n != 1 {
		t.Errorf("%d calls after one has ended", n)
	}
}

// A caller without limits may make any number of calls, and so may an operator.
func TestNoLimits(t *testing.T) {
	t.Parallel()
	var none *Limits
	for _, l := range []*Limits{none, NewLimits(LimitSettings{})} {
		for range 1000 {
			if excess, _ := l.Begin(time.Now()); excess != NoExcess {
				t.Fatalf("beyond limit %d", excess)
			}
		}
		l.End()
		if l.Settings() != (LimitSettings{}) {
			t.Errorf("%+v", l.Settings())
		}
	}
}

const limited = `
callers:
  - name: shop
    rate: {per_second: 0.5, burst: 10}
    at_once: 200
    identities:
      - key: {id: ID, sha256: SUM}
`

// A changed limit holds for the next call. Calls that were made before the file was read again still count, also if the
// file says the same as before.
func TestLimitsSurviveAReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, id, sum := NewKey()
		text := strings.NewReplacer("ID", id, "SUM", sum).Replace(limited)
		l := watchFile(t, Config{Transport: &fakeIssuer{}}, text)
		shop := func() *Limits {
			p, err := l.Identify(t.Context(), Credentials{Authorization: []string{"Bearer " + key}})
			if err != nil {
				t.Fatal(err)
			}
			return p.Limits
		}
		reload := func(text string) {
			replace(t, l.config.File, text)
			if err := l.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		before := shop()
		if n, pause := before.begin(t, TooFast); n != 10 || pause != 2*time.Second {
			t.Errorf("%d calls, then a wait of %s", n, pause)
		}
		reload(text)
		if n, _ := shop().begin(t, TooFast); n != 0 {
			t.Errorf("a reload allows %d more calls", n)
		}
		reload(strings.Replace(text, "at_once: 200", "at_once: 11", 1))
		wait(time.Minute)
		if n, _ := shop().begin(t, TooManyAtOnce); n != 1 {
			t.Errorf("%d calls at once beside ten", n)
		}
		before.End() // a call that began before the reload
		if n, _ := shop().begin(t, TooManyAtOnce); n != 1 {
			t.Errorf("%d calls after one has ended", n)
		}
		reload(strings.Replace(strings.Replace(text, "    rate: {per_second: 0.5, burst: 10}\n", "", 1), "    at_once: 200\n", "", 1))
		if excess, _ := shop().Begin(time.Now()); excess != NoExcess {
			t.Errorf("without limits, a call is beyond limit %d", excess)
		}
	})
}

func TestWrongLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rate: 5":                               "line 3: callers[0].rate: it must be a mapping with per_second, burst",
		"rate: {per_second: 5}":                 "line 3: callers[0].rate.burst: it is missing",
		"rate: {burst: 5}":                      "line 3: callers[0].rate.per_second: it is missing",
		"rate: {per_second: 0, burst: 5}":       "line 3: callers[0].rate.per_second: it must be a number",
		"rate: {per_second: -1, burst: 5}":      "line 3: callers[0].rate.per_second: it must be a number",
		"rate: {per_second: 1e3, burst: 5}":     "line 3: callers[0].rate.per_second: it must be a number",
		"rate: {per_second: \"5\", burst: 5}":   "line 3: callers[0].rate.per_second: it must be a number",
		"rate: {per_second: 1000001, burst: 5}": "line 3: callers[0].rate.per_second: it must be a number",
		"rate: {per_second: 5, burst: 0}":       "line 3: callers[0].rate.burst: it must be a whole number",
		"rate: {per_second: 5, burst: 1.5}":     "line 3: callers[0].rate.burst: it must be a whole number",
		"rate: {per_second: 5, brust: 1}":       "line 3: callers[0].rate: \"brust\" is not a field here",
		"at_once: 0":                            "line 3: callers[0].at_once: it must be a whole number",
		"at_once: [5]":                          "line 3: callers[0].at_once: it must be a text",
		"at_once: many":                         "line 3: callers[0].at_once: it must be a whole number",
	} {
		_, err := decode([]byte("callers:\n- name: shop\n  "+text+"\n"), t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
