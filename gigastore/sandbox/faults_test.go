package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

// inject arms one fault on register.
func (w *world) inject(fault string, params m) {
	w.t.Helper()
	w.must(w.Inject(sandbox.Fault{Path: register, Fault: fault, Params: params}))
}

// seen checks the answer to a register that a fault has spoiled.
type seen func(*testing.T, reply)

func status(code int, parts ...string) seen {
	return func(t *testing.T, got reply) {
		t.Helper()
		if got.err != nil || got.status != code {
			t.Errorf("status %d, error %v, body %s", got.status, got.err, got.text)
		}
		for _, part := range parts {
			if !strings.Contains(got.text+fmt.Sprint(got.header), part) {
				t.Errorf("no %q in %v %s", part, got.header, got.text)
			}
		}
	}
}

func connectionError(want error) seen {
	return func(t *testing.T, got reply) {
		t.Helper()
		if !errors.Is(got.err, want) {
			t.Errorf("error %v, want %v", got.err, want)
		}
	}
}

func invalidJSON(t *testing.T, got reply) {
	t.Helper()
	if got.err != nil || got.status != 200 || json.Valid([]byte(got.text)) || !strings.Contains(got.text, `"status":"success"`) {
		t.Errorf("error %v, status %d, body %s", got.err, got.status, got.text)
	}
}

// TestFaults has one test for each row of the table of faults. It checks how
// many sales there are and what the client saw.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  string
		params m
		sales  int
		seen   seen
	}{
		{"refuse", nil, 0, status(400, sandbox.SentenceMalformedBody)},
		{"refuse", m{"reason": "insufficientCredits"}, 0, status(402, sandbox.SentenceInsufficientCredits)},
		{"refuse", m{"reason": "priceMismatch", "status": 422, "shape": "message"}, 0, status(422, `{"message":"The expected price`)},
		{"refuse", m{"message": "Own words.", "shape": "html", "status": 500}, 0, status(500, "<p>Own words.</p>")},
		{"reset_before", nil, 0, connectionError(syscall.ECONNRESET)},
		{"reset_before", m{"afterBytes": 10}, 0, connectionError(syscall.ECONNRESET)},
		{"reset_before", m{"afterBytes": "request"}, 0, connectionError(syscall.ECONNRESET)},
		{"commit_then_reset", nil, 1, connectionError(syscall.ECONNRESET)},
		{"commit_then_close", nil, 1, connectionError(io.EOF)},
		{"commit_then_5xx", nil, 1, status(502, "Bad Gateway")},
		{"commit_then_5xx", m{"status": 504, "html": true}, 1, status(504, "<html>")},
		{"5xx", nil, 0, status(503, "Service Unavailable")},
		{"5xx", m{"status": 500, "html": true}, 0, status(500, "<html>")},
		{"truncate", nil, 1, connectionError(io.ErrUnexpectedEOF)},
		{"truncate", m{"bytes": 0}, 1, connectionError(io.ErrUnexpectedEOF)},
		{"truncate_chunked", m{"bytes": 30}, 1, connectionError(io.ErrUnexpectedEOF)},
		{"garble", nil, 1, invalidJSON},
		{"wrong_status", nil, 1, status(200, `{"status":"pending","activatedItem":{`)},
		{"wrong_status", m{"word": "queued", "commit": false}, 0, status(200, `{"status":"queued","activatedItem":null`)},
		{"foreign_metatag", nil, 1, status(200, `"metatag":"metatag-of-another-sale"`)},
		{"metatag_truncated", m{"bytes": 4}, 1, status(200, `"metatag":"gg01"`)},
		{"metatag_rewritten", nil, 1, status(200, `"metatag":"GG01 ORDER"`)},
		{"metatag_rewritten", m{"metatag": "new"}, 1, status(200, `"metatag":"new"`)},
		{"unauthorized", nil, 0, status(401, sandbox.SentenceUnauthorized)},
		{"throttle", nil, 0, status(429, "Retry-After:[1]")},
		{"throttle", m{"retryAfter": 7, "commit": true}, 1, status(429, "Retry-After:[7]")},
		{"redirect", nil, 0, status(307, "https://sandbox.invalid/elsewhere")},
		{"redirect", m{"status": 302, "location": "/elsewhere", "commit": true}, 1, status(302, "Location:[/elsewhere]")},
		{"slow_body", m{"interval": "1us", "bytes": 100}, 1, status(200, `"status":"success"`)},
		{"early_hints", m{"n": 3}, 1, status(200, `"status":"success"`)},
		{"surplus", nil, 1, status(200, `"status":"success"`)},
		{"surplus", m{"place": "before", "interval": "1us"}, 1, status(401)},
		{"surplus", m{"place": "after", "code": 400, "body": "{}", "split": true}, 1, status(200)},
		{"status", m{"code": 409}, 0, status(409)},
		{"status", m{"code": 200, "commit": true}, 1, status(200)},
		{"status", m{"code": 204}, 0, status(204)},
		{"status", m{"code": 425, "body": "later", "contentType": "text/plain"}, 0, status(425, "later", "text/plain")},
	} {
		t.Run(fmt.Sprint(test.fault, test.params), func(t *testing.T) {
			t.Parallel()
			w := open(t, nil)
			w.inject(test.fault, test.params)
			test.seen(t, w.post(register, order(sandbox.ItemWorldwide1GB, "gg01 order")))
			ledger := w.Ledger()
			if len(ledger.Sales) != test.sales || ledger.Requests[register] != 1 {
				t.Errorf("%d sales, want %d; %d requests", len(ledger.Sales), test.sales, ledger.Requests[register])
			}
			if len(w.ArmedFaults()) != 0 {
				t.Error("the fault is still armed")
			}
			w.register(sandbox.ItemWorldwide1GB, "next") // the fault is over
		})
	}
}

