// Package simulation proves the purchase engine: real engines and real vendor clients over a network
// in memory, a journal that fails, the sandbox as the vendor, and virtual time. Each history is
// compared with the sandbox's ledger, which is the truth. All of it is tests:
//
//	go test ./purchase/simulation                         every fault alone, pairs and histories, sampled
//	go test ./purchase/simulation -run Histories -histories 100000
//	go test ./purchase/simulation -run Histories -seed 7  one history, with its trace
//	go test ./purchase/simulation -run Pairs -all         all pairs of faults, or a number of them with -pairs
//	go run  ./purchase/simulation/sabotage                removes each safety rule and expects a test to fail
package simulation
