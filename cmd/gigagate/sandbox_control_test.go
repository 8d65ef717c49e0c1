package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

// control runs `gigagate sandbox` against the gateway's sandbox.
func (g *gateway) control(t *testing.T, args ...string) command {
	t.Helper()
	return gigagate(t, append(append([]string{"sandbox"}, args...), "--sandbox-address="+g.sandbox)...)
}

func TestSandboxIsControlledFromTheCommandLine(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if got := g.control(t, "fault"); got.status != 0 || !strings.Contains(got.out, `"fault": "commit_then_reset"`) || !strings.Contains(got.out, `"armed": []`) {
		t.Errorf("the list: %+v", got)
	}

	// The sale happens, and its answer is lost.
	if got := g.control(t, "fault", "commit_then_5xx", "--param=status=504", "--param=html=true", "--count=2"); got.status != 0 || !strings.Contains(got.out, `"count": 2`) {
		t.Errorf("armed: %+v", got)
	}
	if got := g.sell(t, "order-1"); got.status != 0 {
		t.Errorf("%+v", got)
	}
	if got := g.control(t, "fault", "--disarm"); got.status != 0 || !strings.Contains(got.out, `"armed": []`) {
		t.Errorf("disarmed: %+v", got)
	}
	var ledger sandbox.Ledger
	got := g.control(t, "ledger")
	if err := json.Unmarshal([]byte(got.out), &ledger); err != nil || len(ledger.Sales) != 1 || ledger.CreditLeft.String() != "995.80" || strings.Count(got.out, "\n") < 20 {
		t.Errorf("ledger: %v %+v", err, got)
	}

	before := g.control(t, "clock")
	after := g.control(t, "clock", "--advance=91d")
	if before.status != 0 || after.status != 0 || !strings.Contains(before.out, `"now": "`) || after.out < before.out[:len(`{"now": "2026`)] {
		t.Errorf("clock: %+v, %+v", before, after)
	}

	settings := writeFile(t, `{"initialCredit": 10.00}`)
	first, second := g.control(t, "reset", "--settings-file="+settings), g.control(t, "reset")
	if first.status != 0 || !strings.Contains(first.out, `"initialCredit": 10.00`) || !strings.Contains(second.out, `"initialCredit": 1000.00`) {
		t.Errorf("reset: %+v, %+v", first, second)
	}
	if !strings.HasPrefix(first.err, "seed: ") || first.err == second.err {
		t.Errorf("the seeds are %q and %q", first.err, second.err)
	}
	if got := g.control(t, "reset", "--seed=7"); got.status != 0 || got.err != "seed: 7\n" || len(g.ledger(t).Sales) != 0 {
		t.Errorf("reset: %+v", got)
	}
}

func TestSandboxRefuses(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	elsewhere := "--sandbox-address=" + strings.TrimPrefix(other.URL, "http://")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no such fault", []string{"fault", "CANARY"}, exitFailed, "gigagate: "},
		{"a parameter it does not have", []string{"fault", "throttle", "--param=status=503"}, exitFailed, "status"},
		{"--disarm with a fault", []string{"fault", "throttle", "--disarm"}, exitUsage, "--disarm removes all faults"},
		{"a parameter without a fault", []string{"fault", "--param=status=503"}, exitUsage, "--param goes with the name of a fault"},
		{"no duration", []string{"clock", "--advance=soon"}, exitFailed, "gigagate: "},
		{"no such file", []string{"reset", "--settings-file=/nowhere"}, exitFailed, "--settings-file: "},
		{"not JSON", []string{"reset", "--settings-file=" + writeFile(t, "{")}, exitFailed, "--settings-file: it is not valid JSON"},
		{"no such setting", []string{"reset", "--settings-file=" + writeFile(t, `{"CANARY":1}`)}, exitFailed, "CANARY"},
	} {
		if got := g.control(t, test.args...); got.status != test.status || !strings.Contains(got.err, test.says) || got.out != "" {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	for line, status := range map[string]int{"ledger": exitFailed, "reset": exitIndeterminate} {
		if got := gigagate(t, "sandbox", line, elsewhere); got.status != status || !strings.Contains(got.err, "is not a sandbox: 404 Not Found") {
			t.Errorf("%s of a server that is not a sandbox: %+v", line, got)
		}
		if got := gigagate(t, "sandbox", line, "--sandbox-address=127.0.0.1:1"); got.status != status || !strings.Contains(got.err, "no sandbox answers at 127.0.0.1:1") {
			t.Errorf("%s without a server: %+v", line, got)
		}
	}
}
