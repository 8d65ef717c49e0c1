// Package purchase is the life of one paid attempt: from the caller's intent, written down before
// anything is sent, to one settled outcome that every later call with the same request id is told.
//
// The one rule: a paid request is never put on the wire again unless every earlier one is known to
// have had no effect. It holds by construction (see [Next]) and does not lean on the vendor.
//
//	look up → claim → permit → send → record → answer      (Engine)
//	read the vendor's records → settle what is uncertain   (Reconciler)
//
// state.go is pure. The journals below this package keep what it decides.
package purchase
