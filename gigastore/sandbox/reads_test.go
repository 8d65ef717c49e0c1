package sandbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

// listed returns the metatags of a list of packages, in order.
func listed(t *testing.T, r reply) string {
	t.Helper()
	tags := []string{}
	for _, element := range r.array(t) {
		tags = append(tags, text(t, element, "metatag"))
	}
	return strings.Join(tags, " ")
}

// threeSales sells one package a day: a (Europe, pending), then b and c
// (worldwide).
func threeSales(w *world) {
	w.register(sandbox.ItemEurope5GB, "a", mode("FIRST_USE"))
	w.advance(day)
	w.register(sandbox.ItemWorldwide1GB, "b")
	w.advance(day)
	w.register(sandbox.ItemWorldwide50MB, "c")
}

func TestActivatedItemsList(t *testing.T) {
	t.Parallel()
	activation := func(s *sandbox.Settings) { s.ListDate = sandbox.ListDateActivation }
	for _, test := range []struct {
		name     string
		settings func(*sandbox.Settings)
		query    string
		want     string // metatags, or the sentence of a refusal
	}{
		{"newest first", nil, "", "c b a"},
		{"ascending", nil, "?sort_dir=ASC", "a b c"},
		{"by price", nil, "?sort_by=PRICE&sort_dir=ASC", "c b a"},
		{"by volume", nil, "?sort_by=VOLUME", "a b c"},
		{"by name", nil, "?sort_by=NAME&sort_dir=ASC", "a b c"},
		{"bad sort_by", nil, "?sort_by=COLOUR", "sort_by"},
		{"bad sort_dir", nil, "?sort_dir=UP", "sort_dir"},
		{"one day", nil, "?from=2026-03-02&to=2026-03-02", "b"},
		{"one day, to excluded", func(s *sandbox.Settings) { s.ListToInclusive = false }, "?from=2026-03-02&to=2026-03-03", "b"},
		{"date-times", nil, "?from=2026-03-02T12:30:15Z&to=2026-03-02T12:30:16Z", "b"},
		{"date-times with offset", nil, "?from=2026-03-02T14:30:15%2B02:00", "c b"},
		{"only dates", func(s *sandbox.Settings) { s.ListDateFormat = sandbox.DateFormatDate }, "?from=2026-03-02T12:30:15Z", "parameter from"},
		{"only date-times", func(s *sandbox.Settings) { s.ListDateFormat = sandbox.DateFormatDateTime }, "?to=2026-03-02", "parameter to"},
		{"by activation, no window", activation, "?sort_dir=ASC", "a b c"},
		{"by activation, pending is outside", activation, "?from=2026-01-01", "c b"},
		{"by activation, pending is before no date", activation, "?to=2027-01-01", "c b"},
		{"default window", func(s *sandbox.Settings) { s.ListDefaultWindow = sandbox.Duration(day + time.Hour) }, "", "c b"},
		{"default window overridden", func(s *sandbox.Settings) { s.ListDefaultWindow = sandbox.Duration(day) }, "?from=2026-01-01", "c b a"},
		{"lag", func(s *sandbox.Settings) { s.ListLag = sandbox.Duration(time.Hour) }, "", "b a"},
		{"cap", func(s *sandbox.Settings) { s.ListCap = 2 }, "", "c b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, test.settings)
			threeSales(w)
			got := w.get(items + test.query)
			if got.status != http.StatusOK {
				w.refused(got, 400, test.want)
			} else if tags := listed(t, got); tags != test.want {
				t.Errorf("listed %q, want %q", tags, test.want)
			}
		})
	}
}

func TestListWithoutOrder(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.ListSorted = false })
	for i := range 20 {
		w.register(sandbox.ItemWorldwide1GB, fmt.Sprintf("%02d", i))
	}
	tags := strings.Fields(listed(t, w.get(items+"?sort_dir=ASC")))
	if slices.IsSorted(tags) {
		t.Error("the list is sorted")
	}
	if slices.Sort(tags); len(slices.Compact(tags)) != 20 {
		t.Errorf("the list has %d different elements of 20", len(slices.Compact(tags)))
	}
}

func TestListElements(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.ListElement = sandbox.ElementNested; s.ListMetatags = false })
	bought := w.register(sandbox.ItemWorldwide1GB, "a")
	element := w.ok(w.get(items)).array(t)[0]
	if text(t, element, "activatedItem", "uid") != bought.item || text(t, element, "customer", "uid") != bought.customer {
		t.Errorf("element %v", element)
	}
	if _, shown := at(t, element, "activatedItem").(m)["metatag"]; shown {
		t.Error("the metatag is shown")
	}
}

