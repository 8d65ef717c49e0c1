package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// gatewayProcess is the servers of the process and their listeners. sandbox and sandboxOn are nil if the
// process has no sandbox, and console and consoleOn if it has no console.
type gatewayProcess struct {
	gateway                            *server.Server
	vendor                             *gigastore.Client
	logger                             *slog.Logger
	rest, admin, sandbox, console      *http.Server
	grpcOn, restOn, adminOn, sandboxOn net.Listener
	consoleOn                          net.Listener
	watchMetrics                       func(context.Context) // for the console
	callers                            *boundedListener      // the listener of gRPC
	tls                                *tlsFiles             // nil if callers do not speak TLS
	serving                            atomic.Bool
}

// bound limits the connections of every port, before their TLS handshakes.
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
	rest := bind(&p.restOn, "http")
	bind(&p.adminOn, "admin")
	if p.sandboxOn != nil {
		bind(&p.sandboxOn, "sandbox")
	}
	if p.tls != nil {
		p.grpcOn = p.tls.listen(p.callers, http2Protocol)
		p.restOn = p.tls.listen(rest, http2Protocol, http11)
	}
	if p.consoleOn != nil {
		if console := bind(&p.consoleOn, "console"); p.tls != nil {
			p.consoleOn = p.tls.listen(console, http2Protocol, http11)
		}
	}
	return nil
}

// credentials tell gRPC that its connections speak TLS. They are nil if callers do not speak TLS.
func (p *gatewayProcess) credentials() credentials.TransportCredentials {
	if p.tls == nil {
		return nil
	}
	return afterTLS{}
}

// trusted says which certificates of clients are trusted now. It is nil without TLS.
func (p *gatewayProcess) trusted() func(tls.ConnectionState) *x509.Certificate {
	if p.tls == nil {
		return nil
	}
	return p.tls.Verified
}

// watchTLS reads the files of TLS again when they change, and at SIGHUP.
func (p *gatewayProcess) watchTLS(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	p.tls.watch(ctx, hangups)
}

// ready returns an error that says why the gateway accepts no new calls, or nil if it does.
func (p *gatewayProcess) ready(journal purchase.Journal) func(context.Context) error {
	return func(ctx context.Context) error {
		if !p.serving.Load() {
			return errors.New("draining or not started")
		}
		return checkWrites(ctx, journal)
	}
}

// checkWrites returns an error that says why the journal cannot write, or nil if it can.
func checkWrites(ctx context.Context, journal purchase.Journal) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := journal.Ping(ctx); err != nil {
		return errors.New("the journal cannot write: " + err.Error())
	}
	return nil
}

// measureJournal checks the journal at each read of the metrics, until stop. After stop, nothing is reported: a journal that was
// closed at the end of the process is no problem.
func measureJournal(meters metric.MeterProvider, journal purchase.Journal) (stop func(), err error) {
	meter := meters.Meter("gigagate.internal/cmd/gigagate")
	problem, err := meter.Int64ObservableGauge("gigagate.journal.problem",
		metric.WithDescription("1 while the journal cannot write, otherwise 0."))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	measured, err := meter.RegisterCallback(func(ctx context.Context, observer metric.Observer) error {
		var value int64
		if checkWrites(ctx, journal) != nil {
			value = 1
		}
		observer.ObserveInt64(problem, value)
		return nil
	}, problem)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return func() { _ = measured.Unregister() }, nil
}

// setServing makes the health checks say that the gateway accepts new calls.
func (p *gatewayProcess) setServing() {
	p.gateway.SetServing()
	p.serving.Store(true)
}

// run serves until ctx ends or a listener fails. Then it stops everything in order.
func (p *gatewayProcess) run(ctx context.Context) error {
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.vendor.Watch(failed)
		return nil
	})
	group.Go(func() error { returnMemory(failed); return nil })
	if p.tls != nil {
		group.Go(func() error { p.watchTLS(failed); return nil })
	}
	group.Go(func() error { return serveGRPC(p.gateway.GRPC(), p.grpcOn) })
	group.Go(func() error { return serveHTTP(p.rest, p.restOn) })
	group.Go(func() error { return serveHTTP(p.admin, p.adminOn) })
	if p.sandbox != nil {
		group.Go(func() error { return serveHTTP(p.sandbox, p.sandboxOn) })
	}
	if p.console != nil {
		group.Go(func() error { return p.runConsole(failed) })
	}
	group.Go(func() error {
		<-failed.Done()
		return p.stop(context.WithoutCancel(ctx))
	})
	return group.Wait()
}

// stop stops in an order that loses nothing. The gateway reports that it is not ready and accepts no more
// calls. The running calls and their purchases end. Only then does the sandbox stop, which is their vendor.
func (p *gatewayProcess) stop(ctx context.Context) error {
	p.logger.InfoContext(ctx, "draining; a second signal ends the process at once")
	p.serving.Store(false)
	p.callers.endSilent()
	ctx, cancel := context.WithTimeout(ctx, p.gateway.AnswerWithin())
	defer cancel()
	var group errgroup.Group
	group.Go(func() error { return p.gateway.Drain(ctx) })
	group.Go(func() error {
		// GracefulStop itself has no deadline.
		defer context.AfterFunc(ctx, p.gateway.GRPC().Stop)()
		p.gateway.GRPC().GracefulStop()
		return nil
	})
	group.Go(func() error { return shutDown(ctx, p.rest) })
	err := errors.Join(group.Wait(), shutDown(ctx, p.admin))
	if p.console != nil {
		err = errors.Join(err, shutDown(ctx, p.console))
	}
	if p.sandbox != nil {
		err = errors.Join(err, shutDown(ctx, p.sandbox))
	}
	p.logger.InfoContext(ctx, "drained", "clean", err == nil)
	return err
}

// shutDown waits for the running calls. When ctx ends, it closes the connections of those that are left. They may hold
// something that would keep the process from ending, such as a connection of the journal.
func shutDown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}
