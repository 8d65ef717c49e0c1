package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// The callers of a siege. The attacker has a key, too: the worst attacks come from a caller that is known.
const (
	customer = "customer"
	attacker = "attacker"
)

// siegeSecurity is a callers file, and TLS.
type siegeSecurity struct {
	flags            []string
	folder           tlsFolder
	servers, callers *authority        // nil: no TLS
	keys             map[string]string // API keys, by caller
	token            string            // a JWT of the attacker
}

const (
	siegeIssuer = "https://login.example.com"
	siegeKeyID  = "the-issuers-key"
)

func newSiegeSecurity(t *testing.T) *siegeSecurity {
	t.Helper()
	s := &siegeSecurity{servers: newAuthority(t, "servers"), callers: newAuthority(t, "callers"), keys: map[string]string{}}
	s.folder = newTLSFolder(t, s.servers, s.callers)
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signing.Public(), KeyID: siegeKeyID, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("issuers:\n- {issuer: %q, audience: gigagate, jwks_file: %s}\ncallers:\n", siegeIssuer, s.folder.write(t, "keys.json", set))
	for _, name := range []string{customer, attacker} {
		key, id, sum := access.NewKey()
		s.keys[name] = key
		file += fmt.Sprintf("- name: %s\n  identities:\n  - key: {id: %s, sha256: %s}\n  - jwt: {issuer: %q, subject: %[1]s}\n"+
			"  may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all], secrets: true, sold_elsewhere: true}\n",
			name, id, sum, siegeIssuer)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: signing, KeyID: siegeKeyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.token, err = jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: siegeIssuer, Subject: attacker, Audience: jwt.Audience{"gigagate"}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	s.flags = append(s.folder.flags(), "--callers-file="+s.folder.write(t, "callers.yaml", []byte(file)))
	return s
}

func (s *siegeSecurity) transport() credentials.TransportCredentials {
	if s == nil || s.servers == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(s.servers.client())
}

// key is the API key of a caller. It is empty if everybody may call.
func (g *siege) key(caller string) string {
	if g.security == nil {
		return ""
	}
	return g.security.keys[caller]
}

// authorization is the attacker's header of a request in HTTP/1.1.
func (g *siege) authorization() string {
	if g.security == nil {
		return ""
	}
	return "Authorization: Bearer " + g.key(attacker) + "\r\n"
}

// dial connects to a port. It makes the TLS handshake if the gateway speaks TLS.
func (g *siege) dial(ctx context.Context, address, protocol string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil || g.security == nil || g.security.servers == nil {
		return conn, err
	}
	config := g.security.servers.client()
	config.NextProtos = []string{protocol}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// ask sends a request in HTTP/1.1 on a new connection, and counts a refusal.
func (g *siege) ask(ctx context.Context, request string) {
	conn, err := g.dial(ctx, g.rest, http11)
	if err != nil {
		g.refused.Add(1)
		return
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = io.WriteString(conn, request) // the gateway may answer before it has read everything
	status := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(conn, status); err != nil || status[9] == '4' {
		g.refused.Add(1)
	}
}

// endlessHeaders begins calls whose headers never end: some are long, others have only empty frames.
func endlessHeaders(ctx context.Context, g *siege, address string) {
	var conns sync.WaitGroup
	for n := range 20 {
		conns.Go(func() {
			for ctx.Err() == nil {
				r := g.silentRaw(ctx, address)
				if r == nil {
					continue
				}
				part := []byte{}
				if n%2 == 0 {
					part = hpackLiteral(strings.Repeat("x", 15<<10))
				}
				err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: hpackLiteral("x")})
				for err == nil && ctx.Err() == nil {
					err = r.framer.WriteContinuation(1, false, part)
				}
				g.refused.Add(1)
				_ = r.Close()
			}
		})
	}
	conns.Wait()
}

// hpackLiteral is a header field in HPACK.
func hpackLiteral(value string) []byte {
	var text strings.Builder
	_ = hpack.NewEncoder(&text).WriteField(hpack.HeaderField{Name: "x", Value: value, Sensitive: true})
	return []byte(text.String())
}

// framesWithoutMeaning sends frames that change nothing, of one kind on each connection. The gateway has to answer some of
// them. Nobody reads the answers.
func framesWithoutMeaning(ctx context.Context, g *siege, address string) {
	var conns sync.WaitGroup
	for _, write := range []func(*http2.Framer) error{
		func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) },
		func(f *http2.Framer) error { return f.WriteSettings() },
		func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096})
		},
		func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) },
		func(f *http2.Framer) error { return f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		func(f *http2.Framer) error { return f.WriteData(1, false, nil) },
		func(f *http2.Framer) error { return f.WriteRawFrame(0xbe, 0, 0, nil) },
	} {
		for range 4 {
			conns.Go(func() {
				for ctx.Err() == nil {
					r := g.silentRaw(ctx, address)
					if r == nil {
						continue
					}
					r.fields = append(r.fields, hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
					err := r.headers(gigagatev1.ActivationService_Register_FullMethodName, nil)
					for err == nil && ctx.Err() == nil {
						err = write(r.framer)
					}
					g.refused.Add(1)
					_ = r.Close()
				}
			})
		}
	}
	conns.Wait()
}

