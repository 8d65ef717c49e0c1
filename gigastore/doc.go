// Package gigastore is a client of DENT Gigastore, the eSIM reseller API at https://api.giga.store.
//
// It knows HTTP, money and the one question that matters after a paid call: did it go through? Every failure is an
// [Error] that carries an [Effect]: none, refused, or unknown. The effect is decided by counted bytes and a whole answer,
// never by the text of an error.
//
// The three paid calls, [Client.Register], [Client.TopUp] and [Client.TopUpWithProfile], each take a [Permit] and put at
// most one request on the wire for it: not this client, not net/http and not a redirect sends it again.
// [Client.Activate] costs nothing but cannot be undone, and is not sent again either. Reads are tried up to three times.
//
// Little of the vendor's API is documented. Comments say where a fact comes from: "docs <page>" is a page of
// docs.giga.store, "observed" is what a public client sends or reads, "assumed" is our guess that nothing confirms, and
// "dossier <section>" is a section of gigastore-api.md, the project's collection of all that is known.
//
// Requests and answers hold personal data and secrets that install an eSIM. Their types print only what is safe under
// every fmt verb and in slog. A field by itself is a plain string, and slog's JSON handler marshals slices: log neither.
package gigastore
