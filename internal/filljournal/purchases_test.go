package main

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
)

func TestFillWritesSettledPurchases(t *testing.T) {
	journal := memory.Open(nil)
	f := &filling{count: 100, parallel: 7}
	if err := f.fill(t.Context(), journal, io.Discard); err != nil {
		t.Fatal(err)
	}
	checkFilled(t, journal)
}

// checkFilled checks a journal with 100 purchases.
func checkFilled(t *testing.T, journal purchase.Journal) {
	t.Helper()
	all, _, err := journal.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, p := range all {
		if p.State == purchase.Failed {
			failed++
		} else if p.State != purchase.Succeeded {
			t.Errorf("%s is %v", p.ID, p.State)
		}
	}
	if len(all) != 100 || failed != 2 || all[98].State != purchase.Failed || all[99].State != purchase.Failed {
		t.Errorf("%d purchases, of which %d failed; the two oldest should have", len(all), failed)
	}
	secrets, err := journal.Secrets(t.Context(), all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var sold gigastore.Sale
	if err := json.Unmarshal(secrets.Sale, &sold); err != nil || sold.ActivatedItem.UID != all[0].ItemUID || sold.Customer.UID != all[0].CustomerUID {
		t.Errorf("the sale of %s is %s: %v", all[0].ItemUID, secrets.Sale, err)
	}
}

// These purchases were never made. In a journal with real ones they could not be told apart.
func TestFillRefusesAJournalWithPurchases(t *testing.T) {
	journal := memory.Open(nil)
	if err := (&filling{count: 1, parallel: 1}).fill(t.Context(), journal, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := (&filling{count: 1, parallel: 1}).fill(t.Context(), journal, io.Discard); !errors.Is(err, errNotEmpty) {
		t.Errorf("the second fill: %v", err)
	}
}
