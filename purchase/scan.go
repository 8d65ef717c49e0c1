package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// salesChannelAPI is the sales channel of packages that an API client bought (docs first-package).
const salesChannelAPI = "API"

// maxWitnesses is how many purchases before an attempt, and how many after it, may be witnesses for one read.
const maxWitnesses = 50

// scan is what one read of the vendor's records showed about the purchases it looked for.
type scan struct {
	began    time.Time
	complete bool  // the whole list was read to its end
	err      error // why it is not complete
	records  map[string][]gigastore.ActivatedItemRecord
	// asked holds the ids whose records are kept. The list can be long.
	asked map[string]bool
	// older and younger hold the ids of the witnesses, by the id of the purchase they are witnesses for.
	older, younger map[string][]string
	// unvouched holds the ids whose witnesses could not be looked up.
	unvouched map[string]bool
	// open are the purchases whose absence may be evaluated. unexplained holds the ids of those that may have
	// bought a package without a mark.
	open        []Purchase
	unexplained map[string]bool
}

// newScan returns an empty scan that starts now.
func newScan() *scan {
	return &scan{
		began:   time.Now(),
		records: map[string][]gigastore.ActivatedItemRecord{}, asked: map[string]bool{},
		older: map[string][]string{}, younger: map[string][]string{}, unvouched: map[string]bool{}, unexplained: map[string]bool{},
	}
}

// of returns the records that were found for a purchase.
func (s *scan) of(id string) []gigastore.ActivatedItemRecord { return s.records[id] }

// see keeps a record with the mark of a purchase that the scan looks for.
func (s *scan) see(record gigastore.ActivatedItemRecord) {
	id, _ := SplitMetatag(record.ActivatedItem.Metatag)
	switch {
	case id == "":
		s.suspect(record)
	case s.asked[id] && record.ActivatedItem.UID != "":
		s.records[id] = append(s.records[id], record)
	}
}

// salesDateSlack is how much the vendor's clock may differ from ours.
const salesDateSlack = time.Hour

// suspect collects the open purchases that may have bought a package without a mark. The vendor may have cut or
// rewritten the metatag of just one sale.
func (s *scan) suspect(record gigastore.ActivatedItemRecord) {
	item := record.ActivatedItem
	if item.SalesChannelTypeCode != "" && item.SalesChannelTypeCode != salesChannelAPI {
		return // it was sold in the portal
	}
	for _, p := range s.open {
		sold, known := item.SalesDate.Time, !item.SalesDate.IsZero()
		ofThatTime := !known || sold.After(p.ClaimedAt.Add(-salesDateSlack)) && sold.Before(p.SendNotAfter.Add(salesDateSlack))
		if ofThatTime && plausible(p, record) {
			s.unexplained[p.ID] = true
		}
	}
}

// witnessed reports whether the read showed witnesses for p: one purchase from before p's attempts, and one
// whose send began after p's last possible byte. Only a package that has not started can be the witness for one
// that has not started, because the list may be filtered by start date.
func (s *scan) witnessed(p Purchase) (older, younger bool) {
	vouches := func(record gigastore.ActivatedItemRecord) bool {
		return p.Order.EffectiveMode() == gigastore.ModeNow || record.ActivatedItem.Balance.ActivatedAt.IsZero()
	}
	shows := func(ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return slices.ContainsFunc(s.records[id], vouches) })
	}
	return shows(s.older[p.ID]), shows(s.younger[p.ID])
}

// readAround reads the records near each purchase: the customer of a top-up, or the customers with a register's
// e-mail address. It is cheap. It can find a package, but it proves no absence.
func (r *reconciler) readAround(ctx context.Context, near []Purchase) *scan {
	ctx, cancel := context.WithTimeout(ctx, aroundBudget)
	defer cancel()
	into := newScan()
	for _, p := range near {
		into.asked[p.ID] = true
	}
	read := map[string]bool{}
	for _, p := range near {
		if ctx.Err() != nil {
			break
		}
		a := r.absences[p.ID]
		a.around = time.Now()
		r.setAbsence(p.ID, a)
		if p.Order.Kind != Register {
			if !read[p.Order.CustomerUID] {
				read[p.Order.CustomerUID] = true
				if record, err := r.engine.vendor.Customer(ctx, p.Order.CustomerUID); err == nil {
					into.seeCustomer(*record)
				}
			}
			continue
		}
		known, err := r.engine.details(ctx, p.ID)
		email := known.personal.CustomerEmail
		if err != nil || email == "" || read[email] {
			continue
		}
		read[email] = true
		customers, err := r.engine.vendor.SearchCustomers(ctx, gigastore.SearchCustomersQuery{
			Key: gigastore.SearchEmail, Query: email, Mode: gigastore.SearchExact, PageSize: 50,
		})
		if err != nil {
			continue
		}
		for _, customer := range customers {
			into.seeCustomer(customer)
		}
	}
	return into
}

// seeCustomer keeps the packages of a customer.
func (s *scan) seeCustomer(record gigastore.CustomerRecord) {
	for _, item := range record.ActivatedItems {
		s.see(gigastore.ActivatedItemRecord{ActivatedItem: item, Customer: record.Customer})
	}
}

// newestFirst is the order of the list. Witnesses prove that a list is readable around an attempt only if a
// list that is cut off lacks the oldest entries. A list in another order could show both witnesses and lack the
// sale between them.
var newestFirst = gigastore.ActivatedItemsQuery{SortBy: "DATE", SortDir: "DESC"}

