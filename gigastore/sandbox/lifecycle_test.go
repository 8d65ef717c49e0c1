package sandbox_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

const day = 24 * time.Hour

func TestModesStartWhenTheyShould(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	now := w.register(sandbox.ItemWorldwide1GB, "now")
	first := w.register(sandbox.ItemWorldwide1GB, "first", mode("FIRST_USE"))
	demand := w.register(sandbox.ItemEurope5GB, "demand", mode("ON_DEMAND"))

	if b := w.balance(now.item); b["activatedAt"] != "2026-03-01T12:30:15.123Z" || b["expiresAt"] != "2026-03-31T12:30:15.123Z" {
		t.Errorf("NOW: %v", b)
	}
	for _, pending := range []sale{first, demand} {
		// expiresAt is the deadline, 90 days after the sale.
		if b := w.balance(pending.item); b["activatedAt"] != nil || b["expiresAt"] != "2026-05-30T12:30:15.123Z" {
			t.Errorf("pending: %v", b)
		}
	}

	w.advance(day)
	w.must(w.Connect(demand.iccid, ""))
	if w.started(demand.item) {
		t.Error("a connection started an ON_DEMAND package")
	}
	w.must(w.Connect(first.iccid, "JP"))
	w.ok(w.post(items+"/"+demand.item+"/activate", nil))
	for _, started := range []sale{first, demand} {
		// From now on expiresAt is the end of validity.
		if b := w.balance(started.item); b["activatedAt"] != "2026-03-02T12:30:15.123Z" || b["expiresAt"] != "2026-04-01T12:30:15.123Z" {
			t.Errorf("started: %v", b)
		}
	}
	var causes []string
	for _, activation := range w.Ledger().Activations {
		causes = append(causes, string(activation.Cause))
	}
	if got := strings.Join(causes, " "); got != "sale connect call" {
		t.Errorf("causes %q", got)
	}
}

func TestPendingPackagesStartByThemselvesAtTheDeadline(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	first := w.register(sandbox.ItemWorldwide1GB, "a", mode("FIRST_USE"))
	demand := w.register(sandbox.ItemWorldwide50MB, "b", mode("ON_DEMAND"))
	w.advance(90*day - 1)
	if w.started(first.item) || w.started(demand.item) {
		t.Fatal("started before the deadline")
	}
	w.advance(day) // past the deadline, at which nobody read anything
	for _, it := range []sale{first, demand} {
		if got := w.balance(it.item)["activatedAt"]; got != "2026-05-30T12:30:15.123Z" {
			t.Errorf("activatedAt %v, want the deadline", got)
		}
	}
	ledger := w.Ledger()
	if len(ledger.Activations) != 2 || ledger.Activations[0].Cause != sandbox.CauseDeadline || !ledger.Activations[0].Time.Equal(began.Add(90*day)) {
		t.Errorf("activations %+v", ledger.Activations)
	}
	w.refused(w.post(items+"/"+first.item+"/activate", nil), 400, sandbox.SentenceAlreadyActive)
}

func TestFirstUseStartsInsideTheCoverageOnly(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	bought := w.register(sandbox.ItemEurope5GB, "a", mode("FIRST_USE"))
	w.must(w.Connect(bought.iccid, "JP"))
	if w.started(bought.item) {
		t.Error("started outside the coverage")
	}
	w.must(w.Connect(bought.iccid, "GR"))
	if !w.started(bought.item) {
		t.Error("not started inside the coverage")
	}
	if err := w.Connect("8900", ""); err == nil {
		t.Error("an unknown eSIM connected")
	}
	if err := w.Connect(bought.iccid, "Greece"); err == nil {
		t.Error("an invalid country was accepted")
	}
}

func TestPendingFirstUseWaitsForActivePackages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*world, sale)
	}{
		{"until its data is used up", func(w *world, active sale) { w.must(w.Use(active.item, 1e12)) }},
		{"until its time is over", func(w *world, _ sale) { w.advance(30*day + 1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, nil)
			active := w.register(sandbox.ItemWorldwide1GB, "active")
			earlier := w.topUp(active, sandbox.ItemWorldwide1GB, "earlier", mode("FIRST_USE"))
			w.advance(time.Hour)
			later := w.topUp(active, sandbox.ItemWorldwide50MB, "later", mode("FIRST_USE"))
			w.must(w.Connect(active.iccid, ""))
			if w.started(earlier.item) || w.started(later.item) {
				t.Fatal("a pending package was touched while another has data and time left")
			}
			test.end(w, active)
			w.must(w.Connect(active.iccid, ""))
			if !w.started(earlier.item) || w.started(later.item) {
				t.Error("not exactly the package with the nearest deadline started")
			}
		})
	}
}

