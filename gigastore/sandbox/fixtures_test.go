package sandbox_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

// members returns the path of every member of a JSON value. All elements of an
// array share one path.
func members(value any) []string {
	paths := map[string]bool{}
	var walk func(prefix string, value any)
	walk = func(prefix string, value any) {
		switch value := value.(type) {
		case m:
			for name, inner := range value {
				paths[prefix+"/"+name] = true
				walk(prefix+"/"+name, inner)
			}
		case []any:
			for _, inner := range value {
				walk(prefix+"[]", inner)
			}
		}
	}
	walk("", value)
	return slices.Sorted(maps.Keys(paths))
}

// TestBodiesHaveTheMembersOfTheFixtures plays the fixtures' requests and
// compares the answers with the fixtures' answers.
func TestBodiesHaveTheMembersOfTheFixtures(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	same := func(name string, got reply) {
		t.Helper()
		var value any
		decode(t, w.ok(got).text, &value)
		if have, want := members(value), members(fixture(t, name)); !slices.Equal(have, want) {
			t.Errorf("%s:\nhave %q\nwant %q", name, have, want)
		}
	}
	request := func(name string, more m) m {
		body := fixture(t, name).(m)
		maps.Copy(body, more)
		return body
	}

	same("authenticate-response", w.post("/reseller/authenticate", nil, "Authorization", "Basic YTpi"))
	same("inventory-list", w.get(inventory))
	same("countries", w.get("/gigastore/esim/countries/AT"))

	now := w.post(register, request("register-request", nil))
	same("register-response-now", now)
	same("register-response-first-use", w.post(register, order(sandbox.ItemAustria3GB, "b", mode("FIRST_USE"))))
	demand := w.post(register, order(sandbox.ItemEurope5GB, "c", mode("ON_DEMAND"), m{"customerEmail": "second@example.com"}))
	same("register-response-on-demand", demand)

	customer := m{"customerUid": text(t, now.object(t), "customer", "uid")}
	// The fixture has the price of the 50 MB package.
	same("top-up-response", w.post(topUp, request("top-up-request", m{"customerUid": customer["customerUid"], "inventoryItemId": sandbox.ItemWorldwide50MB})))
	domains := w.get(customers + "/" + customer["customerUid"].(string) + "/profile-domains").object(t)["customerProfileDomains"].([]any)
	customer["customerProfileDomainId"] = text(t, domains[0], "id")
	same("top-up-with-profile-response", w.post(topUpProfile, request("top-up-with-profile-request", customer)))

	item := items + "/" + text(t, demand.object(t), "activatedItem", "uid")
	same("activated-item-get", w.get(item))
	same("activate-response", w.post(item+"/activate", nil))
	same("activated-items-list", w.get(items))
	same("customer-get", w.get(customers+"/"+customer["customerUid"].(string)))
	same("customers-list", w.get(customers))
	find := request("search-customers-request", m{"searchQuery": text(t, now.object(t), "esimProfile", "iccid")})
	same("search-customers-response", w.post(search, find))
	same("inventory-list", w.get(inventory))
	w.ok(w.do(t.Context(), http.MethodPut, inventory+"/"+sandbox.ItemWorldwide1GB, fixture(t, "inventory-item-update-request")))
}

// TestErrorShapesHaveTheMembersOfTheFixtures compares answers with the error
// fixtures, which wrap the body together with status and content type.
func TestErrorShapesHaveTheMembersOfTheFixtures(t *testing.T) {
	t.Parallel()
	for shape, name := range map[sandbox.ErrorShape]string{
		sandbox.ShapeProblem: "error-problem", sandbox.ShapeProblemWithMessage: "error-problem-with-message",
		sandbox.ShapeMessage: "error-message-only", sandbox.ShapeError: "error-error-field", sandbox.ShapeStatusWord: "error-status-not-success",
	} {
		w := open(t, func(s *sandbox.Settings) { s.ErrorShape = shape })
		got := w.post(register, m{})
		want := fixture(t, name).(m)
		if have := members(got.object(t)); !slices.Equal(have, members(want["body"])) {
			t.Errorf("%s: members %q", name, have)
		}
		if media := got.header.Get("Content-Type"); media != want["contentType"] {
			t.Errorf("%s: content type %q", name, media)
		}
	}
}

func TestTimesVaryAsTheVendorsDo(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	sold := w.ok(w.post(register, order(sandbox.ItemWorldwide1GB, "a"))).object(t)
	bought := sale{customer: text(t, sold, "customer", "uid"), iccid: text(t, sold, "esimProfile", "iccid")}
	added := w.ok(w.post(topUp, order(sandbox.ItemWorldwide50MB, "b", m{"customerUid": bought.customer}))).object(t)
	w.must(w.Connect(bought.iccid, ""))
	record := w.ok(w.get(customers + "/" + bought.customer)).object(t)
	esim := record["relatedEsims"].([]any)[0]
	for name, got := range map[string]struct{ time, want string }{
		"register activatedAt": {text(t, sold, "activatedItem", "balance", "activatedAt"), "2026-03-01T12:30:15.123Z"},
		"register salesDate":   {text(t, sold, "activatedItem", "salesDate"), "2026-03-01T12:30:15.123Z"},
		"top-up activatedAt":   {text(t, added, "activatedItem", "balance", "activatedAt"), "2026-03-01T12:30:15.12345Z"},
		"top-up expiresAt":     {text(t, added, "activatedItem", "balance", "expiresAt"), "2027-03-01T12:30:15Z"},
		"customer lastSeen":    {text(t, esim, "lastSeen"), "2026-03-01T12:30:15Z"},
		"customer activatedAt": {text(t, record["activatedItems"].([]any)[0], "balance", "activatedAt"), "2026-03-01T12:30:15Z"},
	} {
		if got.time != got.want {
			t.Errorf("%s is %s, want %s", name, got.time, got.want)
		}
	}
	if email := added["customer"].(m)["email"]; email != nil {
		t.Errorf("top-up shows the e-mail %v", email)
	}
	if available := at(t, added, "activatedItem", "balance", "availableBalance"); text(t, available, "sizeUnit") != "GB" || !strings.Contains(w.get(customers+"/"+bought.customer).text, `"sizeValue":0.05`) {
		t.Errorf("50 MB are shown as %v", available)
	}
}