func TestEveryFaultIsTested(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	source, err := os.ReadFile("faults_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range w.ok(w.get("/_sandbox/faults")).object(t)["known"].([]any) {
		if name := text(t, known, "fault"); !strings.Contains(string(source), `"`+name+`"`) {
			t.Errorf("fault %s has no test", name)
		}
	}
}

func TestTamperedMetatags(t *testing.T) {
	t.Parallel()
	for fault, stored := range map[string]string{"foreign_metatag": "gg01 order", "metatag_truncated": "gg01 ord", "metatag_rewritten": "GG01 ORDER"} {
		w := open(t, nil)
		w.inject(fault, nil)
		w.register(sandbox.ItemWorldwide1GB, "gg01 order")
		if got := listed(t, w.get(items)); got != stored {
			t.Errorf("%s: stored is %q, want %q", fault, got, stored)
		}
		told := w.Ledger().Sales[0]
		if told.Metatag != "gg01 order" || stored == told.Metatag != (told.StoredMetatag == "") {
			t.Errorf("%s: ledger %+v", fault, told)
		}
	}
}

func TestListFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  string
		params m
		want   string
	}{
		{"list_lag", m{"duration": "1d1h"}, "a"},
		{"list_cut", m{"n": 2}, "c b"},
		{"list_cut", nil, ""},
		{"list_unsorted", nil, "any order"},
		{"list_no_metatags", nil, "no metatags"},
		{"list_fail", m{"status": 403}, "status 403"},
		{"list_fail", nil, "status 500"},
	} {
		w := open(t, nil)
		threeSales(w)
		w.must(w.Inject(sandbox.Fault{Path: "/gigastore/*", Fault: test.fault, Params: test.params}))
		w.ok(w.get(inventory)) // this is not a list of sales, so the fault still waits
		got := w.get(items)
		if statusText := fmt.Sprint("status ", got.status); got.status != 200 {
			if statusText != test.want {
				t.Errorf("%s: %s", test.fault, statusText)
			}
			continue
		}
		switch test.want {
		case "any order":
			if n := len(got.array(t)); n != 3 {
				t.Errorf("%s: %d elements", test.fault, n)
			}
		case "no metatags":
			if strings.Contains(got.text, "metatag") {
				t.Errorf("%s: %s", test.fault, got.text)
			}
		default:
			if tags := listed(t, got); tags != test.want {
				t.Errorf("%s: %q", test.fault, tags)
			}
		}
	}
}