func TestFirstUseNeedNotWait(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.FirstUseWaits = false })
	active := w.register(sandbox.ItemWorldwide1GB, "active")
	pending := w.topUp(active, sandbox.ItemWorldwide1GB, "pending", mode("FIRST_USE"))
	w.must(w.Connect(active.iccid, ""))
	if !w.started(pending.item) {
		t.Error("not started")
	}
}

func TestShortestRemainingValidityIsUsedFirst(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	long := w.register(sandbox.ItemWorldwide50MB, "long") // 365 days
	short := w.topUp(long, sandbox.ItemWorldwide1GB, "short")
	pending := w.topUp(long, sandbox.ItemWorldwide1GB, "pending", mode("FIRST_USE"))
	left := func(s sale) string {
		available := w.balance(s.item)["availableBalance"]
		return text(t, m{"v": at(t, available, "sizeValue").(interface{ String() string }).String()}, "v")
	}
	w.must(w.Use(long.iccid, 400_000_000))
	if left(short) != "0.6" || left(long) != "0.05" {
		t.Errorf("left %s and %s", left(short), left(long))
	}
	w.must(w.Use(long.iccid, 640_000_000))
	if left(short) != "0" || left(long) != "0.01" || w.started(pending.item) {
		t.Errorf("left %s and %s", left(short), left(long))
	}
	w.must(w.Use(long.iccid, 20_000_000)) // 10 MB more than the active packages have
	if left(long) != "0" || left(pending) != "0.99" || !w.started(pending.item) {
		t.Errorf("left %s and %s", left(long), left(pending))
	}
	other := w.register(sandbox.ItemWorldwide1GB, "short and older")
	younger := w.topUp(other, sandbox.ItemWorldwide50MB, "long")
	w.must(w.Use(other.iccid, 400_000_000))
	if left(other) != "0.6" || left(younger) != "0.05" {
		t.Errorf("left %s and %s", left(other), left(younger))
	}
	if err := w.Use(long.item, 1); err == nil {
		t.Error("a used-up package was used")
	}
	if err := w.Use("nobody", 1); err == nil {
		t.Error("an unknown package was used")
	}
	if err := w.Use(short.item, 0); err == nil {
		t.Error("no bytes were used")
	}
}

func TestDedicatedPackageServesItsOwnESIM(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	first := w.register(sandbox.ItemWorldwide1GB, "first", mode("FIRST_USE"))
	own := w.sell(topUpProfile, order(sandbox.ItemWorldwide1GB, "own", m{"customerUid": first.customer, "dedicated": true, "activationMode": "FIRST_USE"}))
	w.must(w.Connect(own.iccid, ""))
	if w.started(first.item) || !w.started(own.item) {
		t.Error("the dedicated eSIM used another domain's package")
	}
}

func TestActivateAgain(t *testing.T) {
	t.Parallel()
	for policy, status := range map[sandbox.ActivateAgainPolicy]int{sandbox.ActivateAgainRefused: 400, sandbox.ActivateAgainOK: 200} {
		w := open(t, func(s *sandbox.Settings) { s.ActivateAgain = policy })
		bought := w.register(sandbox.ItemWorldwide1GB, "a", mode("ON_DEMAND"))
		path := items + "/" + bought.item + "/activate"
		w.ok(w.post(path, nil))
		before := w.balance(bought.item)["activatedAt"]
		w.advance(time.Hour)
		if got := w.post(path, nil); got.status != status {
			t.Errorf("%s: status %d", policy, got.status)
		}
		if after := w.balance(bought.item)["activatedAt"]; after != before {
			t.Errorf("%s: the start moved from %v to %v", policy, before, after)
		}
	}
	w := open(t, nil)
	w.refused(w.post(items+"/nothing/activate", nil), 404, sandbox.SentenceActivatedItemNotFound)
}

func TestActivateAnswers(t *testing.T) {
	t.Parallel()
	for form, want := range map[sandbox.ActivateAnswer]string{
		sandbox.ActivateEnvelope: `{"status":"success","activatedItem":{"balance":`, sandbox.ActivateItem: `{"balance":`, sandbox.ActivateEmptyObject: `{}`,
	} {
		w := open(t, func(s *sandbox.Settings) { s.ActivateAnswer = form })
		bought := w.register(sandbox.ItemWorldwide1GB, "a", mode("ON_DEMAND"))
		if got := w.ok(w.post(items+"/"+bought.item+"/activate", nil)); !strings.HasPrefix(got.text, want) {
			t.Errorf("%s: %s", form, got.text)
		}
	}
}

