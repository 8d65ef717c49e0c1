// Package server answers the contract of package gigagate.v1 over gRPC and REST.
//
// Calls over both transports go through one chain of interceptors to the same handlers. A handler converts the
// request, calls the purchase engine or the vendor, and converts the answer. gRPC codes and generated types stay in
// this package.
//
// Start with [New], which makes a [Server] from a [Config]. Where things are:
//
//	server.go, interceptors.go            the server, and the chain that every call goes through
//	activation.go, reads.go, purchases.go the handlers of the contract's services
//	freezes.go, audit.go                  the same for operators, and the audit records of what others read
//	budgets.go                            the budgets of callers
//	orders.go, convert.go, history.go     conversions between the contract and the packages below
//	errors.go, validate.go                what a caller gets for an error, and the rules of requests
//	identity.go, rights.go, secrets.go    who makes a call, what it may do, and what its answer shows
//	limits.go, admission.go, floods.go    what bounds a client
//	framing.go                            where a request over REST ends
//	metrics.go, tracing.go                what OpenTelemetry is told of a call
//	rest*.go                              the REST gateway, and its documentation
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
	"gigagate.internal/purchase"
)

const (
	transportGRPC    = "grpc"
	transportConsole = "console"
	// LeastMetatagMax is the smallest Config.MetatagMax, in bytes: the gateway's mark, a space and one byte of text.
	LeastMetatagMax = markLength + 2
	// leastPing is the shortest time between two keepalive pings of a gRPC client.
	leastPing = 3 * time.Second
)

// Access finds out who makes a call.
type Access interface {
	// Identify returns the principal that the credentials of a call name. After an error, nobody is identified.
	Identify(ctx context.Context, credentials access.Credentials) (*access.Principal, error)
	// Heir returns the name of the principal that inherits [access.DefaultCaller], or "" if there is none.
	Heir() string
	// Budgeted returns the principals that have a budget, sorted by name.
	Budgeted() []*access.Principal
}

// Config is what a Server is made of. All fields are required, except Access, RefusalPause, Trusted, Docs,
// KnownHost and Credentials.
type Config struct {
	// Access finds out who makes a call. If it is nil, every call is one of [access.Open] and may do everything.
	Access Access
	// RefusalPause is how long after its beginning a call is refused whose caller is not known. If it is 0, it is 0.1 s. A
	// test that makes thousands of such calls sets less.
	RefusalPause time.Duration
	// Vendor is the vendor's API, for calls that do not spend.
	Vendor *gigastore.Client
	// Engine makes purchases.
	Engine *purchase.Engine
	// MetatagMax is the most bytes of a metatag sent upstream. It includes the gateway's mark.
	MetatagMax int
	// Logger gets one line per call.
	Logger *slog.Logger
	// TracerProvider, MeterProvider and Propagator are OpenTelemetry's.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Propagator     propagation.TextMapPropagator
	// Now is the clock that decides whether a package has expired.
	Now func() time.Time
	// Docs says whether REST also serves the documentation.
	Docs bool
	// KnownHost reports whether REST accepts a Host header. If it is nil, REST accepts every Host.
	KnownHost func(host string) bool
	// Trusted returns the client's certificate of a connection if it is trusted now. It is asked for each call, because a
	// connection may outlive the trust. If it is nil, no certificate identifies a caller.
	Trusted func(tls.ConnectionState) *x509.Certificate
	// Credentials secure the connections of gRPC. If they are nil, gRPC is not encrypted.
	Credentials credentials.TransportCredentials
}

