package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// benchLoad is a number of callers. Each one buys one package after the other.
type benchLoad struct {
	buy       []func(ctx context.Context, id string) error // one for each caller
	closers   []func()
	measuring atomic.Bool
	taken     atomic.Int64

	callers   sync.WaitGroup
	mu        sync.Mutex
	latencies []time.Duration // of calls that ended while measuring
	failed    error           // the first failure
}

func newBenchLoad(b *testing.B, server, world *benchProcess, callers int) *benchLoad {
	b.Helper()
	l := &benchLoad{}
	switch {
	case server.Kind == "proxy" || server.Kind == "sandbox":
		header := http.Header{
			"Authorization": {"Bearer " + world.token(b)}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
			"Idempotency-Key": {strings.Repeat("k", 64)},
		}
		l.throughHTTP("http://"+server.address+registerPath, header, vendorRequest, callers)
	case server.REST:
		l.throughHTTP("http://"+server.address+"/v1/activations/register", http.Header{"Content-Type": {"application/json"}}, restRequest, callers)
	default:
		l.throughGRPC(b, server, callers, nil)
	}
	return l
}

// benchRequest has every field that a shop would fill. It has no max_purchase_price, so no inventory is read.
func benchRequest(id string) *gigagatev1.RegisterRequest {
	return &gigagatev1.RegisterRequest{
		RequestId: id, InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "order " + id,
		UserIp: "203.0.113.24", UserCountry: "GR", CustomerEmail: new("traveller@example.com"),
		ExpectedPrice:  &gigagatev1.Money{CurrencyCode: "USD", Amount: "9.99"},
		ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
	}
}

// restRequest is benchRequest as REST has it.
func restRequest(id string) string {
	text, _ := protojson.Marshal(benchRequest(id)) // cannot fail: the request is valid
	return string(text)
}

// vendorRequest is what the gateway sends for benchRequest.
func vendorRequest(id string) string {
	return `{"inventoryItemId":"` + sandbox.ItemWorldwide1GB + `","metatag":"gg01JDA0QZ8V7M3N5P9RTXWY4B6C order ` + id +
		`","customerEmail":"traveller@example.com","userIp":"203.0.113.24","userCountry":"GR",` +
		`"expectedPrice":{"sortIndex":0,"priceValue":9.99,"currencyCode":"USD"},"activationMode":"NOW"}`
}

// throughGRPC adds callers that buy from a gateway. They come from the given address of this machine; nil is any.
func (l *benchLoad) throughGRPC(b *testing.B, server *benchProcess, callers int, from net.IP) {
	b.Helper()
	var clients []gigagatev1.ActivationServiceClient
	for range benchConnections {
		conn, err := dial(server.address, from, server.Security.client...)
		if err != nil {
			b.Fatal(err)
		}
		l.closers = append(l.closers, func() { _ = conn.Close() })
		clients = append(clients, gigagatev1.NewActivationServiceClient(conn))
	}
	for i := range callers {
		l.buy = append(l.buy, func(ctx context.Context, id string) error {
			_, err := clients[i%len(clients)].Register(ctx, benchRequest(id))
			return err
		})
	}
}

// dial connects to a gateway from the given address of this machine; nil is any.
func dial(address string, from net.IP, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	return grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
	}, options...)...)
}

// throughHTTP adds callers that send a body made from the request id.
func (l *benchLoad) throughHTTP(url string, header http.Header, body func(id string) string, callers int) {
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	l.closers = append(l.closers, transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	for range callers {
		l.buy = append(l.buy, func(ctx context.Context, id string) error {
			_, err := postHTTP(ctx, client, url, header, body(id))
			return err
		})
	}
}

func postHTTP(ctx context.Context, client *http.Client, url string, header http.Header, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status + ": " + string(text))
	}
	return text, err
}

// token returns an access token of a sandbox.
func (p *benchProcess) token(b *testing.B) string {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	text, err := postHTTP(b.Context(), client, "http://"+p.address+tokenPath, http.Header{"Authorization": {"Basic YmVuY2g6YmVuY2g="}}, "")
	var token struct{ AccessToken string }
	if err == nil {
		err = json.Unmarshal(text, &token)
	}
	if err != nil {
		b.Fatal(err)
	}
	return token.AccessToken
}

// start makes the callers buy until ctx ends.
func (l *benchLoad) start(ctx context.Context) {
	for _, buy := range l.buy {
		l.callers.Go(func() {
			var latencies []time.Duration
			for ctx.Err() == nil {
				began := time.Now()
				call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
				l.taken.Add(1)
				err := buy(call, fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())) // in no order, as many shops have it
				cancel()
				if err != nil {
					l.mu.Lock()
					l.failed = errors.Join(l.failed, err)
					l.mu.Unlock()
					return
				}
				if l.measuring.Load() {
					latencies = append(latencies, time.Since(began))
				}
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.latencies = append(l.latencies, latencies...)
		})
	}
}

// wait waits for the end of the callers, and returns the sorted latencies.
func (l *benchLoad) wait() ([]time.Duration, error) {
	l.callers.Wait()
	slices.Sort(l.latencies)
	return l.latencies, l.failed
}

func (l *benchLoad) close() {
	for _, end := range l.closers {
		end()
	}
}
