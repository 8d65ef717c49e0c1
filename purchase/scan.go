package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// salesChannelAPI is the channel of what an API client bought (docs first-package).
const salesChannelAPI = "API"

// maxWitnesses is how many purchases may vouch for one read, on either side of an attempt.
const maxWitnesses = 50

// scan is what one read of the vendor's records showed of the purchases it was asked for.
type scan struct {
	began    time.Time
	complete bool  // the whole list was read, to its end
	err      error // why not
	records  map[string][]gigastore.ActivatedItemRecord
	// asked holds the ids worth keeping; a list can be long.
	asked map[string]bool
	// older and younger are the purchases that may vouch for the read, by the id they vouch for.
	older, younger map[string][]string
	// unvouched holds the ids whose witnesses could not be looked up.
	unvouched map[string]bool
	// open are the purchases whose absence may be weighed, and unexplained the ids of those that a
	// package without any token may belong to.
	open        []Purchase
	unexplained map[string]bool
}

func newScan() *scan {
	return &scan{
		began:   time.Now(),
		records: map[string][]gigastore.ActivatedItemRecord{}, asked: map[string]bool{},
		older: map[string][]string{}, younger: map[string][]string{}, unvouched: map[string]bool{}, unexplained: map[string]bool{},
	}
}

func (s *scan) of(id string) []gigastore.ActivatedItemRecord { return s.records[id] }

// see keeps a record that bears the token of a purchase asked for.
func (s *scan) see(record gigastore.ActivatedItemRecord) {
	id, _ := SplitMetatag(record.ActivatedItem.Metatag)
	switch {
	case id == "":
		s.explain(record)
	case s.asked[id] && record.ActivatedItem.UID != "":
		s.records[id] = append(s.records[id], record)
	}
}

// salesDateSlack is how far the vendor's clock may be from ours.
const salesDateSlack = time.Hour

// explain looks for open purchases that a package without a token may have been sold for: the vendor
// may have cut or rewritten the metatag of one sale and of no other.
func (s *scan) explain(record gigastore.ActivatedItemRecord) {
	item := record.ActivatedItem
	if item.SalesChannelTypeCode != "" && item.SalesChannelTypeCode != salesChannelAPI {
		return // sold in the portal
	}
	for _, p := range s.open {
		sold, known := item.SalesDate.Time, !item.SalesDate.IsZero()
		ofThatTime := !known || sold.After(p.ClaimedAt.Add(-salesDateSlack)) && sold.Before(p.SendNotAfter.Add(salesDateSlack))
		if ofThatTime && plausible(p, record) {
			s.unexplained[p.ID] = true
		}
	}
}

// witnessed reports whether the read showed a purchase like p from before p's attempts, and one
// whose send began after p's last possible byte. What waits for its start is vouched for by what
// still waits alone: a list may be filtered by the date of the start.
func (s *scan) witnessed(p Purchase) (older, younger bool) {
	vouches := func(record gigastore.ActivatedItemRecord) bool {
		return p.Order.EffectiveMode() == gigastore.ModeNow || record.ActivatedItem.Balance.ActivatedAt.IsZero()
	}
	shows := func(ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return slices.ContainsFunc(s.records[id], vouches) })
	}
	return shows(s.older[p.ID]), shows(s.younger[p.ID])
}

