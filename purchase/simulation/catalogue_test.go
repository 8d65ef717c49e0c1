package simulation

import (
	"slices"
	"strings"
	"testing"
)

// catalogue lists, for each fault that the simulator must cover, where it is played: at a step, with a
// setting of the sandbox ("setting: "), or under a circumstance ("circumstance: "). A name also stands
// for all longer names that begin with it. TestEveryFaultAlone checks that the faults at steps do play.
var catalogue = map[string][]string{
	"refused connect":     {"dial: dial refused"},
	"black-holed connect": {"dial: dial without an answer"},
	"TLS failure": {
		"dial: certificate of an unknown authority", "dial: plain text instead of a TLS handshake",
		"dial: end inside the TLS handshake", "dial: TLS handshake without an answer",
	},
	"reset after 0 bytes":           everySend("reset after 0 bytes", "reset after 0 bytes, which the kernel took"),
	"reset inside the head":         everySend("reset inside the head"),
	"reset inside the body":         everySend("reset inside the body", "reset inside the body, all of which the kernel took"),
	"reset after the whole request": everySend("reset after the whole request", "reset instead of the answer"),
	"EOF before the status line":    everySend("end instead of the answer", "vendor commit_then_close"),
	"answer late":                   {"send: vendor commit_late map[answer:true delay:5s]", "send: vendor commit_late map[answer:true delay:58s]"},
	"answer never":                  {"send: vendor hang", "send: vendor commit_late map[delay:5s]", "send: lose the answer silently", "send: lose all bytes silently"},
	"answer one byte a second":      {"send: vendor slow_body map[bytes:1 interval:1s]"},
	"commit after our timeout":      {"send: vendor commit_late map[delay:110s]", "send: a proxy delivers it after 1m40s"},
	"5xx before the commit": {
		"send: vendor 5xx map[status:500]", "send: vendor 5xx map[status:502]",
		"send: vendor 5xx map[html:true status:503]", "send: vendor 5xx map[html:true status:504]",
	},
	"5xx after the commit": {
		"send: vendor commit_then_5xx map[status:500]", "send: vendor commit_then_5xx map[html:true status:502]",
		"send: vendor commit_then_5xx map[status:503]", "send: vendor commit_then_5xx map[status:504]",
	},
	"200 truncated":          {"send: vendor truncate", "send: vendor truncate_chunked"},
	"200 malformed":          {"send: vendor garble", "send: vendor status map[code:200]", "read: vendor garble", "token: vendor garble"},
	"200 wrong status word":  {"send: vendor wrong_status", "setting: errors in a 200"},
	"someone else's metatag": {"send: vendor foreign_metatag"},
	"endless body":           {"send: vendor endless_body", "read: vendor endless_body", "token: vendor endless_body"},
	"4xx with a known body":  {"send: vendor refuse map[reason:priceMismatch]", "send: vendor refuse map[reason:insufficientCredits]"},
	"4xx with another body":  {"send: vendor refuse map[message:no known words", "send: vendor status map[body:{\"code\":7} code:400", "setting: errors without a body"},
	"HTML from a proxy":      {"send: vendor refuse map[reason:malformed shape:html]", "send: vendor status map[body:<html>no</html> code:403 commit:true"},
	"401":                    {"send: vendor unauthorized", "setting: tokens live 30s", "setting: a new token revokes"},
	"token endpoint down":    {"token: vendor 5xx", "token: vendor hang", "token: vendor unauthorized", "token: reset after the whole request"},
	"429": {
		"send: vendor throttle", "send: vendor throttle map[retryAfter:536870912]",
		"send: vendor throttle map[commit:true]", "circumstance: a 429 has no effect",
	},
	"3xx":                     {"send: vendor redirect", "send: vendor redirect map[commit:true status:302]", "send: vendor redirect map[location:http://127.0.0.1"},
	"408, 409, 425":           {"send: vendor status map[code:408]", "send: vendor status map[body:{\"message\":\"conflict\"} code:409", "send: vendor status map[code:425]"},
	"idempotency key":         {"setting: key replayed", "setting: key conflicts", "setting: key forgotten", "setting: key sells while running"}, // by default the vendor ignores the key
	"lists stale":             {"setting: list lags", "setting: both lag", "read: vendor list_lag"},
	"lists cut":               {"setting: list of 2", "read: vendor list_cut map[n:0]", "read: vendor list_cut map[n:1]"},
	"lists unsorted":          {"setting: list unsorted", "read: vendor list_unsorted"},
	"lists by activation":     {"setting: list by activation"},
	"lists without metatags":  {"setting: list without metatags", "read: vendor list_no_metatags"},
	"lists fail, sales go on": {"read: vendor list_fail", "read: vendor list_fail 60 times"},
	"metatag truncated":       {"send: vendor metatag_truncated", "setting: metatags of 20 bytes", "setting: metatags of 30 bytes"},
	"metatag rewritten":       {"send: vendor metatag_rewritten"},
	"gateway killed":          everyStep("kill before it, for 3m20s"),
	"gateway stopped":         except(everyStep("stop before it, for 5m0s"), stepSend), // for longer than its lease
	"journal refuses":         writes("refuse"),
	"journal slow":            atJournal("slow by 20s"),
	"journal full":            {"claim: full"},
	"journal read-only":       writes("journal read-only for 8m0s"),
	"journal unreachable":     atJournal("journal unreachable for 8m0s"),
	"COMMIT's answer lost":    append(writes("lose the answer and commit after 40s"), atJournal("lose the answer after the commit")...),
	"two replicas race":       {"circumstance: the same id at one instant"},
	"same id, another order":  {"circumstance: another order under the id"},
	"clock jumps":             {"circumstance: the journal's clock"},
	"caller gone":             {"circumstance: callers are gone"},
	"deadline of 1 ms, none":  {"circumstance: callers have a millisecond", "circumstance: callers have no deadline"},
	"another account":         {"circumstance: another account after a restart", "circumstance: another account beside"},
	"new client id":           {"circumstance: a new client id after a restart", "circumstance: a new client id beside"},
	"killed inside the body":  everySend("kill inside the request, for 1s"),
}

func each(steps []string, dos ...string) []string {
	var list []string
	for _, step := range steps {
		for _, do := range dos {
			list = append(list, step+": "+do)
		}
	}
	return list
}

func everySend(dos ...string) []string { return each([]string{stepSend}, dos...) }
func everyStep(do string) []string     { return each(allSteps(), do) }
func atJournal(do string) []string     { return each(journalSteps, do) }

func writes(do string) []string {
	return each(slices.DeleteFunc(slices.Clone(journalSteps), func(step string) bool {
		return step != "claim" && !strings.HasPrefix(step, "record ")
	}), do)
}

func except(list []string, steps ...string) []string {
	return slices.DeleteFunc(list, func(name string) bool {
		return slices.ContainsFunc(steps, func(step string) bool { return strings.HasPrefix(name, step+": ") })
	})
}

// TestCatalogue: every name in the catalogue is one that the simulator can play.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	var there []string
	for _, step := range allSteps() {
		for _, f := range faultsAt(step) {
			there = append(there, f.what())
		}
	}
	for _, do := range tlsFaults {
		there = append(there, fault{step: stepDial, do: do}.what())
	}
	for _, s := range settings {
		there = append(there, "setting: "+s.name)
	}
	for name := range circumstances {
		there = append(there, "circumstance: "+name)
	}
	for name, places := range catalogue {
		for _, place := range places {
			if !slices.ContainsFunc(there, func(known string) bool { return strings.HasPrefix(known, place) }) {
				t.Errorf("%s: the simulator has no %q", name, place)
			}
		}
	}
}
