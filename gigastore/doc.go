// Package gigastore is a client of DENT Gigastore, the eSIM reseller API at https://api.giga.store. Start with [New],
// which makes a [Client].
//
// It knows HTTP and money. After a paid call it answers one question: did the call go through? Every failure is an
// [Error] with an [Effect]: none, refused or unknown. Counted bytes and whole answers decide the effect, never the
// text of an error.
//
// The three paid calls are [Client.Register], [Client.TopUp] and [Client.TopUpWithProfile]. Each takes a [Permit] and
// sends at most one request for it. Neither this client nor net/http nor a redirect sends the request again.
// [Client.Activate] costs nothing as far as known, but it cannot be undone, so it is not sent again either. Reads are
// tried up to three times.
//
// Little of the vendor's API is documented, so comments name the source of a fact. "docs <page>" is a page of
// docs.giga.store. "observed" is what a public client sends or reads. "assumed" is our guess, which nothing confirms.
// "dossier <section>" is a section of gigastore-api.md, the project's collection of all that is known.
//
// Requests and answers hold personal data, and secrets that install an eSIM. Their types print only what is safe,
// under every fmt verb and in slog. Two things have no such protection, so do not log them: a single field, which is
// a plain string, and a slice, which slog's JSON handler marshals.
package gigastore
