package sandbox

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (w *world) newCustomer(o order, countrySet string) *customer {
	cu := &customer{
		uid: w.newUID("customer"), email: o.email, countrySet: countrySet,
		registered: w.now, domains: []string{w.newUID("domain")},
	}
	w.customers = append(w.customers, cu)
	w.byUID[cu.uid] = cu
	return cu
}

func (cu *customer) hasDomain(id string) bool { return slices.Contains(cu.domains, id) }

// customerToReuse finds the customer to whom a register with a known e-mail
// belongs. It returns nil if the setting asks for a new customer.
func (w *world) customerToReuse(email, countrySet string) *customer {
	if email == "" || w.settings.SecondRegister == SecondRegisterNewCustomer {
		return nil
	}
	for _, cu := range w.customers {
		fits := w.settings.SecondRegister == SecondRegisterRefused || cu.countrySet == countrySet
		if fits && strings.EqualFold(cu.email, email) {
			return cu
		}
	}
	return nil
}

// listCustomers is GET /gigastore/activations/customers (dossier 2.10).
func listCustomers(w *world, c *call) answer {
	size, index, sentence := pageOf(c.query)
	onlyActive, bad := w.onlyActive(c.query)
	if sentence = cmp.Or(sentence, bad); sentence != "" {
		return w.malformed(c, sentence)
	}
	records := w.page(w.customers, size, index, onlyActive, c)
	if w.settings.CustomersWrap == WrapArray {
		return jsonAnswer(records)
	}
	return jsonAnswer(map[string]any{"customers": records})
}

// searchCustomers is POST /gigastore/activations/search-customers (dossier 2.13).
func searchCustomers(w *world, c *call) answer {
	b := newBody(c.body)
	size, index := b.index("pageSize", defaultPageSize), b.index("pageIndex", 0)
	key, query, mode := b.requiredText("searchKey"), b.requiredText("searchQuery"), b.requiredText("searchMode")
	onlyActive := b.flag("onlyActiveProfiles", w.settings.OnlyActiveProfilesDefault)
	b.end(w.settings.UnknownMembers)
	values, ok := searchKeys[key]
	if !ok {
		b.fail("The field searchKey must be one of EMAIL, UID, ICCID.")
	}
	matches, ok := searchModes[mode]
	if !ok {
		b.fail("The field searchMode must be one of isExact, startsWith, contains.")
	}
	if size == 0 {
		b.fail("The field pageSize must be at least 1.")
	}
	if b.sentence != "" {
		return w.malformed(c, b.sentence)
	}
	var found []*customer
	for _, cu := range w.customers {
		if slices.ContainsFunc(values(cu), func(value string) bool { return matches(value, query) }) {
			found = append(found, cu)
		}
	}
	records := w.page(found, size, index, onlyActive, c)
	if len(records) == 0 && w.settings.SearchNoMatch == NoMatchAbsent {
		return jsonAnswer(struct{}{})
	}
	return jsonAnswer(map[string]any{"customers": records})
}

var searchKeys = map[string]func(*customer) []string{
	"EMAIL": func(cu *customer) []string { return []string{strings.ToLower(cu.email)} },
	"UID":   func(cu *customer) []string { return []string{cu.uid} },
	"ICCID": func(cu *customer) []string {
		var iccids []string
		for _, p := range cu.profiles {
			iccids = append(iccids, p.iccid)
		}
		return iccids
	},
}

// The modes ignore case: the keys are e-mails, hexadecimal uids and digits.
var searchModes = map[string]func(value, query string) bool{
	"isExact":    strings.EqualFold,
	"startsWith": func(value, query string) bool { return strings.HasPrefix(value, strings.ToLower(query)) },
	"contains":   func(value, query string) bool { return strings.Contains(value, strings.ToLower(query)) },
}

const defaultPageSize = 50

func pageOf(query url.Values) (size, index int, sentence string) {
	size = defaultPageSize
	for name, target := range map[string]*int{"page_size": &size, "page_index": &index} {
		if !query.Has(name) {
			continue
		}
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || n < 0 || n == 0 && name == "page_size" {
			return 0, 0, "The parameter " + name + " is not a valid number."
		}
		*target = n
	}
	return size, index, ""
}