// readAround reads what is near each purchase: the customer of a top-up, the customers with a
// register's e-mail. It is cheap, and can only find.
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
		r.keep(p.ID, a)
		if p.Order.Kind != Register {
			if !read[p.Order.CustomerUID] {
				read[p.Order.CustomerUID] = true
				if record, err := r.engine.vendor.Customer(ctx, p.Order.CustomerUID); err == nil {
					into.seeCustomer(*record)
				}
			}
			continue
		}
		secrets, err := r.engine.secrets(ctx, p.ID)
		if err != nil || secrets.Personal.CustomerEmail == "" || read[secrets.Personal.CustomerEmail] {
			continue
		}
		read[secrets.Personal.CustomerEmail] = true
		customers, err := r.engine.vendor.SearchCustomers(ctx, gigastore.SearchCustomersQuery{
			Key: gigastore.SearchEmail, Query: secrets.Personal.CustomerEmail, Mode: gigastore.SearchExact, PageSize: 50,
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

func (s *scan) seeCustomer(record gigastore.CustomerRecord) {
	for _, item := range record.ActivatedItems {
		s.see(gigastore.ActivatedItemRecord{ActivatedItem: item, Customer: record.Customer})
	}
}

// newestFirst is what a list is asked for. Witnesses prove that it was readable around an attempt only if what it leaves
// out is the oldest: one that is sorted by name, or begins with the oldest, could show both and not the sale between them.
var newestFirst = gigastore.ActivatedItemsQuery{SortBy: "DATE", SortDir: "DESC"}

// readList reads the whole list of activated items, for everything watched and its witnesses. A read
// that fails shows what it showed, and proves no absence.
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
			// That a former client id is of this account is an operator's word. A sale made with that id,
			// shown to the present one, proves it.
			vouching = []string{p.Account}
		}
		older, err1 := r.witnesses(ctx, p, vouching, Span{To: p.ClaimedAt})
		younger, err2 := r.witnesses(ctx, p, accounts, Span{From: r.lastByte(p)})
		if err := errors.Join(err1, err2); err != nil {
			r.engine.logger.WarnContext(ctx, "reconcile: the journal cannot be read", "error", err.Error())
			s.unvouched[p.ID] = true
			continue
		}
		// One that was under way together with p may have been sold after it.
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
	return s
}

// someIDs are those that a log line has room for.
func someIDs(purchases []Purchase) []string {
	var ids []string
	for _, p := range purchases[:min(len(purchases), 10)] {
		ids = append(ids, p.ID)
	}
	return ids
}

// witnesses lists purchases like p that were bought for one of accounts.
func (r *reconciler) witnesses(ctx context.Context, p Purchase, accounts []string, span Span) (list []Purchase, err error) {
	for _, account := range accounts {
		like := Likeness{Account: account, Kind: p.Order.Kind, Mode: string(p.Order.EffectiveMode())}
		some, failed := bounded(ctx, journalBudget, func(ctx context.Context) ([]Purchase, error) {
			return r.engine.journal.Witnesses(ctx, like, span, maxWitnesses)
		})
		if errors.Is(failed, ErrUnreadableOrder) {
			failed = nil // those are missed as witnesses, and nothing else
		}
		list, err = append(list, some...), errors.Join(err, failed)
	}
	return list, err
}

// ask has the read keep what it shows of purchases, and returns their ids.
func (s *scan) ask(purchases []Purchase) []string {
	ids := make([]string, 0, len(purchases))
	for _, p := range purchases {
		ids = append(ids, p.ID)
		s.asked[p.ID] = true
	}
	return ids
}

// plausible reports whether a record found under p's token can be what p ordered. What the vendor
// left out contradicts nothing.
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

// found is the change that a record makes to the purchase it was found for.
func found(p Purchase, limits []Price, record gigastore.ActivatedItemRecord) (Change, error) {
	sale := gigastore.Sale{Status: "success", ActivatedItem: record.ActivatedItem, Customer: record.Customer}
	if sale.Customer.UID == "" {
		sale.Customer.UID = p.Order.CustomerUID
	}
	note := ""
	switch {
	case p.Order.Kind == Register && len(record.ESIMs) == 1:
		sale.ESIMProfile = &record.ESIMs[0]
	case p.Order.Kind != TopUp:
		note = "which eSIM profile is new cannot be told from the vendor's records"
	}
	text, err := sale.Kept()
	if err != nil {
		return Change{}, err
	}
	change := Change{
		Event: Found, Attempt: p.Attempt, By: ByReconciler,
		ItemUID: sale.ActivatedItem.UID, CustomerUID: sale.Customer.UID, Sale: text,
		Evidence: Evidence{ItemUID: sale.ActivatedItem.UID, Note: note},
	}
	if excess := priceAnomaly(limits, sale.ActivatedItem); excess != "" {
		change.Anomaly, change.Evidence.Note = true, excess
	}
	return change, nil
}
