package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
)

// BenchmarkPurchase measures the journal's part of one Register: a claim and its outcome, from several callers
// at once. "lookup" adds the look-up that comes first. "budget" reserves in a budget with a limit for each period, and posts
// what the sale took. "ungrouped" runs the same code with one transaction per
// write. In "vendor", 50 ms pass between the claim and the outcome, so the groups are small, and p50 and p99 are the
// time beyond these 50 ms. cpu-ns/op is the CPU time of the whole process.
func BenchmarkPurchase(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		for _, kind := range []string{"memory", "sqlite", "sqlite+lookup", "sqlite+budget", "sqlite-ungrouped"} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind, callers), func(b *testing.B) {
				var journal purchase.Journal = memory.Open(nil)
				if kind != "memory" {
					j := open(b, filepath.Join(b.TempDir(), "journal.db"), Options{})
					if kind == "sqlite-ungrouped" {
						inWriter(b, j, func(*connection) { j.maxGroup = 1 })
					}
					journal = j
				}
				benchmark(b, journal, callers, strings.TrimPrefix(kind, "sqlite+"))
			})
		}
	}
}

func benchmark(b *testing.B, journal purchase.Journal, callers int, more string) {
	var (
		done  sync.WaitGroup
		taken atomic.Int64
		times = make([][]time.Duration, callers)
	)
	before := cpu()
	b.ResetTimer()
	for i := range callers {
		done.Go(func() {
			for taken.Add(1) <= int64(b.N) {
				start := time.Now()
				if err := buy(b.Context(), journal, more); err != nil {
					b.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

func buy(ctx context.Context, journal purchase.Journal, more string) error {
	claim := newClaim()
	switch more {
	case "budget":
		claim.Budget, claim.Amount = benchBudget, 4_200_000
	case "lookup":
		if _, err := journal.Lookup(ctx, claim.Key); err == nil {
			return fmt.Errorf("%s is known", claim.Key)
		}
	}
	p, err := journal.Claim(ctx, claim)
	if err != nil {
		return err
	}
	_, _, err = purchase.Record(ctx, journal, p, sold(p))
	return err
}

// benchBudget has a limit for each period, which is never reached.
var benchBudget = func() *purchase.Budget {
	most := purchase.Micros(math.MaxInt64 / 4)
	return &purchase.Budget{Currency: "EUR", Purchase: &most, Day: &most, Month: &most, Total: &most}
}()

const orderText = `{"kind":"register","inventory_item_id":"5f2b7c1e-inventory","metatag":"order 4711","user_country":"DE",
	"expected_price":{"amount":4.2,"currency_code":"EUR"},"activation_mode":"FIRST_USE"}`

func newClaim() purchase.Claim {
	order, err := purchase.DecodeOrder([]byte(orderText))
	if err != nil {
		panic(err)
	}
	id := ulid.Make().String()
	return purchase.Claim{
		ID: id, Key: purchase.Key{Caller: "default", RequestID: randomLike("request", id)}, Account: "c0ffee", Order: order,
		Personal:   purchase.Personal{CustomerEmail: "someone@example.invalid", UserIP: "203.0.113.7"}.Encode(),
		PermitLife: 10 * time.Second, Lease: 2 * time.Minute,
	}
}

var sale = slices.Repeat([]byte(`{"sale":1}`), 150)

func sold(p purchase.Purchase) purchase.Transition {
	uid := randomLike("item", p.ID)
	return purchase.Transition{
		Event: purchase.AnsweredApplied, Attempt: p.Attempt, By: "gateway", ItemUID: uid, CustomerUID: randomLike("customer", p.ID),
		Evidence: purchase.Evidence{BytesWritten: 700, HTTPStatus: 200, ItemUID: uid}, Sale: sale,
	}
}

// randomLike returns a name that looks like a UUID. Real names arrive in no particular order, so each one changes another
// page of its index.
func randomLike(of, id string) string {
	digest := sha256.Sum256([]byte(of + id))
	return hex.EncodeToString(digest[:16])
}

// cpu returns the CPU time of this process in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