func (w *world) onlyActive(query url.Values) (onlyActive bool, sentence string) {
	switch query.Get("only_active_profiles") {
	case "":
		return w.settings.OnlyActiveProfilesDefault, ""
	case "true":
		return true, ""
	case "false":
		return false, ""
	}
	return false, "The parameter only_active_profiles must be true or false."
}

// page returns one page of the customers that are visible.
func (w *world) page(all []*customer, size, index int, onlyActive bool, c *call) []wireCustomerRecord {
	visible := slices.Clone(all)
	visible = slices.DeleteFunc(visible, func(cu *customer) bool { return !w.visible(cu.registered, w.settings.ReadLag, c.tamper) })
	if c.tamper.unsorted {
		w.shuffle(len(visible), func(i, j int) { visible[i], visible[j] = visible[j], visible[i] })
	}
	if w.settings.MaxPageSize > 0 {
		size = min(size, w.settings.MaxPageSize)
	}
	from := len(visible)
	if index <= len(visible)/size { // checked first, because the product could overflow
		from = min(index*size, len(visible))
	}
	visible = visible[from:min(from+min(size, len(visible)), len(visible))]
	if c.tamper.cut != nil {
		visible = visible[:min(len(visible), *c.tamper.cut)]
	}
	records := make([]wireCustomerRecord, 0, len(visible))
	for _, cu := range visible {
		records = append(records, w.wireRecord(cu, onlyActive, c.tamper))
	}
	return records
}

// visible reports whether a read already shows what was created at since.
func (w *world) visible(since time.Time, lag Duration, t tamper) bool {
	if t.lag != nil {
		lag = *t.lag
	}
	return w.now.Sub(since) >= time.Duration(lag)
}

func (w *world) readableCustomer(c *call) *customer {
	cu := w.byUID[c.value("uid")]
	if cu == nil || !w.visible(cu.registered, w.settings.ReadLag, c.tamper) {
		return nil
	}
	return cu
}

// getCustomer is GET /gigastore/activations/customers/{uid} (dossier 2.11).
func getCustomer(w *world, c *call) answer {
	onlyActive, bad := w.onlyActive(c.query)
	if bad != "" {
		return w.malformed(c, bad)
	}
	cu := w.readableCustomer(c)
	if cu == nil {
		return w.refuseFor(c, "customerNotFound")
	}
	return jsonAnswer(w.wireRecord(cu, onlyActive, c.tamper))
}

// putCustomer is PUT /gigastore/activations/customers/{uid} (dossier 2.12). It
// changes only the fields that are given, and answers with the record. Both are
// assumed.
func putCustomer(w *world, c *call) answer {
	b := newBody(c.body)
	email, country := b.text("customerEmail"), b.text("countryOfResidence")
	b.end(w.settings.UnknownMembers)
	if email != "" && !looksLikeEmail(email) {
		b.fail("The field customerEmail must be an email address.")
	}
	if country != "" && !isCountryCode(country) {
		b.fail("The field countryOfResidence must be a country code of two letters.")
	}
	if b.sentence != "" {
		return w.malformed(c, b.sentence)
	}
	cu := w.byUID[c.value("uid")]
	if cu == nil {
		return w.refuseFor(c, "customerNotFound")
	}
	if email != "" {
		cu.email = email
	}
	changed := jsonAnswer(w.wireRecord(cu, false, c.tamper))
	changed.committed = true
	return changed
}

// listProfileDomains is GET …/customers/{uid}/profile-domains (dossier 2.13a).
// Every member of the answer is assumed.
func listProfileDomains(w *world, c *call) answer {
	cu := w.readableCustomer(c)
	if cu == nil {
		return w.refuseFor(c, "customerNotFound")
	}
	type domain struct {
		ID     string   `json:"id"`
		ICCIDs []string `json:"iccids"`
	}
	domains := []domain{}
	for _, id := range cu.domains {
		d := domain{id, []string{}}
		for _, p := range cu.profiles {
			if p.domain == id {
				d.ICCIDs = append(d.ICCIDs, p.iccid)
			}
		}
		domains = append(domains, d)
	}
	return jsonAnswer(map[string]any{"customerProfileDomains": domains})
}