func TestFaultsQueueInOrder(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.must(w.Inject(sandbox.Fault{Path: register, Fault: "5xx", Count: 2}))
	w.must(w.Inject(sandbox.Fault{Path: register, Fault: "throttle"}))
	w.must(w.Inject(sandbox.Fault{Path: "/gigastore/activations/*", Fault: "unauthorized"}))
	var got []int
	for range 3 {
		got = append(got, w.post(register, order(sandbox.ItemWorldwide1GB, "a")).status)
	}
	token := w.token
	w.token = "stale"
	got = append(got, w.post(register, order(sandbox.ItemWorldwide1GB, "a")).status) // a real 401 does not use up a fault
	w.token = token
	got = append(got, w.get(inventory).status, w.get(customers).status, w.get(customers).status)
	if fmt.Sprint(got) != "[503 503 429 401 200 401 200]" {
		t.Errorf("statuses %v", got)
	}
	w.must(w.Inject(sandbox.Fault{Path: items + "/x/activate", Fault: "commit_then_reset", Count: 9}))
	w.Disarm()
	w.refused(w.post(items+"/x/activate", nil), 404, sandbox.SentenceActivatedItemNotFound)
}

func TestActivateCommitsThenIsLost(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	bought := w.register(sandbox.ItemWorldwide1GB, "a", mode("ON_DEMAND"))
	path := items + "/" + bought.item + "/activate"
	w.must(w.Inject(sandbox.Fault{Path: path, Fault: "commit_then_reset"}))
	connectionError(syscall.ECONNRESET)(t, w.post(path, nil))
	if !w.started(bought.item) {
		t.Error("not activated")
	}
}