// Server is the gateway without its listeners. The caller of this package serves GRPC and REST on its own listeners.
type Server struct {
	access         Access // nil if callers are not identified
	refusalPause   time.Duration
	vendor         *gigastore.Client
	engine         *purchase.Engine
	metatagMax     int
	logger         *slog.Logger
	tracerProvider trace.TracerProvider
	meterProvider  metric.MeterProvider
	propagator     propagation.TextMapPropagator
	now            func() time.Time
	knownHost      func(host string) bool
	trusted        func(tls.ConnectionState) *x509.Certificate
	credentials    credentials.TransportCredentials
	admission      *admission
	limiter        limiter
	lookups        *fairshare.Limit // of the request ids of refused orders
	requests       *fairshare.Limit // of REST
	// refusedRequests are those beyond requests that get an answer.
	refusedRequests *fairshare.Limit

	validator protovalidate.Validator
	activator *activator
	calls     callDuration

	grpcServer *grpc.Server
	rest       http.Handler
	docs       map[string]docsFile // nil if the documentation is off
	health     *health.Server

	streams    context.Context // ends when the drain begins
	endStreams context.CancelFunc
}

// New makes a Server. Its health service reports NOT_SERVING until SetServing is called. New returns an error if
// MetatagMax is too small or the contract's rules do not compile.
func New(config Config) (*Server, error) {
	if config.MetatagMax < LeastMetatagMax {
		return nil, fmt.Errorf("the metatag limit must be at least %d bytes, to hold the gateway's mark and a text", LeastMetatagMax)
	}
	validator, err := newValidator()
	if err != nil {
		return nil, fmt.Errorf("compile the contract's rules: %w", err)
	}
	calls, err := newCallDuration(config.MeterProvider)
	if err != nil {
		return nil, err
	}
	s := &Server{
		access:          config.Access,
		refusalPause:    cmp.Or(config.RefusalPause, refusalPause),
		vendor:          config.Vendor,
		engine:          config.Engine,
		metatagMax:      config.MetatagMax,
		logger:          config.Logger,
		tracerProvider:  config.TracerProvider,
		meterProvider:   config.MeterProvider,
		propagator:      config.Propagator,
		now:             config.Now,
		knownHost:       config.KnownHost,
		trusted:         config.Trusted,
		credentials:     config.Credentials,
		admission:       newAdmission(),
		limiter:         newLimiter(),
		lookups:         fairshare.New(maxLookups),
		requests:        fairshare.New(maxCalls),
		refusedRequests: fairshare.New(maxRefused),
		validator:       validator,
		activator:       newActivator(config.Vendor, config.Engine.Audit),
		calls:           calls,
		health:          health.NewServer(),
	}
	if config.Docs {
		if s.docs, err = docsFiles(); err != nil {
			return nil, fmt.Errorf("read the documentation: %w", err)
		}
	}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	s.admission.floods.life = s.streams
	s.grpcServer = s.newGRPC()
	if s.rest, err = s.newREST(s.newInProcess(transportREST, clientFromHTTP)); err != nil {
		return nil, fmt.Errorf("set up REST: %w", err)
	}
	s.health.Shutdown()
	return s, nil
}

func (s *Server) newGRPC() *grpc.Server {
	server := grpc.NewServer(append(s.admission.transportLimits(),
		grpc.Creds(s.credentials),
		grpc.StatsHandler(admissionStats{otelgrpc.NewServerHandler(s.otelgrpcOptions()...), s.admission}),
		grpc.ChainUnaryInterceptor(s.interceptors(transportGRPC)...),
		grpc.ChainStreamInterceptor(beginStream, s.identifyStream, s.endWithDrain),
		grpc.ForceServerCodecV2(newTolerantCodec()),
		grpc.UnknownServiceHandler(unknownMethod),
		// By default grpc-go closes the connection of a client that pings more often than every five minutes, with
		// all calls on it. A caller may have to ping more often while a purchase waits.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
	)...)
	s.register(server, s.adaptGRPC)
	healthpb.RegisterHealthServer(server, s.health)
	reflection.Register(server)
	s.setMethods(server.GetServiceInfo())
	return server
}

