// Package sandbox is a stand-in for the DENT Gigastore eSIM reseller API. It is
// a stateful http.Handler for development and tests. It needs no account and
// spends no credit, and it misbehaves on request.
//
// It keeps a world of customers, eSIM profiles, packages and prepaid credit,
// and sells from a small catalogue with fixed ids. It follows the vendor's
// known rules: activation modes, the 90-day deadline, the order of several
// packages, one country set per customer. It refuses what the vendor refuses.
// What no source says about the vendor is a setting, see [Settings]. What goes
// wrong between a client and a service is a [Fault]. What truly happened,
// whatever the answers said, is in the [Ledger].
//
// The sandbox does not import the client. It has its own wire types, so that
// a mistake in one package shows against the other. No error text and no status
// of the vendor's is known, so those here are ours.
//
// # Use
//
//	world, err := sandbox.New(sandbox.Config{Seed: 1})
//	server := httptest.NewServer(world)
//	err = world.Inject(sandbox.Fault{Path: "/gigastore/activations/register", Fault: "commit_then_reset"})
//	// … the client buys and sees a reset connection …
//	sales := world.Ledger().Sales // and yet there is one sale
//
// Any client id and secret that are not empty authenticate. Activation codes
// start with LPA:1$sandbox.invalid$ and links with https://sandbox.invalid/, so
// that nobody takes them for real ones.
//
// # Control API
//
// The control API has no authentication: never let strangers reach it. Bodies
// and answers are JSON. Unknown members are refused. An error has the form
// {"error": "a sentence"}.
//
//	GET    /_sandbox/ledger                                  see Ledger
//	GET    /_sandbox/settings                                see Settings
//	GET    /_sandbox/faults                                  the armed faults, and the table of faults
//	POST   /_sandbox/faults   {"path": "/gigastore/activations/register", "fault": "5xx", "count": 2, "params": {"status": 503}}
//	POST   /_sandbox/faults   {"path": "/gigastore/*", "fault": "throttle", "params": {"retryAfter": 3}}
//	DELETE /_sandbox/faults                                  disarms all
//	GET    /_sandbox/clock
//	POST   /_sandbox/clock    {"advance": "91d"}             Go durations work too: "2184h"
//	POST   /_sandbox/connect  {"iccid": "8997…", "country": "GR"}   country is optional
//	POST   /_sandbox/use      {"itemUid": "…", "bytes": 1000000}    or "iccid" for "itemUid"
//	POST   /_sandbox/reset    {"seed": 7, "settings": {"initialCredit": 10.00, "idempotencyKey": "replayed"}}
//
// # Time
//
// Sales, deadlines, tokens, retention and lags follow the sandbox's own clock.
// It moves forward by itself and by Advance, and never back. Latency and the
// delays of faults are waited for in real time.
package sandbox
