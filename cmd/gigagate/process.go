package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// gatewayProcess is everything that serves, and what it serves on. Without a sandbox of its own
// sandbox and sandboxOn are nil.
type gatewayProcess struct {
	gateway                            *server.Server
	vendor                             *gigastore.Client
	logger                             *slog.Logger
	rest, admin, sandbox               *http.Server
	grpcOn, restOn, adminOn, sandboxOn net.Listener
	callers                            *boundedListener // gRPC's
	serving                            atomic.Bool
}

// bound bounds the connections of every port.
func (p *gatewayProcess) bound(meters metric.MeterProvider) error {
	refused, err := meters.Meter("gigagate.internal/cmd/gigagate").Int64Counter("gigagate.connections.refused",
		metric.WithDescription("Connections that were not accepted, by port."), metric.WithUnit("{connection}"))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	bind := func(listener *net.Listener, name string) *boundedListener {
		l := bounded(*listener, name, connectionLimit(), p.logger, refused)
		*listener = l
		return l
	}
	p.callers = bind(&p.grpcOn, "grpc")
	bind(&p.restOn, "http")
	bind(&p.adminOn, "admin")
	if p.sandboxOn != nil {
		bind(&p.sandboxOn, "sandbox")
	}
	return nil
}

// ready tells whether new calls are welcome, and if not, why.
func (p *gatewayProcess) ready(journal purchase.Journal) func(context.Context) error {
	return func(ctx context.Context) error {
		if !p.serving.Load() {
			return errors.New("draining or not started")
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := journal.Ping(ctx); err != nil {
			return errors.New("the journal cannot write: " + err.Error())
		}
		return nil
	}
}

// setServing makes the gateway say that new calls are welcome.
func (p *gatewayProcess) setServing() {
	p.gateway.SetServing()
	p.serving.Store(true)
}

// run serves until ctx ends or a listener fails, and then stops in order.
func (p *gatewayProcess) run(ctx context.Context) error {
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.vendor.Watch(failed)
		return nil
	})
	group.Go(func() error { returnMemory(failed); return nil })
	group.Go(func() error { return serveGRPC(p.gateway.GRPC(), p.grpcOn) })
	group.Go(func() error { return serveHTTP(p.rest, p.restOn) })
	group.Go(func() error { return serveHTTP(p.admin, p.adminOn) })
	if p.sandbox != nil {
		group.Go(func() error { return serveHTTP(p.sandbox, p.sandboxOn) })
	}
	group.Go(func() error {
		<-failed.Done()
		return p.stop(context.WithoutCancel(ctx))
	})
	return group.Wait()
}

// stop ends in the order that loses nothing: say not ready, stop accepting, let the calls under
// way and the purchases behind them end, and only then take the vendor away.
func (p *gatewayProcess) stop(ctx context.Context) error {
	p.logger.InfoContext(ctx, "draining; a second signal ends at once")
	p.serving.Store(false)
	p.callers.endSilent()
	ctx, cancel := context.WithTimeout(ctx, p.gateway.AnswerWithin())
	defer cancel()
	var group errgroup.Group
	group.Go(func() error { return p.gateway.Drain(ctx) })
	group.Go(func() error {
		// GracefulStop has no deadline of its own.
		defer context.AfterFunc(ctx, p.gateway.GRPC().Stop)()
		p.gateway.GRPC().GracefulStop()
		return nil
	})
	group.Go(func() error { return shutDown(ctx, p.rest) })
	err := errors.Join(group.Wait(), shutDown(ctx, p.admin))
	if p.sandbox != nil {
		err = errors.Join(err, shutDown(ctx, p.sandbox))
	}
	p.logger.InfoContext(ctx, "drained", "clean", err == nil)
	return err
}

// shutDown waits for the calls under way, and ends those that are left at ctx's end: what they hold, like a connection
// of the journal, would keep the process from ending.
func shutDown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}
