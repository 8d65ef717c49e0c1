package main

import (
	"testing"

	"go.uber.org/goleak"

	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }

func TestLoadWritesSettledPurchases(t *testing.T) {
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	if err := run(t.Context(), server.URL, schema, &filling{count: 100, parallel: 1}); err != nil {
		t.Fatal(err)
	}
	journal, err := postgres.Open(t.Context(), server.URL, postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	checkFilled(t, journal)
}
