package main

import (
	"context"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
	"gigagate.internal/server"
)

// heir is a callers file that only says who inherits.
type heir string

func (heir) Identify(context.Context, access.Credentials) (*access.Principal, error) {
	return nil, access.ErrUnauthenticated
}

func (h heir) Heir() string { return string(h) }

func (heir) Budgeted() []*access.Principal { return nil }

// laterJournal has only orders of a later version.
type laterJournal struct{ purchase.Journal }

func (laterJournal) List(context.Context, purchase.Filter, purchase.Page) ([]purchase.Purchase, string, error) {
	return nil, "", purchase.ErrUnreadableOrder
}

// TestStartAfterALaterVersion: orders of a later version do not stop a gateway without callers. With callers, they are
// purchases under the key that was asked for.
func TestStartAfterALaterVersion(t *testing.T) {
	t.Parallel()
	if err := checkKeys(t.Context(), laterJournal{}, nil); err != nil {
		t.Error(err)
	}
	if err := checkKeys(t.Context(), laterJournal{}, heir("")); err == nil {
		t.Error("it starts without an heir")
	}
}

// TestStartThatWouldBuyAgain: a gateway does not start if repeated calls would miss the purchases in its journal.
func TestStartThatWouldBuyAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bought  []string // the keys of the purchases, the newest last
		callers server.Access
		problem string // empty: it starts
	}{
		"a new journal":                      {nil, nil, ""},
		"a new journal with callers":         {nil, heir(""), ""},
		"no callers, as before":              {[]string{"default"}, nil, ""},
		"callers and no heir":                {[]string{"default", "shop"}, heir(""), "no caller has inherits_default"},
		"callers that never had an heir":     {[]string{"shop", "web"}, heir(""), ""},
		"an heir":                            {[]string{"default", "web"}, heir("shop"), ""},
		"an heir that bought under its name": {[]string{"shop", "web"}, heir("shop"), "shop has inherits_default"},
		"the callers file is gone":           {[]string{"default", "web"}, nil, "--callers-file is not given"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := memory.Open(nil)
			for _, key := range test.bought {
				id := ulid.Make().String()
				if _, err := journal.Claim(t.Context(), purchase.Claim{ID: id, Key: purchase.Key{Caller: key, RequestID: "order-" + id}}); err != nil {
					t.Fatal(err)
				}
			}
			err := checkKeys(t.Context(), journal, test.callers)
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%v", err)
			}
		})
	}
}
