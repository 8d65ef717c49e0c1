package main

import (
	"bytes"
	compress "compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const (
	// fromOneHost is more connections than one client may have.
	fromOneHost = 1100
	watchMethod = "/grpc.health.v1.Health/Watch"
)

// attacks are the kinds of attacks. Each one ends with ctx.
var attacks = map[string]func(ctx context.Context, t *testing.T, g *siege){
	// 20 health watches, each with 480,000 references of one byte to a header.
	"header references": func(ctx context.Context, t *testing.T, g *siege) {
		references := bytes.Repeat([]byte{0x80 | 62}, 480_000) // the newest entry of the dynamic table
		canary := hpack.HeaderField{Name: "canary", Value: "v"}
		for ctx.Err() == nil {
			if r := g.raw(ctx, t); r != nil {
				for range 20 {
					if r.headers(watchMethod, references, canary) != nil {
						break
					}
				}
			}
			pause(ctx, 100*time.Millisecond)
		}
	},
	// Calls with the longest header lists that are allowed, on many connections.
	"long header lists": func(ctx context.Context, t *testing.T, g *siege) {
		canary := hpack.HeaderField{Name: "canary", Value: "v"}
		references := bytes.Repeat([]byte{0x80 | 62}, (8<<10)/(32+7)-20)
		g.streams(ctx, t, 100, 100, func(r *raw) error { return r.headers(watchMethod, references, canary) })
	},
	// REST requests whose bodies stop before their end.
	"bodies that stop": func(ctx context.Context, t *testing.T, g *siege) {
		body := bytes.Repeat([]byte(" "), 64<<10-1)
		var conns sync.WaitGroup
		for range fromOneHost {
			conns.Go(func() {
				conn, err := g.dial(ctx, g.rest, http11)
				if err != nil {
					g.refused.Add(1)
					return
				}
				defer func() { _ = conn.Close() }()
				_, err = fmt.Fprintf(conn, "POST /v1/activations/register HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", g.authorization(), 64<<10, body)
				if err != nil {
					g.refused.Add(1)
					return
				}
				context.AfterFunc(ctx, func() { _ = conn.Close() })
				if n, _ := io.Copy(io.Discard, conn); n > 0 || ctx.Err() == nil {
					g.refused.Add(1)
				}
			})
		}
		conns.Wait()
	},
	// gRPC messages that stop before their end.
	"messages that stop": func(ctx context.Context, t *testing.T, g *siege) {
		g.streams(ctx, t, 100, 100, func(r *raw) error {
			if err := r.headers(gigagatev1.ActivationService_Register_FullMethodName, nil); err != nil {
				return err
			}
			return r.message(256<<10, 60<<10, false)
		})
	},
	// Lists whose answers are never read.
	"lists without a window": func(ctx context.Context, t *testing.T, g *siege) {
		g.fill(t, 500)
		ask, _ := proto.Marshal(&gigagatev1.ListPurchasesRequest{PageSize: 500})
		g.streams(ctx, t, 20, 100, func(r *raw) error {
			if err := r.headers(gigagatev1.PurchaseService_ListPurchases_FullMethodName, nil); err != nil {
				return err
			}
			return r.whole(ask)
		}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	},
	// Health watches, on one connection and on many.
	"watches on one connection": func(ctx context.Context, t *testing.T, g *siege) {
		ask, _ := proto.Marshal(&healthpb.HealthCheckRequest{})
		g.streams(ctx, t, 1, 100_000, func(r *raw) error {
			if err := r.headers(watchMethod, nil); err != nil {
				return err
			}
			return r.whole(ask)
		})
	},
	"watches on many connections": func(ctx context.Context, t *testing.T, g *siege) {
		ask, _ := proto.Marshal(&healthpb.HealthCheckRequest{})
		g.streams(ctx, t, 200, 500, func(r *raw) error {
			if err := r.headers(watchMethod, nil); err != nil {
				return err
			}
			return r.whole(ask)
		})
	},
	// Calls without a message, opened and reset as fast as possible.
	"rapid reset": func(ctx context.Context, t *testing.T, g *siege) {
		ask, _ := proto.Marshal(registerRequest("reset"))
		g.streams(ctx, t, 20, 1<<30, func(r *raw) error {
			if err := r.headers(gigagatev1.ActivationService_Register_FullMethodName, nil); err != nil {
				return err
			}
			if err := r.whole(ask); err != nil {
				return err
			}
			return r.framer.WriteRSTStream(r.next-2, http2.ErrCodeCancel)
		})
	},
	// Waits for a purchase that is never settled.
	"waits": func(ctx context.Context, t *testing.T, g *siege) {
		g.fill(t, 1)
		order := &gigagatev1.TopUpRequest{RequestId: "hanging", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "attack", CustomerUid: g.customerOf(t, "filling-0")}
		g.shop.inject(t, "/gigastore/activations/top-up", "hang", 1, map[string]any{"duration": "1m"})
		go func() { _, _ = gigagatev1.NewActivationServiceClient(g.attacker(t)).TopUp(ctx, order) }()
		id := g.idOf(t, "hanging")
		ask, _ := proto.Marshal(&gigagatev1.WaitPurchaseRequest{Id: id})
		g.streams(ctx, t, 20, 1000, func(r *raw) error {
			if err := r.headers(gigagatev1.PurchaseService_WaitPurchase_FullMethodName, nil); err != nil {
				return err
			}
			return r.whole(ask)
		})
	},
	// Small compressed messages that expand to 16 MiB.
	"unpacking": func(ctx context.Context, t *testing.T, g *siege) {
		ask := registerRequest("unpack")
		ask.Metatag = string(bytes.Repeat([]byte("m"), 16<<20))
		var calls sync.WaitGroup
		for range 8 {
			shop := gigagatev1.NewActivationServiceClient(g.attacker(t, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name), grpc.MaxCallSendMsgSize(32<<20))))
			calls.Go(func() {
				for ctx.Err() == nil {
					_, err := shop.Register(ctx, ask)
					g.count(err)
				}
			})
		}
		calls.Wait()
	},
	// Many lists at once, whose answers are read.
	"lists": func(ctx context.Context, t *testing.T, g *siege) {
		g.fill(t, 500)
		lists := gigagatev1.NewPurchaseServiceClient(g.attacker(t))
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() {
				for ctx.Err() == nil {
					_, err := lists.ListPurchases(ctx, &gigagatev1.ListPurchasesRequest{PageSize: 500})
					g.count(err)
				}
			})
		}
		calls.Wait()
	},
	// Connections that send nothing, on every port.
	"silent connections": func(ctx context.Context, t *testing.T, g *siege) {
		for _, address := range []string{g.grpc, g.rest} {
			for range fromOneHost {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
				if err != nil {
					g.refused.Add(1)
					continue
				}
				context.AfterFunc(ctx, func() { _ = conn.Close() })
				go func() {
					if _, _ = io.Copy(io.Discard, conn); ctx.Err() == nil {
						g.refused.Add(1)
					}
				}()
			}
		}
		<-ctx.Done()
	},
	// Purchases whose callers leave at once, while the vendor hangs.
	"abandoned purchases": func(ctx context.Context, t *testing.T, g *siege) {
		g.fill(t, 1)
		customer := g.customerOf(t, "filling-0")
		g.shop.inject(t, "/gigastore/activations/top-up", "hang", 5000, map[string]any{"duration": "3s"})
		var calls sync.WaitGroup
		for host := range 6 {
			shop := gigagatev1.NewActivationServiceClient(g.attacker(t))
			for worker := range 400 {
				calls.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						call, cancel := context.WithTimeout(ctx, time.Second)
						_, err := shop.TopUp(call, &gigagatev1.TopUpRequest{
							RequestId: fmt.Sprintf("abandoned-%d-%d-%d", host, worker, n), InventoryItemId: sandbox.ItemWorldwide1GB,
							Metatag: "abandoned", CustomerUid: customer,
						})
						cancel()
						g.count(err)
					}
				})
			}
		}
		calls.Wait()
	},
	// Calls that read from the vendor, while it hangs.
	"reads of the vendor": func(ctx context.Context, t *testing.T, g *siege) {
		g.shop.inject(t, "/gigastore/activations/customers/*", "hang", 20_000, map[string]any{"duration": "20s"})
		ask, _ := proto.Marshal(&gigagatev1.GetCustomerRequest{Uid: "00000000-0000-4000-8000-000000000000"})
		g.streams(ctx, t, 12, 1000, func(r *raw) error {
			if err := r.headers(gigagatev1.CustomerService_GetCustomer_FullMethodName, nil); err != nil {
				return err
			}
			return r.whole(ask)
		})
	},
	// Compressed requests over REST that expand to 16 MiB.
	"unpacking over REST": func(ctx context.Context, t *testing.T, g *siege) {
		var bomb bytes.Buffer
		packed := compress.NewWriter(&bomb)
		_, _ = packed.Write(bytes.Repeat([]byte(" "), 16<<20))
		_ = packed.Close()
		var conns sync.WaitGroup
		for range 8 {
			conns.Go(func() {
				for ctx.Err() == nil {
					g.ask(ctx, fmt.Sprintf("POST /v1/activations/register HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s",
						g.authorization(), bomb.Len(), bomb.Bytes()))
				}
			})
		}
		conns.Wait()
	},
	"endless headers":        func(ctx context.Context, t *testing.T, g *siege) { endlessHeaders(ctx, g, g.grpc) },
	"frames without meaning": func(ctx context.Context, t *testing.T, g *siege) { framesWithoutMeaning(ctx, g, g.grpc) },
	// REST requests with the longest headers that are allowed, which never end.
	"headers over REST": func(ctx context.Context, t *testing.T, g *siege) {
		for range fromOneHost {
			conn, err := g.dial(ctx, g.rest, http11)
			if err != nil {
				g.refused.Add(1)
				continue
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			_, _ = fmt.Fprintf(conn, "POST /v1/activations/register HTTP/1.1\r\nHost: localhost\r\n")
			for i := range 900 {
				_, _ = fmt.Fprintf(conn, "X-%d: %d\r\n", i, i)
			}
		}
		<-ctx.Done()
	},
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	play := func(name string, attack func(context.Context, *testing.T, *siege), secure bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var security *siegeSecurity
			if secure {
				security = newSiegeSecurity(t)
			}
			g := newSiege(t, security)
			g.attack(t, func(ctx context.Context) { attack(ctx, t, g) })
		})
	}
	for name, attack := range attacks {
		play(name, attack, false)
		if *attackAll {
			play("TLS/"+name, attack, true)
		}
	}
	for name, attack := range attacksOnTLS {
		play("TLS/"+name, attack, true)
	}
}