// attacksOnTLS are the kinds of attacks that need TLS: on its handshakes, on credentials, and with HTTP/2 over REST.
var attacksOnTLS = map[string]func(ctx context.Context, t *testing.T, g *siege){
	"endless headers over REST":        func(ctx context.Context, t *testing.T, g *siege) { endlessHeaders(ctx, g, g.rest) },
	"frames without meaning over REST": func(ctx context.Context, t *testing.T, g *siege) { framesWithoutMeaning(ctx, g, g.rest) },
	// Requests over REST that are opened and reset as fast as possible.
	"rapid reset over REST": func(ctx context.Context, t *testing.T, g *siege) {
		g.streamsTo(ctx, 20, 1<<30, func() *raw { return g.rawTo(ctx, t, g.rest) }, func(r *raw) error {
			if err := r.headers("/v1/activations/register", nil, hpack.HeaderField{Name: "content-type", Value: "application/json"}); err != nil {
				return err
			}
			return r.framer.WriteRSTStream(r.next-2, http2.ErrCodeCancel)
		})
	},
	// Requests over REST whose bodies never come, and whose answers are never read.
	"streams that stop over REST": func(ctx context.Context, t *testing.T, g *siege) {
		connect := func() *raw { return g.rawTo(ctx, t, g.rest, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) }
		g.streamsTo(ctx, 200, 100, connect, func(r *raw) error {
			return r.headers("/v1/activations/register", nil, hpack.HeaderField{Name: "content-type", Value: "application/json"})
		})
	},
	// Handshakes whose connections end at once, and handshakes that stop in the middle.
	"handshakes": func(ctx context.Context, t *testing.T, g *siege) {
		var conns sync.WaitGroup
		for n := range 40 {
			conns.Go(func() {
				// The newest connections whose handshakes stop. All workers together have more than one client may have, but
				// not more than this process may have files.
				var stopped [2 * fromOneHost / 20]net.Conn
				defer func() {
					for _, conn := range stopped {
						if conn != nil {
							_ = conn.Close()
						}
					}
				}()
				for i := 0; ctx.Err() == nil; i = (i + 1) % len(stopped) {
					address := []string{g.grpc, g.rest}[n/2%2]
					if n%2 == 0 {
						if conn, err := g.dial(ctx, address, http2Protocol); err == nil {
							_ = conn.Close()
						}
						continue
					}
					conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
					if err != nil {
						continue
					}
					// A record of a handshake that announces 16 KiB and has one byte.
					_, _ = conn.Write([]byte{22, 3, 1, 0x40, 0, 1})
					if oldest := stopped[i]; oldest != nil {
						_ = oldest.Close()
					}
					stopped[i] = conn
				}
			})
		}
		conns.Wait()
	},
	// Credentials that are expensive to read, or that look right until their signature is checked.
	"credentials": func(ctx context.Context, t *testing.T, g *siege) {
		tokens := badTokens()
		var conns sync.WaitGroup
		for n := range 8 {
			conns.Go(func() {
				for i := n; ctx.Err() == nil; i++ {
					g.ask(ctx, "GET /v1/inventory HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "+tokens[i%len(tokens)]+"\r\n\r\n")
				}
			})
			conns.Go(func() {
				r := g.raw(ctx, t)
				for i := n; r != nil && ctx.Err() == nil; i++ {
					r.token = tokens[i%len(tokens)]
					if r.headers(gigagatev1.ActivationService_Register_FullMethodName, nil) != nil {
						_ = r.Close()
						r = g.raw(ctx, t)
					}
				}
			})
		}
		conns.Wait()
	},
}

// badTokens are credentials that nobody has. Each fits into the headers of a call.
func badTokens() []string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	claims := part(fmt.Sprintf(`{"iss":%q,"sub":"attacker","aud":"gigagate","exp":4102444800}`, siegeIssuer))
	signature := part(strings.Repeat("s", 64))
	nested := strings.Repeat("[", 2500) + strings.Repeat("]", 2500)
	header := func(algorithm, more string) string {
		return part(fmt.Sprintf(`{"alg":%q,"kid":%q%s}`, algorithm, siegeKeyID, more))
	}
	invented, _, _ := access.NewKey()
	return []string{
		header("ES256", "") + "." + claims + "." + signature, // only the signature is wrong
		header("none", "") + "." + claims + ".",
		header("HS256", "") + "." + claims + "." + signature,
		header("ES256", `,"x":`+nested) + "." + claims + "." + signature,
		header("ES256", "") + "." + part(`{"iss":`+nested+`}`) + "." + signature,
		part(`{"alg":"ES256","kid":"`+strings.Repeat("k", 4000)+`"}`) + "." + claims + "." + signature,
		strings.Repeat("a.", 3500),
		strings.Repeat("a", 7000),
		header("ES256", `,"crit":["b64"],"b64":false`) + "." + claims + "." + signature,
		invented,
		invented[:len(invented)-1],
	}
}
