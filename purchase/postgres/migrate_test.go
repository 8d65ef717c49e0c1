package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestMigrateTogether: replicas that start at the same moment on an empty database all come up, and the schema
// is created once. The test also connects directly, because behind a pooler every statement sees fresh
// catalogs. A direct session may see stale ones.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	pool := newPooler(t, server.URL)
	t.Run("through a pooler", func(t *testing.T) { migrateTogether(t, pool.url, server.Schema(t), 12) })
	for i := range 10 {
		t.Run(fmt.Sprintf("directly, %d", i), func(t *testing.T) { migrateTogether(t, server.URL, server.Schema(t), 6) })
	}
}

func migrateTogether(t *testing.T, url, schema string, replicas int) {
	t.Helper()
	var started sync.WaitGroup
	journals, errs := make([]*postgres.Journal, replicas), make([]error, replicas)
	for i := range replicas {
		started.Go(func() {
			journals[i], errs[i] = postgres.Open(t.Context(), url+"&pool_max_conns=2", postgres.Options{Schema: schema})
		})
	}
	started.Wait()
	for i := range replicas {
		if errs[i] != nil {
			t.Error(errs[i])
			continue
		}
		claim := newClaim()
		if p, err := journals[i].Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
			t.Errorf("claim %s: %s, err = %v", claim.ID, p.ID, err)
		}
		if err := journals[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNewerSchema: releases can be deployed in any order. A binary works on a newer schema unless the schema
// says that it needs a newer binary.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	open(t, server.URL, postgres.Options{Schema: schema})

	execute(t, server, `INSERT INTO `+schema+`.schema_version VALUES (98, 1, now())`)
	execute(t, server, `ALTER TABLE `+schema+`.purchase ADD COLUMN of_a_later_version text`)
	journal := open(t, server.URL, postgres.Options{Schema: schema})
	claim := newClaim()
	if p, err := journal.Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
		t.Errorf("claim %s: %s, err = %v", claim.ID, p.ID, err)
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID)); err != nil {
		t.Error(err)
	}

	execute(t, server, `INSERT INTO `+schema+`.schema_version VALUES (99, 99, now())`)
	if _, err := postgres.Open(t.Context(), server.URL, postgres.Options{Schema: schema}); err == nil || !strings.Contains(err.Error(), "needs a binary that knows version 99") {
		t.Errorf("err = %v", err)
	}
	// A journal that is already open keeps working while the new release starts.
	if _, err := journal.Get(t.Context(), claim.ID); err != nil {
		t.Error(err)
	}
}

// TestLeastPrivileges: once the schema exists, the gateway's role needs no right to change the schema, or to
// delete rows of another table than purchase_open.
func TestLeastPrivileges(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	if !server.Private() {
		t.Skip("the test creates a role, so it needs a private server")
	}
	schema := server.Schema(t)
	open(t, server.URL, postgres.Options{Schema: schema})
	role := "writer_" + schema
	execute(t, server, strings.NewReplacer("SCHEMA s", "SCHEMA "+schema, "s.purchase", schema+".purchase", "writer", role).Replace(`
CREATE ROLE writer LOGIN;
GRANT USAGE ON SCHEMA s TO writer;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA s TO writer;
GRANT DELETE ON s.purchase_open, s.purchase_secret, s.purchase_freeze TO writer`))
	asWriter, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	asWriter.User = url.User(role)
	journal := open(t, asWriter.String(), postgres.Options{Schema: schema})
	claim := newClaim()
	if _, err := journal.Claim(t.Context(), claim); err != nil {
		t.Error(err)
	}
	if _, verdict, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID)); err != nil || verdict != purchase.Moves {
		t.Errorf("verdict = %s, err = %v", verdict, err)
	}
	if err := journal.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := postgres.Open(t.Context(), asWriter.String(), postgres.Options{Schema: schema + "_other"}); err == nil || errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("a schema that the role may not create: err = %v", err)
	}
}
