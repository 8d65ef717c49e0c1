// Package sandbox is a stand-in for the DENT Gigastore eSIM reseller API: a
// stateful, deliberately nasty http.Handler for developing and testing against,
// without an account and without spending credit.
//
// It keeps a world of customers, eSIM profiles, packages and prepaid credit,
// sells from a small catalogue with fixed ids, follows the vendor's known rules
// (activation modes, the 90-day deadline, the order of several packages, one
// country set per customer) and refuses what the vendor refuses. Everything
// that no source tells about the vendor is a setting, see [Settings]; what goes
// wrong between a client and a service is a [Fault]; what truly happened,
// whatever the answers said, is the [Ledger].
//
// It does not import the client: its wire types are its own, so that a mistake
// in one shows against the other. No error text and no status of the vendor's
// is known, so those here are ours.
//
// # Use
//
//	world, err := sandbox.New(sandbox.Config{Seed: 1})
//	server := httptest.NewServer(world)
//	err = world.Inject(sandbox.Fault{Path: "/gigastore/activations/register", Fault: "commit_then_reset"})
//	// … the client buys and sees a reset connection …
//	sales := world.Ledger().Sales // and yet there is one sale
//
// Any non-empty client id and secret authenticate. Activation codes begin with
// LPA:1$sandbox.invalid$ and links with https://sandbox.invalid/, so that
// nobody takes them for real ones.
//
// # Control API
//
// It has no authentication: never let strangers reach it. Bodies and answers
// are JSON, unknown members are refused, an error is {"error": "a sentence"}.
//
//	GET    /_sandbox/ledger                                  see Ledger
//	GET    /_sandbox/settings                                see Settings
//	GET    /_sandbox/faults                                  what is still armed, and the table of faults
//	POST   /_sandbox/faults   {"path": "/gigastore/activations/register", "fault": "5xx", "count": 2, "params": {"status": 503}}
//	POST   /_sandbox/faults   {"path": "/gigastore/*", "fault": "throttle", "params": {"retryAfter": 3}}
//	DELETE /_sandbox/faults                                  disarms all
//	GET    /_sandbox/clock
//	POST   /_sandbox/clock    {"advance": "91d"}             Go durations too, "2184h"
//	POST   /_sandbox/connect  {"iccid": "8997…", "country": "GR"}   country may be left out
//	POST   /_sandbox/use      {"itemUid": "…", "bytes": 1000000}    or "iccid" for "itemUid"
//	POST   /_sandbox/reset    {"seed": 7, "settings": {"initialCredit": 10.00, "idempotencyKey": "replayed"}}
//
// # Time
//
// Sales, deadlines, tokens, retention and lags go by the sandbox's own clock,
// which only moves forward, by itself and by Advance. Latency and the delays of
// faults are waited for in real time.
package sandbox
