package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// benchLoad is a number of callers. Each one buys one package after the other.
type benchLoad struct {
	buy       []func(ctx context.Context, id string) error // one for each caller
	run       string
	closers   []func()
	measuring atomic.Bool
	taken     atomic.Int64

	callers   sync.WaitGroup
	mu        sync.Mutex
	latencies []time.Duration // of calls that ended while measuring
	failed    error           // the first failure
}

func newBenchLoad(b *testing.B, server, world *benchProcess) *benchLoad {
	b.Helper()
	l := &benchLoad{run: server.run}
	if server.Kind == "proxy" {
		l.throughHTTP(b, server.address, world.address)
	} else {
		l.throughGRPC(b, server.address)
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

func (l *benchLoad) throughGRPC(b *testing.B, address string) {
	b.Helper()
	for range benchConnections {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		l.closers = append(l.closers, func() { _ = conn.Close() })
		client := gigagatev1.NewActivationServiceClient(conn)
		for range benchCallers / benchConnections {
			l.buy = append(l.buy, func(ctx context.Context, id string) error {
				_, err := client.Register(ctx, benchRequest(id))
				return err
			})
		}
	}
}

// throughHTTP makes the callers send over HTTP what the gateway would send for benchRequest.
func (l *benchLoad) throughHTTP(b *testing.B, address, vendor string) {
	b.Helper()
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	l.closers = append(l.closers, transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	send := func(ctx context.Context, url, authorization, key, body string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header = http.Header{
			"Authorization": {authorization}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
			"Idempotency-Key": {key},
		}
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
	var token struct{ AccessToken string }
	text, err := send(b.Context(), "http://"+vendor+"/reseller/authenticate", "Basic "+base64.StdEncoding.EncodeToString([]byte("bench:bench")), "", "")
	if err == nil {
		err = json.Unmarshal(text, &token)
	}
	if err != nil {
		b.Fatal(err)
	}
	for range benchCallers {
		l.buy = append(l.buy, func(ctx context.Context, id string) error {
			_, err := send(ctx, "http://"+address+"/gigastore/activations/register", "Bearer "+token.AccessToken, strings.Repeat("k", 64),
				`{"inventoryItemId":"`+sandbox.ItemWorldwide1GB+`","metatag":"gg01JDA0QZ8V7M3N5P9RTXWY4B6C order `+id+
					`","customerEmail":"traveller@example.com","userIp":"203.0.113.24","userCountry":"GR",`+
					`"expectedPrice":{"sortIndex":0,"priceValue":9.99,"currencyCode":"USD"},"activationMode":"NOW"}`)
			return err
		})
	}
}

// start makes the callers buy until ctx ends.
func (l *benchLoad) start(ctx context.Context) {
	for _, buy := range l.buy {
		l.callers.Go(func() {
			var latencies []time.Duration
			for ctx.Err() == nil {
				began := time.Now()
				call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
				err := buy(call, fmt.Sprintf("%s-%07d", l.run, l.taken.Add(1)))
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
