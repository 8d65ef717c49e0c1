package purchase_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// listed is a list of the vendor that may break off.
type listed struct {
	records []gigastore.ActivatedItemRecord
	err     error
}

func (l listed) ActivatedItems(context.Context, gigastore.ActivatedItemsQuery) iter.Seq2[gigastore.ActivatedItemRecord, error] {
	return func(yield func(gigastore.ActivatedItemRecord, error) bool) {
		for _, record := range l.records {
			if !yield(record, nil) {
				return
			}
		}
		if l.err != nil {
			yield(gigastore.ActivatedItemRecord{}, l.err)
		}
	}
}

// kept is a journal of a few purchases, by their ids.
type kept map[string]purchase.Purchase

func (k kept) Get(_ context.Context, id string) (purchase.Purchase, error) {
	if p, ok := k[id]; ok {
		return p, nil
	}
	return purchase.Purchase{}, purchase.ErrNotFound
}

func (k kept) HasItem(_ context.Context, uid string) (bool, error) {
	for _, p := range k {
		if p.ItemUID == uid {
			return true, nil
		}
	}
	return false, nil
}

// TestCompare: a package is known if a purchase is bound to it, or if somebody looks after its purchase. Every other
// package with a mark is an unknown sale, and so may be one without a mark.
func TestCompare(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	id := func(last string) string { return "01KJKB3Q00000000000000000" + last } // made at since
	journal := kept{
		id("1"): {State: purchase.Succeeded, ItemUID: "item-1"},
		id("2"): {State: purchase.Uncertain},
		id("3"): {State: purchase.Failed},
		id("4"): {State: purchase.Failed, Anomalies: 1},
		id("5"): {State: purchase.Succeeded, ItemUID: "item-5"},
	}
	sold := func(uid, metatag string, change func(*gigastore.ActivatedItem)) gigastore.ActivatedItemRecord {
		item := gigastore.ActivatedItem{UID: uid, Metatag: metatag, SalesChannelTypeCode: "API"}
		item.SalesDate.Time = since.Add(time.Hour)
		if change != nil {
			change(&item)
		}
		return gigastore.ActivatedItemRecord{ActivatedItem: item}
	}
	list := listed{records: []gigastore.ActivatedItemRecord{
		sold("item-1", "ggANYTHING", nil),
		sold("item-2", "gg"+id("2")+" text", nil),
		sold("failed", "gg"+id("3"), nil),
		sold("contradicted", "gg"+id("4"), nil),
		sold("second", "gg"+id("5"), nil),
		sold("unknown", "gg"+id("9")+" order 9", nil),
		sold("unmarked", "order 9", nil),
		sold("undated", "", func(item *gigastore.ActivatedItem) { item.SalesDate.Time = time.Time{} }),
		sold("earlier", "order 8", func(item *gigastore.ActivatedItem) { item.SalesDate.Time = since.Add(-2 * time.Hour) }),
		sold("portal", "order 7", func(item *gigastore.ActivatedItem) { item.SalesChannelTypeCode = "PORTAL" }),
	}}
	for _, test := range []struct {
		since time.Time
		want  []string
	}{
		{since, []string{"failed", "second", "unknown", "unmarked", "undated"}},
		{time.Time{}, []string{"failed", "second", "unknown"}},
	} {
		got, err := purchase.Compare(t.Context(), journal, list, test.since)
		var uids []string
		for _, sale := range got.Unknown {
			uids = append(uids, sale.ItemUID)
			if strings.HasPrefix(sale.Metatag, "gg") && !sale.Time.Equal(since) {
				t.Errorf("%s was made at %v, want %v from its id", sale.ItemUID, sale.Time, since)
			}
		}
		if err != nil || got.Recognized != 1 || !slices.Equal(uids, test.want) {
			t.Errorf("since %v: %d recognized, unknown %q, %v; want %q", test.since, got.Recognized, uids, err, test.want)
		}
	}
	list.err = errors.New("broke off")
	if _, err := purchase.Compare(t.Context(), journal, list, since); !errors.Is(err, list.err) {
		t.Errorf("a list that broke off: err = %v", err)
	}
}