func TestReadLag(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.ReadLag = sandbox.Duration(time.Minute) })
	bought := w.register(sandbox.ItemWorldwide1GB, "a")
	w.refused(w.get(items+"/"+bought.item), 404, sandbox.SentenceActivatedItemNotFound)
	w.refused(w.get(customers+"/"+bought.customer), 404, sandbox.SentenceCustomerNotFound)
	if got := w.ok(w.get(customers)).text; got != `{"customers":[]}` {
		t.Errorf("listed %s", got)
	}
	w.topUp(bought, sandbox.ItemWorldwide1GB, "b") // the lag only affects reads
	w.advance(time.Minute)
	w.ok(w.get(items + "/" + bought.item))
	w.ok(w.get(customers + "/" + bought.customer))
}

func TestCustomersArePaged(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	var all []string
	for i := range 5 {
		all = append(all, w.register(sandbox.ItemWorldwide1GB, fmt.Sprint(i)).customer)
	}
	page := func(query string) (uids []string) {
		for _, record := range w.ok(w.get(customers + query)).object(t)["customers"].([]any) {
			uids = append(uids, text(t, record, "customer", "uid"))
		}
		return uids
	}
	for query, want := range map[string][]string{
		"": all, "?page_size=2": all[:2], "?page_size=2&page_index=2": all[4:], "?page_size=2&page_index=3": nil,
		"?page_index=9223372036854775807&page_size=9223372036854775807": nil, "?page_size=9223372036854775807": all,
	} {
		if got := page(query); !slices.Equal(got, want) {
			t.Errorf("%s: %d customers %v", query, len(got), got)
		}
	}
	for _, query := range []string{"?page_size=0", "?page_size=-1", "?page_index=x", "?only_active_profiles=yes"} {
		w.refused(w.get(customers+query), 400, "parameter")
	}
	w.must(w.Reset(1, func() *sandbox.Settings {
		s := sandbox.DefaultSettings()
		s.MaxPageSize, s.CustomersWrap = 1, sandbox.WrapArray
		return &s
	}()))
	w.register(sandbox.ItemWorldwide1GB, "a")
	w.register(sandbox.ItemWorldwide1GB, "b")
	if got := w.ok(w.get(customers)).array(t); len(got) != 1 {
		t.Errorf("a page of %d", len(got))
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	ann := w.register(sandbox.ItemWorldwide1GB, "a", m{"customerEmail": "Ann@example.com"})
	bob := w.register(sandbox.ItemWorldwide1GB, "b", m{"customerEmail": "bob@example.com"})
	w.register(sandbox.ItemWorldwide1GB, "c") // without e-mail
	for _, test := range []struct {
		key, mode, query string
		want             []string
	}{
		{"EMAIL", "isExact", "ann@example.com", []string{ann.customer}},
		{"EMAIL", "isExact", "example.com", nil},
		{"EMAIL", "startsWith", "BOB@", []string{bob.customer}},
		{"EMAIL", "contains", "example", []string{ann.customer, bob.customer}},
		{"UID", "isExact", bob.customer, []string{bob.customer}},
		{"ICCID", "isExact", ann.iccid, []string{ann.customer}},
		{"ICCID", "startsWith", ann.iccid[:19], []string{ann.customer}},
	} {
		var got []string
		body := m{"pageSize": 50, "pageIndex": 0, "searchKey": test.key, "searchQuery": test.query, "searchMode": test.mode, "onlyActiveProfiles": false}
		for _, record := range w.ok(w.post(search, body)).object(t)["customers"].([]any) {
			got = append(got, text(t, record, "customer", "uid"))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %v", test, got)
		}
	}
	for field, body := range map[string]m{
		"searchKey":   {"searchKey": "METATAG", "searchQuery": "a", "searchMode": "isExact"},
		"searchMode":  {"searchKey": "UID", "searchQuery": "a", "searchMode": "IS_EXACT"},
		"searchQuery": {"searchKey": "UID", "searchMode": "isExact"},
		"pageSize":    {"searchKey": "UID", "searchQuery": "a", "searchMode": "isExact", "pageSize": -1},
	} {
		w.refused(w.post(search, body), 400, field)
	}
	absent := open(t, func(s *sandbox.Settings) { s.SearchNoMatch = sandbox.NoMatchAbsent })
	if got := absent.ok(absent.post(search, m{"searchKey": "UID", "searchQuery": "a", "searchMode": "isExact"})); got.text != "{}" {
		t.Errorf("no match is %s", got.text)
	}
}

func TestInactiveProfilesAreMissedByDefault(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.ActiveProfile = sandbox.InstalledProfileActive })
	bought := w.register(sandbox.ItemWorldwide1GB, "a")
	count := func(query string) int {
		return len(w.ok(w.get(customers + "/" + bought.customer + query)).object(t)["relatedEsims"].([]any))
	}
	if count("") != 0 || count("?only_active_profiles=false") != 1 {
		t.Error("by default a fresh profile is shown, or it is never shown")
	}
	w.must(w.Connect(bought.iccid, ""))
	if count("") != 1 {
		t.Error("an installed profile is not shown")
	}
}

