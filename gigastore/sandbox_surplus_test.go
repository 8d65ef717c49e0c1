package gigastore_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
)

const (
	surplus401 = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	surplus400 = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}"
)

// surplusListener adds a surplus answer to each answer to a paid call, on every connection. It uses the different ways to
// do this in turn.
type surplusListener struct {
	net.Listener
	turn atomic.Int64
}

func (l *surplusListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &surplusConn{Conn: conn, turn: int(l.turn.Add(1))}, err
}

type surplusConn struct {
	net.Conn
	turn int
	paid bool // the newest request is a paid one
}

func (c *surplusConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bytes.Contains(p[:n], []byte(" HTTP/1.1\r\n")) {
		c.paid = bytes.HasPrefix(p[:n], []byte("POST "+registerPath))
	}
	return n, err
}

// Write is called once per answer, because each of the sandbox's answers fits into net/http's buffer.
func (c *surplusConn) Write(p []byte) (int, error) {
	if !c.paid {
		return c.Conn.Write(p)
	}
	extra := []byte([]string{surplus401, surplus400}[c.turn%2])
	half := len(extra) / 2
	packets := [][][]byte{
		{append(slices.Clone(p), extra...)},
		{append(slices.Clone(p), extra[:half]...), extra[half:]},
		{p, extra},
		{p, extra[:half], extra[half:]},
		{append(slices.Clone(extra), p...)},
		{extra, p},
		{extra[:half], extra[half:], p},
	}[c.turn/2%7]
	for _, packet := range packets {
		if _, err := c.Conn.Write(packet); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// surplusPurchases is small, so that every run can afford it. The figure in docs/operations.md comes from 100,000
// purchases.
var surplusPurchases = flag.Int("surplus.purchases", 5_000, "purchases of TestSurplusAnswers")

// TestSurplusAnswers: if the vendor's ledger has a purchase, its caller is never told that it was refused or had no
// effect. The test uses real sockets and 64 callers. With kept connections, 19 of 60,000 purchases were told wrongly.
func TestSurplusAnswers(t *testing.T) {
	purchases := *surplusPurchases
	settings := sandbox.DefaultSettings()
	settings.InitialCredit = 100_000_000_00
	world, err := sandbox.New(sandbox.Config{Seed: 1, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(world)
	server.Listener = &surplusListener{Listener: server.Listener}
	server.Start()
	defer server.Close()
	defer func() { _ = world.Close() }()
	client, err := gigastore.New(gigastore.Config{
		BaseURL: server.URL, ClientID: "id", ClientSecret: "secret", Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}

	name := func(n int) string { return fmt.Sprintf("gg%026d", n) }
	told := make([]gigastore.Effect, purchases) // stays EffectUnknown if sold
	var next, sold atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for n := int(next.Add(1)) - 1; n < purchases; n = int(next.Add(1)) - 1 {
				p := gigastore.Permit{Mark: name(n), IdempotencyKey: name(n), NotAfter: time.Now().Add(time.Minute)}
				_, err := client.Register(t.Context(), p, register(p, sandbox.ItemWorldwide1GB, gigastore.ModeNow))
				if e, ok := errors.AsType[*gigastore.Error](err); ok {
					told[n] = e.Effect
				} else {
					sold.Add(1)
				}
			}
		})
	}
	callers.Wait()

	sales := map[string]int{}
	for _, sale := range world.Ledger().Sales {
		mark, _, _ := strings.Cut(sale.Metatag, " ")
		sales[mark]++
	}
	wrong := 0
	for n, effect := range told {
		unsold := effect == gigastore.EffectNone || effect == gigastore.EffectRefused
		if count := sales[name(n)]; count > 1 || count == 1 && unsold {
			wrong++
			t.Errorf("purchase %d: told %v, sold %d times", n, effect, count)
		}
	}
	doubt := int64(purchases) - sold.Load()
	if sold.Load() == 0 || doubt == 0 {
		t.Error("the test proves nothing: nothing was sold, or nothing was in doubt")
	}
	t.Logf("%d purchases: %d told as sold, %d in doubt, %d told wrongly", purchases, sold.Load(), doubt, wrong)
}