// streams opens connections, and on each of them the given number of streams. It stops when ctx ends.
func (g *siege) streams(ctx context.Context, t *testing.T, conns, each int, begin func(*raw) error, settings ...http2.Setting) {
	t.Helper()
	g.streamsTo(ctx, conns, each, func() *raw { return g.raw(ctx, t, settings...) }, begin)
}

// streamsTo is streams on the connections that connect opens.
func (g *siege) streamsTo(ctx context.Context, conns, each int, connect func() *raw, begin func(*raw) error) {
	var work sync.WaitGroup
	for range conns {
		work.Go(func() {
			r := connect()
			for n := 0; r != nil && n < each && ctx.Err() == nil; n++ {
				if begin(r) != nil {
					return
				}
			}
		})
	}
	work.Wait()
	<-ctx.Done()
}

func registerRequest(requestID string) *gigagatev1.RegisterRequest {
	return &gigagatev1.RegisterRequest{
		RequestId: requestID, InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "attack",
		UserIp: "203.0.113.24", UserCountry: "GR", ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
	}
}

func (g *siege) buy(ctx context.Context, conn *grpc.ClientConn, requestID string) error {
	_, err := gigagatev1.NewActivationServiceClient(conn).Register(ctx, registerRequest(requestID))
	return err
}

// fill makes purchases before the attack begins.
func (g *siege) fill(t *testing.T, n int) {
	t.Helper()
	conn := g.attacker(t)
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			if err := g.buy(t.Context(), conn, fmt.Sprintf("filling-%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

// find waits until there is a purchase with the request id, and returns it.
func (g *siege) find(t *testing.T, requestID string) *gigagatev1.Purchase {
	t.Helper()
	var found *gigagatev1.Purchase
	lists := gigagatev1.NewPurchaseServiceClient(g.attacker(t))
	eventually(t, "a purchase with the request id "+requestID, func() error {
		page, err := lists.ListPurchases(t.Context(), &gigagatev1.ListPurchasesRequest{RequestId: requestID})
		if err != nil {
			return err
		}
		if len(page.GetPurchases()) == 0 {
			return fmt.Errorf("no purchase")
		}
		found = page.GetPurchases()[0]
		return nil
	})
	return found
}

func (g *siege) idOf(t *testing.T, requestID string) string {
	t.Helper()
	return g.find(t, requestID).GetId()
}

func (g *siege) customerOf(t *testing.T, requestID string) string {
	t.Helper()
	return g.find(t, requestID).GetCustomerUid()
}
