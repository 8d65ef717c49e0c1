package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"gigagate.internal/internal/access"
)

// presented keeps the credentials that it was asked about.
type presented struct{ last access.Credentials }

func (p *presented) Identify(_ context.Context, credentials access.Credentials) (*access.Principal, error) {
	p.last = credentials
	return &access.Principal{Name: "shop"}, nil
}

func (*presented) Heir() string { return "" }

func (*presented) Budgeted() []*access.Principal { return nil }

// A certificate counts only if it is trusted now. All values of the Authorization header are passed on, so that a second one
// cannot hide.
func TestWhatIsPresented(t *testing.T) {
	t.Parallel()
	leaf := &x509.Certificate{Raw: []byte("leaf")}
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	nobody := func(tls.ConnectionState) *x509.Certificate { return nil }
	everybody := func(state tls.ConnectionState) *x509.Certificate { return state.PeerCertificates[0] }
	for name, c := range map[string]struct {
		state   *tls.ConnectionState
		trusted func(tls.ConnectionState) *x509.Certificate
		want    *x509.Certificate
	}{
		"no TLS":            {nil, everybody, nil},
		"no authorities":    {shown, nil, nil},
		"no longer trusted": {shown, nobody, nil},
		"trusted":           {shown, everybody, leaf},
	} {
		asked := &presented{}
		s := &Server{access: asked, trusted: c.trusted}
		check := func(transport string, ctx context.Context) {
			if asked.last.Certificate != c.want || !slices.Equal(asked.last.Authorization, []string{"Bearer a", "Bearer b"}) {
				t.Errorf("%s, %s: %+v", transport, name, asked.last)
			}
			if access.Of(ctx) == nil {
				t.Errorf("%s, %s: nobody", transport, name)
			}
		}
		p := &peer.Peer{Addr: &net.TCPAddr{}}
		if c.state != nil {
			p.AuthInfo = credentials.TLSInfo{State: *c.state}
		}
		ctx := metadata.NewIncomingContext(peer.NewContext(t.Context(), p), metadata.Pairs("authorization", "Bearer a", "authorization", "Bearer b"))
		check("grpc", s.identifyGRPC(ctx))

		original := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/inventory", http.NoBody)
		original.TLS = c.state
		original.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
		r := original.WithContext(context.WithValue(original.Context(), restCallKey{}, &restCall{original: original}))
		check("rest", s.identifyREST(r).Context())
	}
}

// A caller that is identified has one fair share, wherever it calls from. The others have one for each address.
func TestFairShareOfACaller(t *testing.T) {
	t.Parallel()
	ctx, _ := from(t, "10.0.0.1")
	for want, p := range map[string]*access.Principal{"shop": {Name: "shop"}, "10.0.0.1": access.Open} {
		if got := clientOf(access.With(ctx, p)); got != want {
			t.Errorf("the client of %s is %s", p.Name, got)
		}
	}
	if got := clientOf(ctx); got != "10.0.0.1" {
		t.Errorf("the client of nobody is %s", got)
	}
}

// The refusal of a credential leaves at the same time, however long its check took, unless the caller has left.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{refusalPause: refusalPause, admission: newAdmission()}
		for _, check := range []time.Duration{0, time.Millisecond, refusalPause - 1, refusalPause} {
			began := time.Now()
			<-time.After(check)
			s.holdBack(t.Context(), "10.0.0.1", began)
			if took := time.Since(began); took != refusalPause {
				t.Errorf("a check of %s: refused after %s", check, took)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		began := time.Now()
		s.holdBack(gone, "10.0.0.1", began)
		if took := time.Since(began); took != 0 {
			t.Errorf("a caller that has left is kept for %s", took)
		}
	})
}