func TestUnplayableFaultsAreRefused(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	for want, fault := range map[string]sandbox.Fault{
		`unknown fault "explode"`:       {Path: register, Fault: "explode"},
		"is not a path":                 {Path: "/gigastore/activations/registr", Fault: "5xx"},
		`"/gigastores/*" is not a path`: {Path: "/gigastores/*", Fault: "5xx"},
		"does not apply to path":        {Path: register, Fault: "list_cut"},
		"count must not":                {Path: register, Fault: "5xx", Count: -1},
		`unknown parameter "delay"`:     {Path: register, Fault: "5xx", Params: m{"delay": "1s"}},
		"status is 200":                 {Path: register, Fault: "5xx", Params: m{"status": 200}},
		"status cannot be: string":      {Path: register, Fault: "5xx", Params: m{"status": "500"}},
		"code is required":              {Path: register, Fault: "status"},
		"duration is required":          {Path: items, Fault: "list_lag"},
		`"soon" is not a duration`:      {Path: register, Fault: "hang", Params: m{"duration": "soon"}},
		"bytes is -1":                   {Path: register, Fault: "truncate", Params: m{"bytes": -1}},
		"bytes must be at least 1":      {Path: register, Fault: "slow_body", Params: m{"bytes": 0}},
		`shape is "xml"`:                {Path: register, Fault: "refuse", Params: m{"shape": "xml"}},
		`unknown reason "bad weather"`:  {Path: register, Fault: "refuse", Params: m{"reason": "bad weather"}},
		"afterBytes must be":            {Path: register, Fault: "reset_before", Params: m{"afterBytes": "all"}},
	} {
		if err := w.Inject(fault); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if len(w.ArmedFaults()) != 0 {
		t.Error("a refused fault is armed")
	}
}

func TestEndlessBodyEndsWithItsReader(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.inject("endless_body", nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+register, strings.NewReader(`{"inventoryItemId":"`+sandbox.ItemWorldwide1GB+`","metatag":"a","userIp":"::1","userCountry":"GR"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(io.Discard, response.Body, 8<<20)
	if err != nil || n != 8<<20 || response.ContentLength != -1 {
		t.Errorf("%d bytes, length %d, %v", n, response.ContentLength, err)
	}
	_ = response.Body.Close()
	if len(w.Ledger().Sales) != 1 {
		t.Error("not sold")
	}
}

func TestHangEndsAfterItsDuration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, nil)
		w.inject("hang", m{"duration": 90 * time.Second})
		start := time.Now()
		connectionError(io.EOF)(t, w.post(register, order(sandbox.ItemWorldwide1GB, "a")))
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("hung for %v", took)
		}
		w.inject("hang", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		connectionError(context.DeadlineExceeded)(t, w.do(ctx, http.MethodPost, register, order(sandbox.ItemWorldwide1GB, "b")))
		if len(w.Ledger().Sales) != 0 {
			t.Error("sold")
		}
	})
}

func TestCommitLateOutlivesItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, replayed)
		w.inject("commit_late", m{"delay": "2m"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		body := order(sandbox.ItemWorldwide1GB, "a")
		connectionError(context.DeadlineExceeded)(t, w.do(ctx, http.MethodPost, register, body, "idempotency-key", "k"))
		if len(w.Ledger().Sales) != 0 {
			t.Error("sold before the delay was over")
		}
		// The first call is still running, so its key is reserved.
		w.refused(w.post(register, body, "idempotency-key", "k"), 409, sandbox.SentenceKeyRunning)
		<-time.After(time.Minute)
		synctest.Wait()
		if ledger := w.Ledger(); len(ledger.Sales) != 1 || ledger.Sales[0].Requests != 2 {
			t.Errorf("ledger %+v", ledger)
		}
		w.ok(w.post(register, body, "idempotency-key", "k"))
		if got := metatags(w.Ledger()); got != "a" {
			t.Errorf("sold %q", got)
		}
	})
}

func TestRefusedLateCommitGivesItsKeyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, replayed)
		w.inject("commit_late", m{"answer": true})
		w.refused(w.post(register, order("nothing", "a"), "idempotency-key", "k"), 404, sandbox.SentenceInventoryItemNotFound)
		synctest.Wait() // the first call is answered before its key is released
		w.ok(w.post(register, order(sandbox.ItemWorldwide1GB, "a"), "idempotency-key", "k"))
	})
}

func TestCloseWaitsForTheCommitThatBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, nil)
		w.inject("commit_late", nil)
		go w.post(register, order(sandbox.ItemWorldwide1GB, "a"))
		synctest.Wait()
		w.holdClock.Store(true)
		<-time.After(2 * time.Second) // the commit has begun and waits for the clock
		closed := make(chan struct{})
		go func() { _ = w.Close(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed while a commit ran")
		default:
		}
		close(w.blocked)
		<-closed
	})
}

func TestCommitLateCanAnswerLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, nil)
		w.inject("commit_late", m{"delay": "30s", "answer": true})
		start := time.Now()
		w.ok(w.post(register, order(sandbox.ItemWorldwide1GB, "a")))
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTwoCallsWithOneKeyAtOnceMaySellTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, func(s *sandbox.Settings) { s.IdempotencyWhileRunning = sandbox.RunningSells; replayed(s) })
		w.inject("commit_late", m{"delay": "10s", "answer": true})
		body, done := order(sandbox.ItemWorldwide1GB, "a"), make(chan reply)
		go func() { done <- w.post(register, body, "idempotency-key", "k") }()
		synctest.Wait()
		w.ok(w.post(register, body, "idempotency-key", "k"))
		w.ok(<-done)
		if got := metatags(w.Ledger()); got != "a a" {
			t.Errorf("sold %q", got)
		}
	})
}

func TestLatencyCommitsForAClientThatLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, func(s *sandbox.Settings) { s.Latency = sandbox.Duration(10 * time.Second) })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		connectionError(context.DeadlineExceeded)(t, w.do(ctx, http.MethodPost, register, order(sandbox.ItemWorldwide1GB, "a")))
		<-time.After(5 * time.Second)
		synctest.Wait()
		if len(w.Ledger().Sales) != 1 {
			t.Error("not sold")
		}
	})
}

func TestCloseEndsEveryWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, nil)
		done := make(chan reply, 4)
		for _, fault := range []string{"hang", "commit_late", "slow_body"} {
			params := map[string]m{"commit_late": {"delay": "300d"}, "slow_body": {"interval": "300d"}}[fault]
			w.inject(fault, params)
			go func() { done <- w.post(register, order(sandbox.ItemWorldwide1GB, "a")) }()
			synctest.Wait()
		}
		w.must(w.Close())
		for range 3 {
			if got := <-done; got.err == nil {
				t.Errorf("answered %+v", got)
			}
		}
		if sales := w.Ledger().Sales; len(sales) != 1 { // the sale of slow_body
			t.Errorf("%d sales", len(sales))
		}
	})
}

func TestLateCommitStaysInItsWorld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, nil)
		w.inject("commit_late", m{"delay": "10s", "answer": true})
		done := make(chan reply)
		go func() { done <- w.post(register, order(sandbox.ItemWorldwide1GB, "a")) }()
		synctest.Wait()
		w.must(w.Reset(1, nil))
		w.ok(<-done)
		if len(w.Ledger().Sales) != 0 {
			t.Error("an old call sold in the fresh world")
		}
	})
}
