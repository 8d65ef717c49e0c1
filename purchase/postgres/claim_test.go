package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestKeyThatIsBeingClaimed: another session has inserted the key and has not committed. The claim must not promise that
// nothing was written, because the caller would be told that there is nothing under the key.
func TestKeyThatIsBeingClaimed(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	other := connect(t, server)
	if _, err := other.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), `INSERT INTO `+schema+`.purchase (id, caller, request_id, account, claimed_at, order_json)
		VALUES ('other', $1, $2, 'account', now(), '{}')`, claim.Key.Caller, claim.Key.RequestID); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Claim(t.Context(), claim); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("a claim beside another one: err = %v, want one that promises nothing", err)
	}
}

// TestClaimOfAnEarlierTry: a try finds the purchase that an earlier try wrote. It counts only after one more write is
// durable, because the earlier commit may still wait for a synchronous standby.
func TestClaimOfAnEarlierTry(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if p, err := journal.Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
		t.Errorf("the second try: %s, err = %v", p.ID, err)
	}
	other := connect(t, server)
	if _, err := other.Exec(t.Context(), `BEGIN; LOCK TABLE `+schema+`.journal_probe`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := journal.Claim(ctx, claim); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("a try that cannot write: err = %v, want one that promises nothing", err)
	}
}

// TestFreezeWaitsForClaims: another session has claimed and has not committed. The freeze must wait for it, because the
// purchase would otherwise be sold after the freeze was reported as done. Reading the table holds nobody up.
func TestFreezeWaitsForClaims(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	reader, claimer := connect(t, server), connect(t, server)
	if _, err := reader.Exec(t.Context(), `BEGIN; SELECT * FROM `+schema+`.purchase_freeze`); err != nil {
		t.Fatal(err)
	}
	const none = `ARRAY[]::text[]`
	if _, err := claimer.Exec(t.Context(), `BEGIN; SELECT * FROM `+schema+`.claim(NULL, `+strings.Repeat(none+`, `, 6)+
		`ARRAY[]::bytea[], ARRAY[]::interval[], ARRAY[]::interval[], ARRAY[]::bytea[], `+none+`, ARRAY[]::bigint[], `+none+strings.Repeat(`, ARRAY[]::bigint[]`, 3)+`)`); err != nil {
		t.Fatal(err)
	}
	frozen := make(chan error, 1)
	go func() {
		_, err := journal.Freeze(context.WithoutCancel(t.Context()), purchase.FreezeTarget{Scope: purchase.FreezeAll}, purchase.AuditRecord{ID: "1"})
		frozen <- err
	}()
	for waits := false; !waits; { // until the server says that the freeze waits for its lock
		if err := connect(t, server).QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks
			WHERE relation = '`+schema+`.purchase_freeze'::regclass AND mode = 'ExclusiveLock' AND NOT granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-frozen:
			t.Fatalf("the freeze did not wait for the claim: %v", err)
		default:
		}
	}
	if _, err := claimer.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-frozen; err != nil {
		t.Error(err)
	}
}