// endWithDrain ends a stream when the drain begins. Otherwise health watches and reflection would stay open, and
// GracefulStop would wait for them until the drain's time is over.
func (s *Server) endWithDrain(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	done := make(chan error, 1)
	// When endWithDrain returns, grpc-go ends the stream's context. That also ends next.
	go func() { done <- next(srv, stream) }()
	select {
	case err := <-done:
		return err
	case <-s.streams.Done():
		return status.Error(codes.Unavailable, "the gateway is shutting down")
	}
}

// unknownMethod answers calls of unknown methods. The status that grpc-go would send has no Outcome.
func unknownMethod(any, grpc.ServerStream) error {
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND, unknownMethod: true}
}

// newInProcess makes a connection to the services inside of this process. Its interceptors and its stats handler are
// those of gRPC, and it has the interceptors that only its transport needs.
func (s *Server) newInProcess(transport string, own ...grpc.UnaryServerInterceptor) *inProcess {
	conn := &inProcess{
		stats:       otelgrpc.NewServerHandler(s.otelgrpcOptions()...),
		interceptor: chain(s.interceptors(transport, own...)),
		methods:     map[string]inProcessMethod{},
	}
	// The requests are already decoded.
	s.register(conn, func(desc grpc.ServiceDesc) *grpc.ServiceDesc { return &desc })
	return conn
}

func (s *Server) otelgrpcOptions() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(s.tracerProvider),
		otelgrpc.WithMeterProvider(s.meterProvider),
		otelgrpc.WithPropagators(s.propagator),
	}
}

func (s *Server) register(registrar grpc.ServiceRegistrar, adapt func(grpc.ServiceDesc) *grpc.ServiceDesc) {
	registrar.RegisterService(adapt(gigagatev1.ActivationService_ServiceDesc), activationService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.InventoryService_ServiceDesc), inventoryService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.CustomerService_ServiceDesc), customerService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.PurchaseService_ServiceDesc), purchaseService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.FreezeService_ServiceDesc), freezeService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.AuditService_ServiceDesc), auditService{Server: s})
	registrar.RegisterService(adapt(gigagatev1.BudgetService_ServiceDesc), budgetService{Server: s})
}

// chain joins interceptors into one, the first outermost. grpc-go does the same, but only for its own server.
func chain(interceptors []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		next := handler
		for _, interceptor := range slices.Backward(interceptors) {
			inner := next
			next = func(ctx context.Context, req any) (any, error) { return interceptor(ctx, req, info, inner) }
		}
		return next(ctx, req)
	}
}

// GRPC is the gRPC server.
func (s *Server) GRPC() *grpc.Server { return s.grpcServer }

// Console is the connection of the operators' console to the services. A call is made by the principal of its context, and
// without one it is refused. Rights, rules and audit records are those of every other call.
func (s *Server) Console() grpc.ClientConnInterface {
	return s.newInProcess(transportConsole, markConsole)
}

// REST is the HTTP handler of the REST API.
func (s *Server) REST() http.Handler { return s.rest }

// AnswerWithin is the longest time that an answer can take. The write timeout of an HTTP server must be longer.
// Otherwise the caller of a finished sale sees a broken connection.
func (s *Server) AnswerWithin() time.Duration {
	return max(s.engine.AnswerWithin(), s.activator.budget+purchase.AnswerMargin, maxWait)
}

// SetServing makes the health service report SERVING.
func (s *Server) SetServing() {
	s.health.Resume()
	for name := range s.grpcServer.GetServiceInfo() {
		s.health.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
}

// Drain makes the health service report NOT_SERVING and refuses new purchases and activations. It waits for those
// under way. If ctx ends first, or the engine cannot drain, Drain returns an error.
func (s *Server) Drain(ctx context.Context) error {
	s.health.Shutdown()
	s.endStreams()
	s.activator.refuseNew()
	idle := make(chan error, 1)
	go func() {
		err := s.engine.Drain(ctx)
		s.activator.running.Wait()
		idle <- err
	}()
	select {
	case err := <-idle:
		if err == nil {
			return nil
		}
	case <-ctx.Done():
	}
	return errors.New("purchases or activations were still under way when the time to drain was over")
}
