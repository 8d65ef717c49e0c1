package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// rateLimit is the rate of a caller: 50 calls per second, and 100 at the same moment.
const rateLimit = "rate: {per_second: 50, burst: 100}"

// overloads are the limits of a caller that makes ten times as many calls as the gateway serves at once.
var overloads = map[string]string{"without limits": "", "beyond its rate": rateLimit, "at once": "at_once: 200"}

// TestOverload: one caller keeps 20,000 calls under way over gRPC, and as many requests over REST as its connections carry.
// Another caller buys meanwhile.
func TestOverload(t *testing.T) {
	t.Parallel()
	for name, limits := range overloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var file strings.Builder
			file.WriteString("callers:\n")
			security := &siegeSecurity{keys: map[string]string{}}
			for _, caller := range []string{customer, attacker} {
				key, id, sum := access.NewKey()
				security.keys[caller] = key
				fmt.Fprintf(&file, "  - name: %s\n    identities: [{key: {id: %s, sha256: %s}}]\n", caller, id, sum)
				file.WriteString("    may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all]}\n")
			}
			file.WriteString("    " + limits + "\n") // of the attacker
			security.flags = []string{"--callers-file=" + writeFile(t, file.String())}
			g := newSiege(t, security)
			began := time.Now()
			g.attack(t, func(ctx context.Context) { g.flood(ctx, t, "Bearer "+g.key(attacker)) })
			flooded := 0
			for _, sale := range g.shop.ledger(t).Sales {
				if !strings.HasSuffix(sale.Metatag, " customer") {
					flooded++
				}
			}
			if most := 100 + 50*time.Since(began).Seconds(); limits == rateLimit && float64(flooded) > most {
				t.Errorf("%d sales beyond the rate, which allows %.0f", flooded, most)
			}
		})
	}
}

// flood makes calls with a credential as fast as the gateway takes them.
func (g *siege) flood(ctx context.Context, t *testing.T, credential string) {
	t.Helper()
	var n atomic.Int64
	next := func() string { return fmt.Sprintf("flood-%d", n.Add(1)) }
	var work sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 200}}
	defer client.CloseIdleConnections()
	for range 200 {
		work.Go(func() {
			for ctx.Err() == nil {
				body := fmt.Sprintf(`{"requestId": %q, "inventoryItemId": %q, "metatag": "flood", "userIp": "203.0.113.24", "userCountry": "GR", "activationMode": "ACTIVATION_MODE_NOW"}`, next(), sandbox.ItemWorldwide1GB)
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.rest+"/v1/activations/register", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", credential)
				r.Header.Set("Content-Type", "application/json")
				if resp, err := client.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode == http.StatusTooManyRequests {
						g.refused.Add(1)
					}
				}
			}
		})
	}
	g.streams(ctx, t, 40, 1<<30, func(r *raw) error {
		ask, err := proto.Marshal(registerRequest(next()))
		if err != nil {
			return err
		}
		if err := r.headers(gigagatev1.ActivationService_Register_FullMethodName, nil, hpack.HeaderField{Name: "authorization", Value: credential}); err != nil {
			return err
		}
		return r.whole(ask)
	})
	work.Wait()
}
