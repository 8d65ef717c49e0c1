// Package simulation proves the purchase engine: real engines and real vendor clients over a network
// in memory, a journal that fails, the sandbox as the vendor, and virtual time. Each history is
// compared with the sandbox's ledger, which is the truth. All of it is tests:
//
//	go test ./purchase/simulation                         every fault alone, pairs and histories, sampled
//	go test ./purchase/simulation -run Histories -histories 100000 -sqlite-histories 2000 -postgres-histories 500 -timeout 30m
//	go test ./purchase/simulation -run Histories$ -seed 7 one history; with -v -story also its trace
//	go test ./purchase/simulation -run Pairs -all -timeout 1h   all pairs of faults, or a number of them with -pairs
//	go run ./internal/sabotage                            removes each safety rule and expects a test to fail
//
// A journal in PostgreSQL is one in a server of the test's own. Its histories are played twice: in
// bubbles of virtual time, where the plans are those of the other journals and a statement takes no
// time; and in real time with settings of milliseconds, where statements meet the clock and each
// other. Each process has connections of its own, which break when it dies and lose statements and
// answers as planned.
package simulation
