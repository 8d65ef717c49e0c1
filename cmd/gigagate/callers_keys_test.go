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
