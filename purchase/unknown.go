package purchase

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
)

// Comparison is what the vendor's whole list of activated items shows, compared with a journal.
type Comparison struct {
	// Recognized is the number of packages in the list that purchases of the journal are bound to. If it is 0, the
	// list may be that of another account, or may be cut off, so it proves nothing.
	Recognized int
	Unknown    []UnknownSale
}

// UnknownSale is a package that was sold, but not according to the journal.
type UnknownSale struct {
	PurchaseID  string    // from the mark, or empty if the package has none
	Time        time.Time // when the purchase was made; without a mark, the vendor's date of the sale
	ItemUID     string
	CustomerUID string
	Metatag     string
}

// Records are the vendor's records, as a comparison reads them.
type Records interface {
	ActivatedItems(ctx context.Context, query gigastore.ActivatedItemsQuery) iter.Seq2[gigastore.ActivatedItemRecord, error]
}

// Known is a journal, as a comparison reads it.
type Known interface {
	// Get is that of [Journal].
	Get(ctx context.Context, id string) (Purchase, error)
	// HasItem reports whether a purchase is bound to the package.
	HasItem(ctx context.Context, itemUID string) (bool, error)
}

// Compare reads the vendor's whole list, and looks for packages that were sold but that the journal does not know.
// Each of them may have been sold after the journal was copied, and its request id would buy again. The journal
// knows a package if a purchase is bound to it, or if the mark names a purchase that is not settled or has an anomaly.
// The reconciler and operators look after those.
//
// A package without a mark may be a sale of ours whose metatag was changed. It counts if it was sold over the API
// after since, or if its date is not known. If since is zero, it does not count.
//
// An error means that the list is not complete. Then the comparison proves nothing.
func Compare(ctx context.Context, known Known, records Records, since time.Time) (Comparison, error) {
	var c Comparison
	for record, err := range records.ActivatedItems(ctx, newestFirst) {
		if err != nil {
			return c, err
		}
		item := record.ActivatedItem
		bound, err := known.HasItem(ctx, item.UID)
		if err != nil {
			return c, err
		}
		if bound {
			c.Recognized++
			continue
		}
		sale := UnknownSale{Time: item.SalesDate.Time, ItemUID: item.UID, CustomerUID: record.Customer.UID, Metatag: item.Metatag}
		if sale.PurchaseID, _ = SplitMetatag(item.Metatag); sale.PurchaseID == "" {
			ofAPI := item.SalesChannelTypeCode == "" || item.SalesChannelTypeCode == salesChannelAPI
			if !since.IsZero() && ofAPI && (sale.Time.IsZero() || sale.Time.After(since.Add(-salesDateSlack))) {
				c.Unknown = append(c.Unknown, sale)
			}
			continue
		}
		switch p, err := known.Get(ctx, sale.PurchaseID); {
		case err == nil && (!p.State.Settled() || p.Anomalies > 0):
			continue
		case err != nil && !errors.Is(err, ErrNotFound):
			return c, err
		}
		if id, err := ulid.ParseStrict(sale.PurchaseID); err == nil {
			sale.Time = ulid.Time(id.Time()).UTC()
		}
		c.Unknown = append(c.Unknown, sale)
	}
	return c, nil
}

// Doubt makes a purchase in Accepted uncertain, when its journal was restored from a backup. It was not being sent when
// the backup was made, but it may have been sent since. The vendor's records then settle it. write writes a step and
// returns the purchase after it.
func Doubt(p Purchase, write func(Step) (Purchase, error)) error {
	for _, event := range []Event{Permitted, Lost} {
		step, err := Decide(p, Transition{Event: event, Attempt: p.Attempt, By: ByGateway, Evidence: Evidence{
			Explanation: "the journal is a backup, and the purchase may have been sent after it was made",
		}})
		if err != nil {
			return err
		}
		if p, err = write(step); err != nil {
			return err
		}
	}
	return nil
}
