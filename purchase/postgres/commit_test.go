package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func newClaim() purchase.Claim {
	id := ulid.Make().String()
	return purchase.Claim{
		ID: id, Key: purchase.Key{Caller: "shop", RequestID: "order-" + id}, Account: "account-1",
		Order:      purchase.Order{Kind: purchase.Register, InventoryItemID: "inventory-1", Metatag: "m", UserCountry: "DE"},
		Personal:   purchase.Personal{CustomerEmail: "someone@example.invalid", UserIP: "203.0.113.7"}.Encode(),
		PermitLife: 10 * time.Second, Lease: time.Hour,
	}
}

func applied(id string) purchase.Transition {
	return purchase.Transition{
		Event: purchase.AnsweredApplied, Attempt: 1, By: "gateway", ItemUID: "item-" + id, CustomerUID: "customer-" + id,
		Evidence: purchase.Evidence{HTTPStatus: 200}, Sale: []byte(`{"status":"success"}`),
	}
}

// TestRowsAreNoCommit: results that have arrived do not prove a commit. In the protocol's extended mode, the
// transaction ends after the server has sent them.
func TestRowsAreNoCommit(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	pool := newPooler(t, server.URL)
	journal := open(t, pool.url, postgres.Options{Schema: server.Schema(t)})

	claim := newClaim()
	pool.lose(readyLost)
	_, err := journal.Claim(t.Context(), claim)
	if err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the end of the transaction is unknown: err = %v", err)
	}
	if p, err := journal.Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
		t.Errorf("claiming again: %s, err = %v", p.ID, err)
	}
	pool.lose(readyLost)
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID)); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the end of the transaction is unknown: err = %v", err)
	}
}

// TestCommitFails: if the server reports that the commit failed, the error is ErrNotWritten.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	kept := newClaim()
	if _, err := journal.Claim(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	execute(t, server, strings.ReplaceAll(`
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON s.purchase DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION s.refuse('refused');
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON s.purchase_outcome DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION s.refuse('refused')`, "s.", schema+"."))

	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want ErrNotWritten", err)
	}
	if _, err := journal.Get(t.Context(), claim.ID); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("the claim is there: err = %v", err)
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: kept.ID}, applied(kept.ID)); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("record: err = %v, want ErrNotWritten", err)
	}
	if p, err := journal.Get(t.Context(), kept.ID); err != nil || p.State != purchase.Sending {
		t.Errorf("state = %s, err = %v, want SENDING", p.State, err)
	}
}

// TestDatabaseClock: without an injected clock, all times come from the database, whatever this machine's clock
// says.
func TestDatabaseClock(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal := open(t, server.URL, postgres.Options{Schema: server.Schema(t)})
	databaseTime := func() (now time.Time) {
		if err := connect(t, server).QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		return now
	}

	lapsed, alive, accepted := newClaim(), newClaim(), newClaim()
	lapsed.Lease, accepted.Lease = 0, 0
	before := databaseTime()
	for _, claim := range []purchase.Claim{lapsed, alive, accepted} {
		p, err := journal.Claim(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		if p.ClaimedAt.Before(before) || p.ClaimedAt.After(databaseTime()) || p.ClaimedAt.Location() != time.UTC {
			t.Errorf("claimed at %s, after %s", p.ClaimedAt, before)
		}
		if p.SendNotAfter.Sub(p.ClaimedAt) != claim.PermitLife || p.LeaseUntil.Sub(p.ClaimedAt) != claim.Lease {
			t.Errorf("claimed at %s: send not after %s, lease until %s", p.ClaimedAt, p.SendNotAfter, p.LeaseUntil)
		}
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: accepted.ID}, purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1, By: "gateway"}); err != nil {
		t.Fatal(err)
	}
	found, err := journal.Lapsed(t.Context(), 100)
	if err != nil || len(found) != 2 || found[0].ID != lapsed.ID || found[1].ID != accepted.ID {
		t.Fatalf("lapsed: %+v, err = %v", found, err)
	}
	over := purchase.Transition{Event: purchase.TakenOver, Attempt: 1, By: "gateway", Lease: time.Hour}
	p, _, err := purchase.Record(t.Context(), journal, found[1], over)
	if err != nil || p.State != purchase.Accepted || p.LeaseUntil.Sub(p.UpdatedAt) != time.Hour || p.UpdatedAt.Before(before) {
		t.Errorf("%s updated at %s, lease until %s, err = %v", p.State, p.UpdatedAt, p.LeaseUntil, err)
	}
	if read, err := journal.Get(t.Context(), p.ID); err != nil || read != p {
		t.Errorf("read %+v, written %+v, err = %v", read, p, err)
	}
	if found, err = journal.Lapsed(t.Context(), 100); err != nil || len(found) != 1 {
		t.Errorf("lapsed after one was taken over: %+v, err = %v", found, err)
	}
}

// TestTextThatCannotBeKept: PostgreSQL's text type cannot store zero bytes or invalid UTF-8, so a key with them
// is never claimed.
func TestTextThatCannotBeKept(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal := open(t, server.URL, postgres.Options{Schema: server.Schema(t)})
	for _, text := range []string{"a\x00b", "a\xffb"} {
		claim := newClaim()
		claim.Key.RequestID = text
		if _, err := journal.Claim(t.Context(), claim); !errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("claim of %q: err = %v, want ErrNotWritten", text, err)
		}
		if _, err := journal.Lookup(t.Context(), claim.Key); !errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("lookup of %q: err = %v, want ErrNotFound", text, err)
		}
	}
}

// TestTextThatIsKept: the vendor's answer is stored byte for byte. The text of an order may contain zero bytes,
// because JSON escapes them.
func TestTextThatIsKept(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal := open(t, server.URL, postgres.Options{Schema: server.Schema(t)})
	claim := newClaim()
	claim.Order.Metatag = "a\x00b"
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	transition := applied(claim.ID)
	transition.Sale = []byte("{\"b\": 1.50,  \"a\":\"\xff\\u0000\x00\"}")
	transition.Evidence.Message, transition.Evidence.ItemUID = "x\x00y", transition.ItemUID
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: claim.ID}, transition); err != nil {
		t.Fatal(err)
	}
	if p, err := journal.Get(t.Context(), claim.ID); err != nil || p.Order != claim.Order {
		t.Errorf("order = %+v, err = %v", p.Order, err)
	}
	if secrets, err := journal.Secrets(t.Context(), claim.ID); err != nil || string(secrets.Sale) != string(transition.Sale) {
		t.Errorf("sale = %q, err = %v", secrets.Sale, err)
	}
	if entries, err := journal.History(t.Context(), claim.ID); err != nil || entries[1].Evidence != transition.Evidence {
		t.Errorf("history = %+v, err = %v", entries, err)
	}
}

// TestHistoryOfALaterVersion: an event and an actor from a later version do not hide the rest of the history.
func TestHistoryOfALaterVersion(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID)); err != nil {
		t.Fatal(err)
	}
	later := `INSERT INTO ` + schema + `.purchase_event SELECT id, 3, now(), 'SHREDDED', 1, 'STAYS', 'SUCCEEDED', false, 0, NULL, NULL, '{}', 'console' FROM ` + schema + `.purchase`
	if _, err := connect(t, server).Exec(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	entries, err := journal.History(t.Context(), claim.ID)
	if err != nil || len(entries) != 3 || entries[2].Event != purchase.UnknownEvent || entries[2].By != "console" || entries[2].State != purchase.Succeeded {
		t.Errorf("%+v, err = %v", entries, err)
	}
}