func TestCustomerUpdate(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	bought := w.register(sandbox.ItemWorldwide1GB, "a")
	path := customers + "/" + bought.customer
	changed := w.ok(w.do(t.Context(), http.MethodPut, path, fixture(t, "update-customer-request"))).object(t)
	if got := text(t, changed, "customer", "email"); got != "traveller.new@example.com" {
		t.Errorf("e-mail %q", got)
	}
	w.refused(w.do(t.Context(), http.MethodPut, path, m{"countryOfResidence": "greece"}), 400, "countryOfResidence")
	w.refused(w.do(t.Context(), http.MethodPut, customers+"/nobody", m{}), 404, sandbox.SentenceCustomerNotFound)
}

func TestCountriesFlagConnectivityInventory(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	if got := w.ok(w.get("/gigastore/esim/countries/AT")).text; got != `[{"code":"AT","name":"AT","imageUrl":"/esim/countries/at/flag"}]` {
		t.Errorf("countries %s", got)
	}
	for _, set := range []string{"WWW", "EU"} {
		if got := w.ok(w.get("/gigastore/esim/countries/" + set)).array(t); len(got) < 20 {
			t.Errorf("%s has %d countries", set, len(got))
		}
	}
	w.refused(w.get("/gigastore/esim/countries/XX"), 404, sandbox.SentenceCountrySetNotFound)
	if flag := w.ok(w.get("/gigastore/esim/countries/at/flag")); flag.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(flag.text, "\x89PNG") {
		t.Error("the flag is not a PNG")
	}
	w.refused(w.get("/gigastore/esim/countries/xx/flag"), 404, sandbox.SentenceNotFound)
	bought := w.register(sandbox.ItemWorldwide1GB, "a")
	w.must(w.Connect(bought.iccid, "GR"))
	if got := w.ok(w.get("/gigastore/esim/" + bought.iccid + "/status/connectivity")).object(t); got["country"] != "GR" {
		t.Errorf("connectivity %v", got)
	}
	w.refused(w.get("/gigastore/esim/8900/status/connectivity"), 404, sandbox.SentenceProfileNotFound)
	w.ok(w.get(inventory + "/" + sandbox.ItemGreece2GB))
	w.refused(w.get(inventory+"/nothing"), 404, sandbox.SentenceInventoryItemNotFound)
	w.refused(w.get(inventory+"?sort_by=COLOUR"), 400, "sort_by")
	sorted := w.ok(w.get(inventory + "?sort_by=PRICE&sort_dir=DESC")).object(t)["items"].([]any)
	if text(t, sorted[0], "id") != sandbox.ItemEurope5GB {
		t.Error("the inventory is not sorted by price")
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodGet, register, 405, "POST"},
		{http.MethodDelete, customers + "/x", 405, "GET, PUT"},
		{http.MethodHead, inventory, 405, "GET"},
		{http.MethodGet, "/gigastore/esim/device/esim-capable", 404, ""},
		{http.MethodGet, "/gigastore//products/inventory", 404, ""},
		{http.MethodGet, inventory + "/", 404, ""},
		{http.MethodGet, "/", 404, ""},
		{http.MethodGet, inventory + "/..%2f..%2factivations", 404, ""},
	} {
		got := w.do(t.Context(), test.method, test.path, nil)
		if got.err != nil || got.status != test.status || got.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, Allow %q, %v", test.method, test.path, got.status, got.header.Get("Allow"), got.err)
		}
	}
	w.refused(w.post(register, order(sandbox.ItemWorldwide1GB, "a"), "Content-Type", "text/plain"), 415, sandbox.SentenceNotJSON)
	w.refused(w.get(inventory+"?x="+strings.Repeat("x", 9000)), 414, "too long")
}