func TestRefund(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.RefundMonthlyLimit = 1 })
	path := func(s sale) string { return "/activations/activated-items/" + s.item + "/refund" }
	used, kept, other := w.register(sandbox.ItemWorldwide1GB, "used"), w.register(sandbox.ItemWorldwide1GB, "kept", mode("FIRST_USE")), w.register(sandbox.ItemWorldwide1GB, "other")
	w.must(w.Use(used.item, 1))
	w.refused(w.post(path(used), nil), 400, sandbox.SentenceRefundNotPossible)
	w.ok(w.post(path(kept), nil))
	if ledger := w.Ledger(); ledger.CreditLeft != 1000_00-2*420 || !ledger.Sales[1].Refunded {
		t.Errorf("ledger %+v", ledger)
	}
	w.refused(w.post(path(kept), nil), 400, sandbox.SentenceRefundNotPossible)
	w.refused(w.post(path(other), nil), 400, sandbox.SentenceRefundNotPossible) // the limit is one refund a month
	w.refused(w.post(items+"/"+kept.item+"/activate", nil), 400, sandbox.SentenceRefunded)
	w.advance(100 * day)
	if w.started(kept.item) {
		t.Error("a refunded package started at its deadline")
	}
	w.refused(w.post("/gigastore"+path(other), nil), 404, sandbox.SentenceNotFound)
}

func TestRefundSettings(t *testing.T) {
	t.Parallel()
	for form, want := range map[sandbox.RefundPath][2]int{
		sandbox.RefundPathBare: {200, 404}, sandbox.RefundPathPrefixed: {404, 200}, sandbox.RefundPathBoth: {200, 200},
	} {
		w := open(t, func(s *sandbox.Settings) { s.RefundPath = form; s.RefundedItems = sandbox.RefundedDisappear })
		for i, prefix := range []string{"", "/gigastore"} {
			bought := w.register(sandbox.ItemWorldwide1GB, "a")
			if got := w.post(prefix+"/activations/activated-items/"+bought.item+"/refund", nil); got.status != want[i] {
				t.Errorf("%s: %s/activations gave %d", form, prefix, got.status)
			}
			if got := w.get(items + "/" + bought.item); (got.status == 404) != (want[i] == 200) {
				t.Errorf("%s: reading it gave %d", form, got.status)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.TokenLifetime = sandbox.Duration(time.Hour) })
	w.must(w.Advance(time.Hour - time.Second))
	w.ok(w.get(inventory))
	w.must(w.Reset(5, nil))
	w.ok(w.get(inventory)) // the token is still valid in the fresh world
	w.must(w.Advance(time.Hour + time.Second))
	w.refused(w.get(inventory), 401, sandbox.SentenceUnauthorized)
	w.ok(w.get("/gigastore/version"))
	w.authenticate()
	w.ok(w.get(inventory))
	for _, wrong := range []string{"", "Bearer", "Bearer " + w.token + "x", "Bearer sandbox.e30.x", "Basic YTpi"} {
		w.refused(w.do(t.Context(), http.MethodGet, inventory, nil, "Authorization", wrong), 401, sandbox.SentenceUnauthorized)
	}
	for _, wrong := range []string{"", "Basic Og==", "Basic YTo=", "Bearer x"} { // ":" and "a:"
		w.refused(w.post("/reseller/authenticate", nil, "Authorization", wrong), 401, sandbox.SentenceWrongCredentials)
	}
}

func TestTokenSettings(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.NewTokenRevokesOlder = true; s.ExpiresInShown = false })
	older := w.token
	w.authenticate()
	w.ok(w.get(inventory))
	w.token = older
	w.refused(w.get(inventory), 401, sandbox.SentenceUnauthorized)
	auth := w.post("/reseller/authenticate", nil, "Authorization", "Basic YTpi")
	if _, shown := w.ok(auth).object(t)["expiresIn"]; shown {
		t.Error("expiresIn is shown")
	}
}

func TestClockOnlyMovesForward(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	if w.Advance(-1) == nil || w.Advance(101*365*day) == nil {
		t.Error("the clock moved back or out of its range")
	}
	var mu sync.Mutex
	backwards := began
	w = serve(t, sandbox.Config{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		backwards = backwards.Add(-time.Second)
		return backwards
	}})
	if before := w.Now(); w.Now().Before(before) {
		t.Error("the clock followed its base back")
	}
}
