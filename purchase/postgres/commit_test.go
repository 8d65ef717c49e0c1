package postgres_test

import (
	"context"
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
		Personal:   purchase.Personal{CustomerEmail: "someone@example.invalid", UserIP: "203.0.113.7"},
		PermitLife: 10 * time.Second, Lease: time.Hour,
	}
}

func applied(id string) purchase.Transition {
	return purchase.Transition{
		Event: purchase.AnsweredApplied, Attempt: 1, By: "gateway", ItemUID: "item-" + id, CustomerUID: "customer-" + id,
		Evidence: purchase.Evidence{HTTPStatus: 200}, Sale: []byte(`{"status":"success"}`),
	}
}

// TestRowsAreNoCommit: rows that have arrived do not prove a commit. In the protocol's extended mode, the
// transaction ends after the server has sent the rows and "INSERT 0 1".
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
	if _, _, err := journal.Record(t.Context(), claim.ID, applied(claim.ID)); err == nil || errors.Is(err, purchase.ErrNotWritten) {
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
CREATE FUNCTION s.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON s.purchase DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION s.refuse()`, "s.", schema+"."))

	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want ErrNotWritten", err)
	}
	if _, err := journal.Get(t.Context(), claim.ID); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("the claim is there: err = %v", err)
	}
	if _, _, err := journal.Record(t.Context(), kept.ID, applied(kept.ID)); !errors.Is(err, purchase.ErrNotWritten) {
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
	if _, _, err := journal.Record(t.Context(), accepted.ID, purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1, By: "gateway"}); err != nil {
		t.Fatal(err)
	}
	taken, err := journal.TakeLapsed(t.Context(), time.Hour, 100)
	if err != nil || len(taken) != 2 || taken[0].ID != lapsed.ID || taken[1].ID != accepted.ID {
		t.Fatalf("taken: %+v, err = %v", taken, err)
	}
	if p := taken[1]; p.State != purchase.Accepted || p.LeaseUntil.Sub(p.UpdatedAt) != time.Hour {
		t.Errorf("%s updated at %s, lease until %s", p.State, p.UpdatedAt, p.LeaseUntil)
	}
	if taken, err = journal.TakeLapsed(t.Context(), time.Hour, 100); err != nil || len(taken) != 0 {
		t.Errorf("taken again: %+v, err = %v", taken, err)
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
		claim = newClaim()
		claim.Personal.CustomerEmail = text
		_, err := journal.Claim(t.Context(), claim)
		if !errors.Is(err, purchase.ErrNotWritten) || strings.Contains(err.Error(), text) {
			t.Errorf("claim for the e-mail %q: err = %v, want ErrNotWritten without it", text, err)
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
	transition.Evidence.Message = "x\x00y"
	if _, _, err := journal.Record(t.Context(), claim.ID, transition); err != nil {
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

// TestTakeLapsedPassesOverRowsInWork: TakeLapsed does not wait for a row that another transaction is writing,
// and does not decide by the row's old state.
func TestTakeLapsedPassesOverRowsInWork(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	claim.Lease = 0
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	owner := connect(t, server)
	if _, err := owner.Exec(t.Context(), `BEGIN; UPDATE `+schema+`.purchase SET updated_at = now()`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if taken, err := journal.TakeLapsed(ctx, time.Hour, 100); err != nil || len(taken) != 0 {
		t.Errorf("taken: %+v, err = %v", taken, err)
	}
	if _, err := owner.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if taken, err := journal.TakeLapsed(t.Context(), time.Hour, 100); err != nil || len(taken) != 1 {
		t.Errorf("taken: %+v, err = %v", taken, err)
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
	if _, _, err := journal.Record(t.Context(), claim.ID, applied(claim.ID)); err != nil {
		t.Fatal(err)
	}
	later := `UPDATE ` + schema + `.purchase_event SET event = 'SHREDDED', by_whom = 'console' WHERE sequence = 2`
	if _, err := connect(t, server).Exec(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	entries, err := journal.History(t.Context(), claim.ID)
	if err != nil || len(entries) != 2 || entries[1].Event != purchase.UnknownEvent || entries[1].By != "console" || entries[1].State != purchase.Succeeded {
		t.Errorf("%+v, err = %v", entries, err)
	}
}

// TestPurgedTooEarly: what an operator has purged stays purged, even if the sale is recorded later.
func TestPurgedTooEarly(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	execute(t, server, `UPDATE `+schema+`.purchase_secret SET customer_email = NULL, user_ip = NULL, purged_at = now()`)
	if _, _, err := journal.Record(t.Context(), claim.ID, applied(claim.ID)); err != nil {
		t.Fatal(err)
	}
	if secrets, err := journal.Secrets(t.Context(), claim.ID); err != nil || !secrets.Purged || secrets.Sale != nil {
		t.Errorf("purged = %t, a sale of %d bytes, err = %v", secrets.Purged, len(secrets.Sale), err)
	}
}
