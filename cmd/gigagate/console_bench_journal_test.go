package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// What a journal has in addition to the purchases of filljournal.
const (
	consoleCallers = 60
	consoleOpen    = 300 // purchases that are not settled; there are as many new sales
	consoleFreezes = 20
	// consoleRecords is one audit record for so many purchases.
	consoleRecords = 10
	// consoleDepth is how many purchases are newer than the one that the searches look for.
	consoleDepth = 10_000
	// consoleWriters is how many write at the same time.
	consoleWriters = 64
)

// consoleKnown is what the pages and searches find.
type consoleKnown struct {
	Sold    purchase.Purchase // in the middle of the journal
	Waiting purchase.Purchase // it needs an operator
}

// consoleCaller is the name of a caller with a budget.
func consoleCaller(n int) string { return fmt.Sprintf("caller-%02d", n%consoleCallers) }

// consoleCallersFile makes the callers, and an operator with a key.
func consoleCallersFile(b *testing.B) (file, key string) {
	b.Helper()
	key, id, sum := access.NewKey()
	var text strings.Builder
	fmt.Fprintln(&text, "callers:\n  - {name: shop, inherits_default: true}")
	for n := range consoleCallers {
		_, id, sum := access.NewKey()
		fmt.Fprintf(&text, "  - name: %s\n    identities: [{key: {id: %s, sha256: %s}}]\n"+
			"    budget: {currency: USD, per_day: 1000, per_month: 20000, total: 100000}\n", consoleCaller(n), id, sum)
	}
	fmt.Fprintf(&text, "operators:\n  - name: anna\n    identities: [{key: {id: %s, sha256: %s}}]\n    may: [read, resolve, freeze, audit, secrets]\n", id, sum)
	return writeFile(b, text.String()), key
}

// addMore writes into the filled journal what a console meets: purchases that are open, sales that count on budgets, freezes and
// audit records.
func (j *consoleJournal) addMore(b *testing.B) consoleKnown {
	b.Helper()
	journal, err := j.open()
	if err != nil {
		b.Fatal(err)
	}
	known := consoleKnown{}
	var group errgroup.Group
	group.SetLimit(consoleWriters)
	for n := range 2 * consoleOpen {
		group.Go(func() error {
			p, err := consolePurchase(b, journal, n)
			if n == 0 {
				known.Waiting = p
			}
			return err
		})
	}
	for n := range consoleFreezes {
		group.Go(func() error {
			_, err := journal.Freeze(b.Context(), purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: fmt.Sprintf("item-%d", n)}, consoleRecord(n))
			return err
		})
	}
	for n := range *consolePurchases / consoleRecords {
		group.Go(func() error {
			_, err := journal.Audit(b.Context(), consoleRecord(n))
			return err
		})
	}
	err = group.Wait()
	depth := time.Duration(min(*consolePurchases/2, consoleDepth)) * time.Second // there is one purchase in each second
	found, _, listErr := journal.List(b.Context(), purchase.Filter{
		States: []purchase.State{purchase.Succeeded}, To: time.Now().Add(-depth),
	}, purchase.Page{Size: 1})
	if err := errors.Join(err, listErr, journal.Close()); err != nil {
		b.Fatal(err)
	}
	if len(found) == 0 {
		b.Fatal("the journal has no sale in its middle")
	}
	known.Sold = found[0]
	return known
}

// consoleRecord is an audit record.
func consoleRecord(n int) purchase.AuditRecord {
	return purchase.AuditRecord{
		ID: ulid.Make().String(), Actor: "anna", ActorKind: purchase.ActorOperator, Action: purchase.AuditReadSecrets,
		Outcome: purchase.AuditDone, Caller: consoleCaller(n), PurchaseID: ulid.Make().String(), Reason: fmt.Sprintf("ticket %d", n),
	}
}

// consolePurchase writes a purchase of a caller with a budget. The first ones are open, and of these every fifth needs an
// operator. They were bought with another client id, so the gateway does not settle them.
func consolePurchase(b *testing.B, journal purchase.Journal, n int) (purchase.Purchase, error) {
	b.Helper()
	const day = 24 * time.Hour
	price, err := gigastore.ParseDecimal("9.99")
	if err != nil {
		return purchase.Purchase{}, err
	}
	limit := purchase.Micros(1000_000_000)
	claim := purchase.Claim{
		ID: ulid.Make().String(), Key: purchase.Key{Caller: consoleCaller(n), RequestID: rand.Text()}, Account: "another",
		Order: purchase.Order{
			Kind: purchase.Register, InventoryItemID: sandbox.ItemWorldwide1GB, Metatag: fmt.Sprintf("new order %d", n), UserCountry: "GR",
			ActivationMode: gigastore.ModeNow, ExpectedPrice: &purchase.Price{Amount: price, Currency: "USD"},
		},
		Personal: purchase.Personal{CustomerEmail: "traveller@example.com", UserIP: "203.0.113.24"}.Encode(),
		Budget:   &purchase.Budget{Currency: "USD", Day: &limit}, Amount: 9_990_000, PermitLife: day, Lease: day,
	}
	rand.Read(claim.Origin.TraceID[:])
	rand.Read(claim.Origin.SpanID[:])
	p, err := journal.Claim(b.Context(), claim)
	step := func(event purchase.Event, change func(*purchase.Transition)) {
		if err != nil {
			return
		}
		transition := purchase.Transition{
			Event: event, Attempt: 1, By: purchase.ByGateway, Lease: day,
			Evidence: purchase.Evidence{BytesWritten: 900, HTTPStatus: 502, Message: "bad gateway", Explanation: "The answer does not say whether the package was sold."},
		}
		if change != nil {
			change(&transition)
		}
		p, _, err = purchase.Record(b.Context(), journal, p, transition)
	}
	switch {
	case n >= consoleOpen:
		step(purchase.AnsweredApplied, func(t *purchase.Transition) {
			t.ItemUID, t.CustomerUID, t.SuccessSeen = "item of "+p.ID, "customer of "+p.ID, true
			t.Sale, t.Paid = []byte("{}"), &gigastore.Price{Value: price, Currency: "USD"}
			t.Anomaly = n%10 == 0 // so that the page Needs you shows some
		})
	case n%5 == 0:
		step(purchase.AnsweredUnknown, nil)
		step(purchase.BeyondEvidence, func(t *purchase.Transition) { t.Reason = purchase.SeveralFound })
	case n%5 == 1:
		step(purchase.AnsweredNoEffect, nil)
	case n%5 == 2:
	default:
		step(purchase.AnsweredUnknown, nil)
	}
	return p, err
}