// readList reads the vendor's whole list of activated items. It looks for all watched purchases and their
// witnesses. If the read fails, what it found still counts, but it proves no absence.
func (r *reconciler) readList(ctx context.Context, watched, open []Purchase) *scan {
	s := newScan()
	s.open = open
	for _, p := range watched {
		s.asked[p.ID] = true
	}
	for _, p := range open {
		accounts := r.engine.vendor.Accounts()
		vouching := accounts
		if p.Account != accounts[0] {
			// An operator says that a former client id belongs to this account. A sale with that id that the
			// present one can read proves it.
			vouching = []string{p.Account}
		}
		older, err1 := r.witnesses(ctx, p, vouching, Span{To: p.ClaimedAt})
		younger, err2 := r.witnesses(ctx, p, accounts, Span{From: r.lastByte(p)})
		if err := errors.Join(err1, err2); err != nil {
			r.engine.logger.WarnContext(ctx, "reconcile: the journal cannot be read", "error", err.Error())
			s.unvouched[p.ID] = true
			continue
		}
		// A purchase that was under way at the same time may have been sold after p.
		older = slices.DeleteFunc(older, func(w Purchase) bool { return w.SettledAt.After(p.ClaimedAt) })
		s.older[p.ID], s.younger[p.ID] = s.ask(older), s.ask(younger)
	}
	s.began = time.Now()
	for record, err := range r.engine.vendor.ActivatedItems(ctx, newestFirst) {
		if err != nil {
			r.failedScans++
			s.err = err
			r.engine.logger.WarnContext(ctx, "reconcile: the vendor's list cannot be read",
				"error", err.Error(), "times", r.failedScans, "open", len(open), "purchase_ids", someIDs(open))
			return s
		}
		s.see(record)
	}
	s.complete = true
	r.failedScans = 0
	r.lastComplete = s.began
	r.engine.instruments.scanned(ctx, s.began)
	return s
}

// someIDs returns as many ids as a log line has room for.
func someIDs(purchases []Purchase) []string {
	var ids []string
	for _, p := range purchases[:min(len(purchases), 10)] {
		ids = append(ids, p.ID)
	}
	return ids
}

// witnesses returns purchases like p that were bought for one of the accounts.
func (r *reconciler) witnesses(ctx context.Context, p Purchase, accounts []string, span Span) (list []Purchase, err error) {
	for _, account := range accounts {
		like := Likeness{Account: account, Kind: p.Order.Kind, Mode: string(p.Order.EffectiveMode())}
		some, failed := bounded(ctx, journalBudget, func(ctx context.Context) ([]Purchase, error) {
			return r.engine.journal.Witnesses(ctx, like, span, maxWitnesses)
		})
		if errors.Is(failed, ErrUnreadableOrder) {
			failed = nil // without those there are fewer witnesses, which is safe
		}
		list, err = append(list, some...), errors.Join(err, failed)
	}
	return list, err
}

// ask makes the scan keep the records of purchases. It returns their ids.
func (s *scan) ask(purchases []Purchase) []string {
	ids := make([]string, 0, len(purchases))
	for _, p := range purchases {
		ids = append(ids, p.ID)
		s.asked[p.ID] = true
	}
	return ids
}

// plausible reports whether a record with p's mark can be what p ordered. Fields that the vendor left out do
// not count against it.
func plausible(p Purchase, record gigastore.ActivatedItemRecord) bool {
	item, order := record.ActivatedItem, p.Order
	if mode := item.Balance.ActivationMode; mode != "" && mode != order.EffectiveMode() {
		return false
	}
	if order.CustomerUID != "" && record.Customer.UID != "" && record.Customer.UID != order.CustomerUID {
		return false
	}
	if want, got := order.ExpectedPrice, item.RetailPrice; want != nil && got != nil {
		return want.Currency == got.Currency && want.Amount.Equal(got.Value)
	}
	return true
}

// found returns the transition that a record makes to the purchase it belongs to.
func (e *Engine) found(p Purchase, record gigastore.ActivatedItemRecord) (Transition, error) {
	sale := gigastore.Sale{Status: "success", ActivatedItem: record.ActivatedItem, Customer: record.Customer}
	if sale.Customer.UID == "" {
		sale.Customer.UID = p.Order.CustomerUID
	}
	note := ""
	switch {
	case p.Order.Kind == Register && len(record.ESIMs) == 1:
		sale.ESIMProfile = &record.ESIMs[0]
	case p.Order.Kind != TopUp:
		note = "the vendor's records do not show which eSIM profile is new"
	}
	text, err := sale.Kept()
	if err != nil {
		return Transition{}, err
	}
	transition := Transition{
		Event: Found, Attempt: p.Attempt, By: ByReconciler,
		ItemUID: sale.ActivatedItem.UID, CustomerUID: sale.Customer.UID, Sale: text, Paid: sale.ActivatedItem.PurchasePrice, Aliases: e.aliases(&p),
		Evidence: Evidence{ItemUID: sale.ActivatedItem.UID, Explanation: note},
	}
	if excess := priceAnomaly(e.priceLimits(p.Order, p.Reservation), sale.ActivatedItem); excess != "" {
		transition.Anomaly, transition.Evidence.Explanation = true, excess
	}
	return transition, nil
}
