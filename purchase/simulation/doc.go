// Package simulation tests the purchase engine under faults. Real engines and real vendor clients run over
// an in-memory network, with a journal that can fail, the sandbox as the vendor, and virtual time. Each
// history is compared with the sandbox's ledger, which says what was sold. The package has only tests:
//
//	go test ./purchase/simulation                                  every fault alone, pairs and histories, sampled
//	go test ./purchase/simulation -run Histories$ -histories 100000
//	go test ./purchase/simulation -run Histories$ -histories 1 -seed 7   one history; with -v -story also its trace
//	go test ./purchase/simulation -run Pairs -all -timeout 1h      all pairs of faults
//	go run ./internal/sabotage                                     removes each safety rule and expects a test to fail
//
// With -v each test prints how many histories it played, and in how many of them something was sold twice, was lost, or
// was not true. `make proof` plays many histories: see CONTRIBUTING.md.
//
// The PostgreSQL tests start their own server. They play histories in two ways. In bubbles of virtual time
// the plans are those of the other journals, and a statement takes no time. In real time the settings are
// milliseconds, so that statements race with the clock and with each other. Each simulated process has its
// own connections. They break when the process dies, and lose statements and answers as planned.
package simulation
