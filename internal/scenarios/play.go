package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gigagate.internal/internal/scenarios/protocol"
)

// told is one call with its normalised answer.
type told struct {
	scenario string
	method   string
	request  map[string]any
	answer   map[string]any
}

// result is the result of one scenario in one language.
type result struct {
	scenario string
	took     time.Duration
	problems []string // empty if it passed
	skipped  bool     // it needs the purchase helper, which plain HTTP does not have
}

// play plays the scenarios of one language against its own gateway.
type play struct {
	gateway *gateway
	program *program
	heard   []told
}

// scenario plays one scenario until its first problem. It returns an error only if no further scenario can be played.
func (p *play) scenario(ctx context.Context, s scenario) (problems []string, err error) {
	if _, err := p.gateway.control(ctx, "DELETE /_sandbox/faults", nil); err != nil {
		return nil, err
	}
	known := variables{}
	for i, step := range s.Steps {
		problems, err := p.step(ctx, s.name, step, known)
		if _, broken := errors.AsType[*brokenProgramError](err); broken {
			return nil, err
		}
		if err != nil {
			problems = append(problems, err.Error())
		}
		if len(problems) > 0 {
			title := strings.TrimSpace(fmt.Sprintf("step %d, %s %s", i+1, step, step.Say))
			return append([]string{title}, problems...), nil
		}
	}
	return nil, nil
}

func (p *play) step(ctx context.Context, scenario string, s step, known variables) ([]string, error) {
	expect, err := known.fillObject(s.Expect)
	if err != nil {
		return nil, err
	}
	var answer any
	if s.Sandbox != "" {
		answer, err = p.control(ctx, s, known)
	} else {
		if _, ok := expect["response"]; ok && expect["replayed"] == nil && !s.Helper {
			expect["replayed"] = false
		}
		answer, err = p.call(scenario, s, known)
	}
	if err != nil {
		return nil, err
	}
	if problems := differences("answer", expect, answer); len(problems) > 0 {
		return problems, nil
	}
	return nil, known.save(s.Save, answer)
}

func (p *play) control(ctx context.Context, s step, known variables) (any, error) {
	call, err := known.fill(s.Sandbox)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if s.Body != nil {
		if body, err = known.fillObject(s.Body); err != nil {
			return nil, err
		}
	}
	return p.gateway.control(ctx, call.(string), body)
}

func (p *play) call(scenario string, s step, known variables) (any, error) {
	request, err := known.fillObject(s.Request)
	if err != nil {
		return nil, err
	}
	method := contract + s.Call
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	said, err := p.program.ask(protocol.Request{Method: method, Request: text, DeadlineMs: s.DeadlineMs, Helper: s.Helper})
	if err != nil {
		return nil, err
	}
	answer, err := normalised(method, said)
	if err != nil {
		return nil, err
	}
	p.heard = append(p.heard, told{scenario: scenario, method: method, request: request, answer: answer})
	return answer, nil
}

// ledgerRow is the name of the last row of the table.
const ledgerRow = "ledger"

// checkLedger compares the answers with what the sandbox really sold.
func (p *play) checkLedger(ctx context.Context) ([]string, error) {
	truth, err := p.gateway.control(ctx, "GET /_sandbox/ledger", nil)
	if err != nil {
		return nil, err
	}
	return judgeLedger(p.heard, truth), nil
}

// judgeLedger compares the answers with the ledger. Every request id may have at most one sale. If its last answer names a
// sale, it must have exactly that one. If the answer says that nothing was bought, it must have none.
func judgeLedger(heard []told, truth any) []string {
	sold := map[string][]string{} // purchase id: uids of the packages sold
	sales, _ := at(truth, "sales").([]any)
	for _, sale := range sales {
		// The first word of the metatag is "gg" and the purchase's id, as the contract says.
		metatag, _ := at(sale, "metatag").(string)
		mark, _, _ := strings.Cut(metatag, " ")
		id := strings.TrimPrefix(mark, "gg")
		uid, _ := at(sale, "itemUid").(string)
		sold[id] = append(sold[id], uid)
	}
	var problems []string
	complain := func(format string, values ...any) { problems = append(problems, fmt.Sprintf(format, values...)) }
	last := map[string]told{}    // request id: the newest answer that named a purchase
	owner := map[string]string{} // purchase id: the request id whose answer named it
	for _, call := range heard {
		requestID, _ := call.request["requestId"].(string)
		if !slices.Contains([]string{contract + registerCall, contract + topUpCall}, call.method) {
			continue
		}
		if id := purchaseOf(call.answer); id != "" {
			last[requestID] = call
			owner[id] = requestID
		}
	}
	bought := map[string][]string{} // request id: uids of all packages sold for it
	for _, id := range slices.Sorted(maps.Keys(sold)) {
		requestID, spokenOf := owner[id]
		if !spokenOf {
			complain("no answer named the purchase %s, which the ledger has", id)
			continue
		}
		bought[requestID] = append(bought[requestID], sold[id]...)
	}
	for _, requestID := range slices.Sorted(maps.Keys(last)) {
		answer := last[requestID].answer
		uids := bought[requestID]
		switch uid, effect := at(answer, "response.activatedItem.uid"), effectOf(answer); {
		case len(uids) > 1:
			complain("%s bought %d packages", requestID, len(uids))
		case uid != nil && !slices.Equal(uids, []string{uid.(string)}):
			complain("%s was told that it bought %s, the ledger has %s", requestID, uid, uids)
		case effect == "APPLIED" && len(uids) != 1:
			complain("%s was told that it bought, the ledger has no sale", requestID)
		case (effect == "NOT_APPLIED" || effect == "NOT_STARTED") && len(uids) != 0:
			complain("%s was told that it bought nothing, the ledger has %s", requestID, uids)
		}
	}
	if len(sold) == 0 {
		complain("the ledger is empty: nothing was tried")
	}
	return problems
}

// purchaseOf returns the purchase id in an answer, or "" if there is none.
func purchaseOf(answer map[string]any) string {
	for _, path := range []string{"response.purchaseId", "error.outcome.purchaseId", "refused.purchaseId", "notKnownYet.purchaseId"} {
		if id, ok := at(answer, path).(string); ok && id != "" {
			return id
		}
	}
	return ""
}

// effectOf is the effect in an answer without its prefix, or "" if there is none.
func effectOf(answer map[string]any) string {
	if effect, ok := at(answer, "refused.effect").(string); ok {
		return effect
	}
	effect, _ := at(answer, "error.outcome.effect").(string)
	return strings.TrimPrefix(effect, "EFFECT_")
}
