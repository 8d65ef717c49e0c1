// Use the tests' own certificate authority, which is set as a fallback, instead of the system's.
//go:debug x509usefallbackroots=1

package simulation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/simulation/network"
)

// tlsFaults are faults of the handshake. No byte of a request leaves before the handshake is complete.
var tlsFaults = []string{doTLSForeign, doTLSPlain, doTLSEnds, doTLSNoAnswer}

// certified returns a trusted certificate for 127.0.0.1, and one that no authority has signed.
var certified = sync.OnceValues(func() (known, foreign tls.Certificate) {
	known, foreign = selfSigned(), selfSigned()
	roots := x509.NewCertPool()
	roots.AddCert(known.Leaf)
	x509.SetFallbackRoots(roots)
	return known, foreign
})

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), // bubbles begin in 2000
		NotAfter:  time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func serverTLS(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
}

// dial connects to the vendor, or to the impostor that a planned fault puts in its place.
func (r *replica) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	conn, err := r.host.Dial(ctx, kind, address)
	r.mu.Lock()
	strange := r.handshake
	r.handshake = ""
	r.mu.Unlock()
	if err != nil || strange == "" {
		return conn, err
	}
	_ = conn.Close()
	other := network.New()
	r.world.running.Go(func() { impersonate(other, strange, r.world.over) })
	return (&network.Host{Network: other}).Dial(ctx, kind, address)
}

// impersonate serves one connection like a vendor with broken TLS.
func impersonate(n *network.Network, how string, over <-chan struct{}) {
	defer func() { _ = n.Listener().Close() }()
	conn, err := n.Listener().Accept()
	if err != nil {
		return
	}
	switch how {
	case doTLSForeign:
		_, foreign := certified()
		_ = tls.Server(conn, serverTLS(foreign)).Handshake()
	case doTLSPlain:
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
	case doTLSEnds:
		_, _ = conn.Write([]byte{0x16, 3, 3}) // the first bytes of a record
	case doTLSNoAnswer:
		<-over
	}
}

// TestTLSFailures: the handshake fails at any dial, for a token, a read or a sale.
func TestTLSFailures(t *testing.T) {
	t.Parallel()
	var plans []plan
	for i, do := range tlsFaults {
		for nth := 1; nth <= 6; nth++ {
			p := scene(kinds[i%len(kinds)], modes[nth%len(modes)], fault{step: stepDial, nth: nth, do: do})
			p.tls = true
			plans = append(plans, p)
		}
	}
	played := playAll(t, openMemory, plans)
	for _, do := range tlsFaults {
		if f := (fault{step: stepDial, do: do}); played[f.what()] == 0 {
			t.Errorf("%s was never played", f.what())
		}
	}
}

// TestForeignCertificate: if the vendor's certificate is not trusted, nothing is sent, and the purchase fails
// as never sent.
func TestForeignCertificate(t *testing.T) {
	t.Parallel()
	p := plan{tls: true}
	for nth := 1; nth < 100; nth++ {
		p.faults = append(p.faults, fault{step: stepDial, nth: nth, do: doTLSForeign})
	}
	stage(t, p, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		if len(before.Sales) != 1 {
			t.Errorf("%d sales with the vendor's own certificate, want the first purchase", len(before.Sales))
		}
		pause(10 * time.Second) // idle connections end
		began := time.Now()
		a := w.buy(w.replica(0), register("order-0", gigastore.ModeFirstUse))
		wants(t, a, toldFailed)
		if took := time.Since(began); a.failed.Purchase.Reason != purchase.NeverSent || w.posts(before) != 0 || took > time.Second {
			t.Errorf("%s after %s, %d requests arrived", a, took, w.posts(before))
		}
	})
}
