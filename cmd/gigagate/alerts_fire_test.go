package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var prometheusBinary = flag.String("alerts.prometheus", "", "prometheus, for the test that raises every alert. .ci/alerts sets it")

// monitor is a Prometheus that scrapes one gateway and evaluates the alerts. A minute of the rules takes two seconds, so that
// the test need not wait for half an hour.
type monitor struct {
	url, targets string
}

// shorten turns each minute into two seconds: in durations, and in limits that are written as a number of minutes times 60.
func shorten(rules string) string {
	rules = regexp.MustCompile(`(for: |\[|offset )(\d+)m\b`).ReplaceAllStringFunc(rules, func(text string) string {
		at := strings.LastIndexAny(text, " [") + 1
		minutes, _ := strconv.Atoi(strings.TrimSuffix(text[at:], "m"))
		return fmt.Sprintf("%s%ds", text[:at], 2*minutes)
	})
	return strings.ReplaceAll(rules, "* 60", "* 2")
}

func startMonitor(t *testing.T, gateway string) *monitor {
	t.Helper()
	folder := t.TempDir()
	m := &monitor{targets: filepath.Join(folder, "targets.json")}
	m.scrape(t, gateway)
	for name, text := range map[string]string{
		"rules.yml": shorten(readPage(t, rulesFile)),
		"prometheus.yml": `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs: [{job_name: gigagate, file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]}]
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build(t) // starts the warden
	p := &program{log: newWatched(), ended: make(chan struct{})}
	p.command = exec.Command(*prometheusBinary, "--config.file="+filepath.Join(folder, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address=127.0.0.1:0")
	p.command.Stderr = p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: built.warden.Process.Pid}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(p.kill)
	m.url = "http://" + p.log.waitFor(t, p.ended, `msg="Listening on" address=(\S+)`)[1]
	eventually(t, "Prometheus is ready", func() error {
		if got := get(t, m.url+"/-/ready"); got.status != http.StatusOK {
			return errors.New(got.body)
		}
		return nil
	})
	return m
}

// scrape makes the monitor scrape a gateway instead of the one before.
func (m *monitor) scrape(t *testing.T, gateway string) {
	t.Helper()
	if err := os.WriteFile(m.targets+".new", []byte(`[{"targets":["`+gateway+`"]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.targets+".new", m.targets); err != nil {
		t.Fatal(err)
	}
}

// alerts returns the names of the alerts in one of the states: firing, pending.
func (m *monitor) alerts(t *testing.T, states ...string) []string {
	t.Helper()
	var body struct {
		Data struct {
			Alerts []struct {
				Labels struct{ Alertname string }
				State  string
			}
		}
	}
	m.ask(t, "/api/v1/alerts", &body)
	var names []string
	for _, alert := range body.Data.Alerts {
		if slices.Contains(states, alert.State) {
			names = append(names, alert.Labels.Alertname)
		}
	}
	return names
}

// scraped reports whether the gateway was scraped so often.
func (m *monitor) scraped(t *testing.T, times int) bool {
	t.Helper()
	var body struct {
		Data struct{ Result []any }
	}
	m.ask(t, "/api/v1/query?query="+url.QueryEscape(fmt.Sprintf("sum(sum_over_time(up[1h])) >= %d", times)), &body)
	return len(body.Data.Result) > 0
}

func (m *monitor) ask(t *testing.T, path string, into any) {
	t.Helper()
	got := get(t, m.url+path)
	if err := json.Unmarshal([]byte(got.body), into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, got.body)
	}
}

// quiet waits until the rules have seen the gateway for some seconds. No alert may fire in that time, or wait to. Before the first
// scrape, no gateway is there.
func (m *monitor) quiet(t *testing.T) {
	t.Helper()
	eventually(t, "the first scrapes", func() error {
		if !m.scraped(t, 1) || len(m.alerts(t, "firing", "pending")) > 0 {
			return errNotYet
		}
		return nil
	})
	eventually(t, "more scrapes", func() error {
		if raised := m.alerts(t, "firing", "pending"); len(raised) > 0 {
			t.Fatalf("before there is a cause: %v", raised)
		}
		if !m.scraped(t, 8) {
			return errNotYet
		}
		return nil
	})
}

// TestEveryAlertFires raises every alert by its real cause. It is quiet before. An alert that is neither expected nor a known
// consequence of the cause must not fire.
func TestEveryAlertFires(t *testing.T) {
	t.Parallel()
	if *prometheusBinary == "" {
		t.Skip("needs Prometheus: .ci/alerts")
	}
	tried := map[string]bool{}
	for _, a := range alarms {
		tried[a.alert] = true
		t.Run(a.alert, func(t *testing.T) {
			t.Parallel()
			w := &watchedWorld{shop: newShop(t)}
			journal := "sqlite:" + filepath.Join(t.TempDir(), "journal.db")
			w.replica = newReplica(t, w.shop, journal)
			if a.prepare != nil {
				a.prepare(t, w)
			}
			w.replica.flags = append(w.replica.flags, a.flags...)
			w.replica.start(t)
			w.sell(t, "before")
			w.monitor = startMonitor(t, w.replica.admin)
			w.monitor.quiet(t)
			began := time.Now()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the log of the gateway:\n%s", w.replica.process().log)
				}
			})
			a.cause(t, w)
			eventually(t, a.alert, func() error {
				firing := w.monitor.alerts(t, "firing")
				for _, name := range firing {
					if name != a.alert && !slices.Contains(a.also, name) {
						t.Fatalf("%s fires", name)
					}
				}
				if !slices.Contains(firing, a.alert) {
					return errNotYet
				}
				return nil
			})
			t.Logf("after %.1f s", time.Since(began).Seconds())
		})
	}
	for _, rule := range alertRules(t) {
		if !tried[rule.Alert] {
			t.Errorf("%s is not tried", rule.Alert)
		}
	}
}

// TestOrdinaryDayRaisesNoAlert: a caller buys, repeats its calls and gets refusals, and no alert fires.
func TestOrdinaryDayRaisesNoAlert(t *testing.T) {
	t.Parallel()
	if *prometheusBinary == "" {
		t.Skip("needs Prometheus: .ci/alerts")
	}
	w := &watchedWorld{shop: newShop(t)}
	w.replica = newReplica(t, w.shop, "sqlite:"+filepath.Join(t.TempDir(), "journal.db")).start(t)
	w.monitor = startMonitor(t, w.replica.admin)
	w.monitor.quiet(t)
	for n := 0; !w.monitor.scraped(t, 30); n++ {
		w.sell(t, fmt.Sprintf("order-%d", n))
		w.sell(t, fmt.Sprintf("order-%d", n)) // a repeated call
		w.shop.inject(t, registerPath, "refuse", 1, map[string]any{"reason": "inventoryItemNotFound"})
		w.fail(t, fmt.Sprintf("refused-%d", n))
		if firing := w.monitor.alerts(t, "firing"); len(firing) > 0 {
			t.Fatalf("after %d purchases: %v", n+1, firing)
		}
		pause(t.Context(), 100*time.Millisecond)
	}
}
