package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// In process_attack*_test.go one client attacks a gateway in a separate process while another client buys. The tests print
// what the attack cost: memory, the slowest purchase of the other client, and the number of refusals. CI runs them a second
// time, one after the other.

var (
	attackFor    = flag.Duration("attack.for", 2*time.Second, "how long each attack lasts")
	attackWithin = flag.Duration("attack.within", 20*time.Second, "how long a purchase of another client may take under attack")
	attackAll    = flag.Bool("attack.all", false, "whether each attack is also played over TLS, with a caller's key; CI does so")
	attackSettle = flag.Duration("attack.settle", time.Minute, "how long after an attack the gateway may use more memory than before")
)

const (
	// mostMemory is how much memory the gateway may use under attack, in MiB.
	mostMemory = 256
	// leftOver is how much more memory than before it may use some time after the attack, in MiB. See attackSettle.
	leftOver = 48
	// normalWithin is how long after the attack a purchase may still be slow. usual is how long it takes otherwise, at most.
	normalWithin = 10 * time.Second
	usual        = time.Second
)

// siege is a gateway under attack.
type siege struct {
	*program
	shop       *shop
	security   *siegeSecurity // nil: everybody may call, without TLS
	grpc, rest string
	refused    atomic.Int64 // calls and connections of the attack that were refused
	bought     atomic.Int64 // purchases of the other client
}

func newSiege(t *testing.T, security *siegeSecurity) *siege {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	s := newShop(t)
	g := &siege{shop: s, security: security}
	var flags []string
	if security != nil {
		flags = security.flags
	}
	g.program = launch(t, nil, append([]string{
		"serve", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
		"--journal=sqlite:" + filepath.Join(t.TempDir(), "gigagate.db"), "--gigastore-url=" + s.url,
		"--gigastore-client-id=reseller", "--log-level=warn",
	}, flags...)...)
	g.grpc = g.out.waitForOrLog(t, g.program, `gRPC +(\S+)`)
	g.rest = g.out.waitForOrLog(t, g.program, `REST +https?://(\S+)`)
	return g
}

var memoryLine = regexp.MustCompile(`(?m)^(VmRSS|VmHWM):\s+(\d+) kB`)

// memory returns the gateway's resident memory, and its peak since resetPeak, in MiB.
func (g *siege) memory(t *testing.T) (now, peak int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range memoryLine.FindAllSubmatch(text, -1) {
		kib, _ := strconv.Atoi(string(line[2]))
		if string(line[1]) == "VmHWM" {
			peak = kib >> 10
		} else {
			now = kib >> 10
		}
	}
	return now, peak
}

func (g *siege) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.command.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// otherHost is the address of the client that buys. The attacks come from 127.0.0.1.
var otherHost = net.IPv4(127, 0, 0, 2)

// customer buys from another address until ctx ends, one purchase at a time. It records the slowest purchase.
func (g *siege) customer(ctx context.Context, t *testing.T, slowest *time.Duration) {
	shop := gigagatev1.NewActivationServiceClient(g.connect(t, g.key(customer),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: otherHost}}).DialContext(ctx, "tcp", address)
		})))
	for ctx.Err() == nil {
		n, began := g.bought.Add(1), time.Now()
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), soon)
		_, err := shop.Register(call, &gigagatev1.RegisterRequest{
			RequestId: fmt.Sprintf("customer-%d", n), InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "customer",
			UserIp: "203.0.113.24", UserCountry: "GR", ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
		})
		cancel()
		*slowest = max(*slowest, time.Since(began))
		if err != nil {
			t.Errorf("purchase %d of another client, after %s: %v", n, time.Since(began), err)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// attack runs an attack while a customer buys, and checks the effect. The attack ends when its context does.
func (g *siege) attack(t *testing.T, attack func(ctx context.Context)) {
	t.Helper() // so that the log names the line of each attack
	warm, stopWarm := context.WithTimeout(t.Context(), 300*time.Millisecond)
	var calm, slowest time.Duration
	g.customer(warm, t, &calm)
	stopWarm()
	before, _ := g.memory(t)
	g.resetPeak(t)

	ctx, stop := context.WithTimeout(t.Context(), *attackFor)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { g.customer(ctx, t, &slowest) })
	attack(ctx)
	work.Wait()

	ended := time.Now()
	for last := 2 * usual; last > usual; {
		if time.Since(ended) > normalWithin {
			t.Errorf("%s after the attack, a purchase takes %s", time.Since(ended), last)
			break
		}
		last = 0
		calm, stopCalm := context.WithTimeout(t.Context(), 200*time.Millisecond)
		g.customer(calm, t, &last)
		stopCalm()
	}
	normal := time.Since(ended)
	_, peak := g.memory(t)
	settled := time.Now()
	after, _ := g.memory(t)
	for after > before+leftOver && time.Since(settled) < *attackSettle {
		pause(t.Context(), 100*time.Millisecond)
		after, _ = g.memory(t)
	}
	t.Logf("%s: memory %d MiB before, %d at most, %d after %.1f s; slowest purchase %d ms (%d ms in calm), normal after %.1f s; %d refused",
		t.Name(), before, peak, after, time.Since(settled).Seconds(), slowest.Milliseconds(), calm.Milliseconds(), normal.Seconds(), g.refused.Load())
	if peak > mostMemory {
		t.Errorf("it used %d MiB", peak)
	}
	if after > before+leftOver {
		t.Errorf("it still uses %d MiB", after)
	}
	within := *attackWithin
	if g.security != nil {
		within *= 3 // the attackers encrypt on the same processors
	}
	if slowest > within {
		t.Errorf("a purchase of another client took %s", slowest)
	}
}

// count counts a refused call of the attack.
func (g *siege) count(err error) {
	if code := status.Code(err); code == codes.ResourceExhausted || code == codes.Unavailable || code == codes.Canceled {
		g.refused.Add(1)
	}
}

// attacker opens a connection for the attack with the usual client library.
func (g *siege) attacker(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return g.connect(t, g.key(attacker), options...)
}

// connect opens a connection whose calls have an API key, if there is one.
func (g *siege) connect(t *testing.T, key string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(append(options, sendKey(key)...), grpc.WithTransportCredentials(g.security.transport()))
	conn, err := grpc.NewClient(g.grpc, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
