// Package purchase is the life of one paid attempt. The engine records the caller's intent before it sends
// anything. The attempt ends with one settled outcome, and every later call with the same request id gets that
// outcome.
//
// The one rule: a paid request is never sent again unless every earlier send is known to have had no effect.
// The table of transitions guarantees this (see [Next]). It does not depend on the vendor.
//
//	guard → claim → permit → send → record → answer   (engine)
//	read the vendor's records → settle what is uncertain        (reconciler)
//
// Where things are:
//
//	purchase.go, state.go, transition.go what a purchase is, and what an event does to it
//	journal.go, history.go               what a journal stores
//	lifecycle.go                         how the engine starts and ends
//	buy.go, guard.go, id.go              a call: guard, claim, answer; a look-up before a guard or a refusal
//	owner.go, evidence.go                the sends of a purchase, and what an answer proves
//	record.go                            the one path that decides, writes, and wakes the waiting calls
//	reconcile.go, scan.go, settle.go     how uncertain purchases are settled from the vendor's records
//	reconciliation.go                    why a purchase is not settled yet
//	query.go, resolve.go                 reading purchases, and an operator's decision
//	retry.go                             the one retry loop
//
// state.go and transition.go are pure: they have no clock and no I/O. The journals in the sub-packages write what
// they decide.
package purchase
