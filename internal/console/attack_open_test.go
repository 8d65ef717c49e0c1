package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/internal/access"
)

// breaking is a gateway whose journal breaks.
type breaking struct {
	scripted
	broken atomic.Bool
}

func (b *breaking) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	if b.broken.Load() {
		return status.Error(codes.Unavailable, "the journal cannot be used")
	}
	return b.scripted.Invoke(ctx, method, request, response, options...)
}

// TestOpenPageSaysThatItIsStale: while a page cannot be read, it says so in the browser. Then it is shown again, even if nothing
// has changed.
func TestOpenPageSaysThatItIsStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		services := &breaking{scripted: scripted{answers: map[string]proto.Message{"GetPurchase": uncertain()}, asked: map[string]proto.Message{}}}
		began := time.Now() // of a clock that stands still. Otherwise the page changes with the time
		c, err := New(Config{Services: services, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return began }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, leave := context.WithCancel(t.Context())
		shown := httptest.NewRecorder()
		left := make(chan struct{})
		go func() {
			defer close(left)
			r := visit(t, access.Open, "purchases/"+someID).WithContext(ctx)
			r.Header.Set("Accept", "text/event-stream")
			c.ServeHTTP(shown, r)
		}()
		for _, broken := range []bool{false, true, false} {
			services.broken.Store(broken)
			<-time.After(usualPace + openPace)
		}
		leave()
		<-left
		page, rest, stale := strings.Cut(shown.Body.String(), "event: stale\n")
		if !stale || strings.Count(page, someID) == 0 || !strings.Contains(rest, someID) {
			t.Errorf("the stream is\n%s", shown.Body)
		}
		if strings.Count(page, "retry:") != 1 || strings.Contains(rest, "retry:") {
			t.Error("the stream began more than once")
		}
	})
}

// leaving is a callers file out of which the only operator is taken.
type leaving struct{ gone atomic.Bool }

func (l *leaving) Identify(context.Context, access.Credentials) (*access.Principal, error) {
	if l.gone.Load() {
		return nil, access.ErrUnauthenticated
	}
	return anna, nil
}

// TestOpenPageEndsWithItsOperator: an open page shows nothing new to somebody who is no operator any more.
func TestOpenPageEndsWithItsOperator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"GetPurchase": uncertain()}}, nil)
		who := &leaving{}
		c.config.Access = who
		signedIn := httptest.NewRecorder()
		c.sessions.begin(signedIn, visit(t, nil, ""), access.Credentials{Authorization: []string{"Bearer gg_key"}}, sessionLength)
		ctx, end := context.WithTimeout(t.Context(), time.Hour)
		defer end()
		r := visit(t, nil, "purchases/"+someID).WithContext(ctx)
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Cookie", signedIn.Header().Get("Set-Cookie"))
		shown := httptest.NewRecorder()
		left := make(chan struct{})
		go func() {
			defer close(left)
			c.ServeHTTP(shown, r)
		}()
		synctest.Wait()
		who.gone.Store(true)
		<-left
		if ctx.Err() != nil || !strings.Contains(shown.Body.String(), someID) {
			t.Errorf("the page ended with %v after\n%s", ctx.Err(), shown.Body)
		}
	})
}

// TestOtherSitesOnlyLink: a page of another site can lead to the console, but cannot make the gateway work by itself.
func TestOtherSitesOnlyLink(t *testing.T) {
	t.Parallel()
	c := newScriptedConsole(t, &scripted{}, nil)
	for _, test := range []struct {
		site, mode string
		want       int
	}{
		{"", "", http.StatusOK},
		{"none", "navigate", http.StatusOK},
		{"same-origin", "cors", http.StatusOK},
		{"cross-site", "navigate", http.StatusOK},
		{"cross-site", "no-cors", http.StatusForbidden},
		{"same-site", "cors", http.StatusForbidden},
		{"cross-site", "", http.StatusForbidden},
	} {
		r := visit(t, access.Open, "purchases")
		r.Header.Set("Sec-Fetch-Site", test.site)
		r.Header.Set("Sec-Fetch-Mode", test.mode)
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, r)
		if shown.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.site, test.mode, shown.Code, test.want)
		}
	}
}
