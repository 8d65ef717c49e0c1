package sandbox

import (
	"cmp"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"
)

// shown reports whether a read shows a package.
func (w *world) shown(it *item, lag Duration, t tamper) bool {
	if it.refunded && w.settings.RefundedItems == RefundedDisappear {
		return false
	}
	return w.visible(it.sold, lag, t)
}

// listItems is GET /gigastore/activations/activated-items (dossier 2.5).
func listItems(w *world, c *call) answer {
	q, sentence := w.readListQuery(c.query)
	if sentence != "" {
		return w.malformed(c, sentence)
	}
	var found []*item
	for _, it := range w.items {
		if w.shown(it, w.settings.ListLag, c.tamper) && q.contains(w.listDate(it)) {
			found = append(found, it)
		}
	}
	if w.settings.ListSorted && !c.tamper.unsorted {
		slices.SortStableFunc(found, func(a, b *item) int {
			if q.descending {
				a, b = b, a
			}
			return cmp.Or(w.compareItems(q.sortBy, a, b), a.sold.Compare(b.sold))
		})
	} else {
		w.shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	}
	if w.settings.ListCap > 0 {
		found = found[:min(len(found), w.settings.ListCap)]
	}
	if c.tamper.cut != nil {
		found = found[:min(len(found), *c.tamper.cut)]
	}
	elements := make([]any, 0, len(found))
	for _, it := range found {
		wire := w.wireItem(it, digitsOf[it.kind])
		if !w.settings.ListMetatags || c.tamper.noMetatags {
			wire.Metatag = nil
		}
		if w.settings.ListElement == ElementNested {
			elements = append(elements, map[string]any{"activatedItem": wire, "customer": w.wireCustomer(it.customer, false)})
			continue
		}
		elements = append(elements, wire)
	}
	return jsonAnswer(elements)
}

type listQuery struct {
	from, to   time.Time // zero: no limit
	toIncluded bool
	sortBy     string
	descending bool
}

// contains reports whether a date is inside the window. A zero date is inside
// only if the window has no limit.
func (q listQuery) contains(date time.Time) bool {
	if q.from.IsZero() && q.to.IsZero() {
		return true
	}
	if date.IsZero() || date.Before(q.from) {
		return false
	}
	return q.to.IsZero() || date.Before(q.to) || q.toIncluded && date.Equal(q.to)
}

func (w *world) listDate(it *item) time.Time {
	if w.settings.ListDate == ListDateActivation {
		return it.activatedAt
	}
	return it.sold
}

func (w *world) readListQuery(query url.Values) (q listQuery, sentence string) {
	q = listQuery{sortBy: cmp.Or(query.Get("sort_by"), "DATE"), toIncluded: w.settings.ListToInclusive}
	switch query.Get("sort_dir") {
	case "", "DESC": // the default is unknown; the fixtures have the newest first
		q.descending = true
	case "ASC":
	default:
		return q, "The parameter sort_dir must be ASC or DESC."
	}
	if !slices.Contains(itemSortKeys, q.sortBy) {
		return q, "The parameter sort_by has an unknown value."
	}
	var ok, wholeDay bool
	if q.from, _, ok = w.readListDate(query.Get("from")); !ok {
		return q, "The parameter from is not a date of the accepted form."
	}
	if q.to, wholeDay, ok = w.readListDate(query.Get("to")); !ok {
		return q, "The parameter to is not a date of the accepted form."
	}
	if wholeDay && q.toIncluded {
		q.to, q.toIncluded = q.to.AddDate(0, 0, 1), false
	}
	if window := time.Duration(w.settings.ListDefaultWindow); q.from.IsZero() && window > 0 {
		q.from = w.now.Add(-window)
	}
	return q, ""
}

func (w *world) readListDate(text string) (date time.Time, wholeDay, ok bool) {
	if text == "" {
		return time.Time{}, false, true
	}
	if w.settings.ListDateFormat != DateFormatDateTime {
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			return day, true, true
		}
	}
	if w.settings.ListDateFormat != DateFormatDate {
		if moment, err := time.Parse(time.RFC3339, text); err == nil {
			return moment, false, true
		}
	}
	return time.Time{}, false, false
}

var itemSortKeys = []string{"DATE", "NAME", "VOLUME", "VALIDITY", "PRICE", "RETAILPRICE", "SALESCHANNEL"}

func (w *world) compareItems(sortBy string, a, b *item) int {
	switch sortBy {
	case "DATE":
		return w.listDate(a).Compare(w.listDate(b))
	case "SALESCHANNEL":
		return 0 // all sales of the sandbox come through the API
	}
	return compareProducts(sortBy, &a.product, &b.product)
}

func compareProducts(sortBy string, a, b *product) int {
	switch sortBy {
	case "NAME":
		return cmp.Compare(a.name, b.name)
	case "VOLUME":
		return cmp.Compare(a.bytes(), b.bytes())
	case "VALIDITY":
		return cmp.Compare(a.validityDays, b.validityDays)
	case "PRICE":
		return cmp.Compare(a.purchase, b.purchase)
	case "RETAILPRICE":
		return cmp.Compare(a.retail, b.retail)
	}
	return 0
}

// shuffle gives the same order for the same seed and length.
func (w *world) shuffle(n int, swap func(i, j int)) {
	rand.New(rand.NewPCG(w.seed, uint64(n))).Shuffle(n, swap) //nolint:gosec // an order, not a secret
}

// getItem is GET /gigastore/activations/activated-items/{uid} (dossier 2.6).
func getItem(w *world, c *call) answer {
	onlyActive, bad := w.onlyActive(c.query)
	if bad != "" {
		return w.malformed(c, bad)
	}
	it := w.itemByUID[c.value("uid")]
	if it == nil || !w.shown(it, w.settings.ReadLag, c.tamper) {
		return w.refuseFor(c, "activatedItemNotFound")
	}
	wire := w.wireItem(it, digitsOf[it.kind])
	if c.tamper.noMetatags {
		wire.Metatag = nil
	}
	return jsonAnswer(wireItemRecord{
		ActivatedItem: wire,
		Customer:      w.wireCustomer(it.customer, false),
		RelatedESIMs:  w.wireESIMs(it.customer.profiles, onlyActive),
	})
}

// activateItem is POST …/activated-items/{uid}/activate (dossier 2.7).
func activateItem(w *world, c *call) answer {
	it := w.itemByUID[c.value("uid")]
	switch {
	case it == nil || it.refunded && w.settings.RefundedItems == RefundedDisappear:
		return w.refuseFor(c, "activatedItemNotFound")
	case it.refunded:
		return w.refuse(c, w.settings.Statuses.RefundNotPossible, SentenceRefunded)
	case it.started() && w.settings.ActivateAgain == ActivateAgainRefused:
		return w.refuseFor(c, "alreadyActive")
	case !it.started():
		w.start(it, w.now, CauseCall)
	}
	var activated answer
	switch w.settings.ActivateAnswer {
	case ActivateItem:
		activated = jsonAnswer(w.wireItem(it, digitsOf[KindRegister]))
	case ActivateEmptyObject:
		activated = jsonAnswer(struct{}{})
	default:
		activated = jsonAnswer(wireSale{
			Status:        "success",
			ActivatedItem: w.wireItem(it, digitsOf[KindRegister]),
			Customer:      w.wireCustomer(it.customer, false),
			ESIMProfile:   it.firstProfile().wire(),
		})
	}
	activated.committed = true
	return activated
}

// firstProfile returns the oldest eSIM that the package serves. There is always
// one, because a domain is created together with its first eSIM.
func (it *item) firstProfile() *profile {
	i := slices.IndexFunc(it.customer.profiles, func(p *profile) bool { return p.domain == it.domain })
	return it.customer.profiles[i]
}

// refundItem is POST …/activated-items/{uid}/refund (dossier 2.9).
func refundItem(w *world, c *call) answer {
	it := w.itemByUID[c.value("uid")]
	if it == nil || it.refunded && w.settings.RefundedItems == RefundedDisappear {
		return w.refuseFor(c, "activatedItemNotFound")
	}
	month := w.now.Format("2006-01")
	overLimit := w.settings.RefundMonthlyLimit > 0 && w.truth.refunds[month] >= w.settings.RefundMonthlyLimit
	untouched := it.left == it.product.bytes()
	if it.ended(w.now) || !untouched || overLimit {
		return w.refuseFor(c, "refundNotPossible")
	}
	it.refunded = true
	w.credit += it.product.purchase
	w.truth.refunds[month]++
	return answer{status: 200, committed: true} // no source describes a body
}
