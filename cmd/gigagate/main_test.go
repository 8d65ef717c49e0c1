package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// asProgram in the environment makes the test binary run as gigagate. Tests of signals and of the standard
// output need this, because they need a separate process.
const asProgram = "TEST_GIGAGATE_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	runMoreAtATime()
	goleak.VerifyTestMain(m)
}

// runMoreAtATime lets twice as many tests run at a time as there are processors, unless -parallel says otherwise. Most tests here
// wait for other processes.
func runMoreAtATime() {
	const parallel = "test.parallel"
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == parallel })
	if !chosen {
		_ = flag.Set(parallel, strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}

// lastUnderRace returns all texts, but with -race only the last one. It is for texts that all run the same code. The race detector
// learns nothing from a second one, and each takes seven times as long.
func lastUnderRace(texts []string) []string {
	if underRace {
		return texts[len(texts)-1:]
	}
	return texts
}

// anyPort are the flags that let the system choose every port.
var anyPort = []string{
	"--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
	"--admin-listen=127.0.0.1:0", "--sandbox-listen=127.0.0.1:0",
}

// serveLine returns the command line of a gateway on ports of the system's choice, with its own journal.
// Later flags win.
func serveLine(t *testing.T, args ...string) []string {
	t.Helper()
	return slices.Concat([]string{"serve", "--journal=sqlite:" + filepath.Join(t.TempDir(), "gigagate.db")}, anyPort, args)
}

// watched is a writer. A test can wait for a text in it.
type watched struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced by every write
}

func newWatched() *watched { return &watched{changed: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// waitFor returns the first match of pattern, followed by its groups. It waits as long as the test may run.
func (w *watched) waitFor(t testing.TB, ended <-chan struct{}, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for last := false; ; {
		w.mu.Lock()
		match, changed, text := expression.FindStringSubmatch(w.text.String()), w.changed, w.text.String()
		w.mu.Unlock()
		if match != nil {
			return match
		}
		if last {
			t.Fatalf("ended before it wrote %q; it wrote:\n%s", pattern, text)
		}
		select {
		case <-changed:
		case <-ended:
			last = true // check once more, for the last write
		}
	}
}

// gateway is a running `gigagate serve`: the real wiring, on ports of the system's choice.
type gateway struct {
	grpc, rest, admin, sandbox string // host:port
	journal                    string // its file
	out, log                   *watched

	stop   context.CancelFunc // what a first SIGTERM does
	ended  chan struct{}
	status int // valid once ended
}

// startGateway runs serve with its own sandbox, and stops it when the test ends.
func startGateway(t *testing.T, args ...string) *gateway {
	t.Helper()
	g := startServe(t, append([]string{"--sandbox"}, args...)...)
	g.sandbox = g.out.waitFor(t, g.ended, `sandbox +http://([^/\s]+)`)[1]
	return g
}

// startServe runs serve, and stops it when the test ends.
func startServe(t *testing.T, args ...string) *gateway {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &gateway{out: newWatched(), log: newWatched(), stop: cancel, ended: make(chan struct{})}
	line := serveLine(t, args...)
	for _, arg := range line {
		if file, ok := strings.CutPrefix(arg, "--journal=sqlite:"); ok {
			g.journal = file
		}
	}
	go func() {
		defer close(g.ended)
		g.status = run(ctx, line, console{out: g.out, err: g.log})
	}()
	t.Cleanup(func() {
		cancel()
		<-g.ended
	})
	g.grpc = g.out.waitFor(t, g.ended, `gRPC +(\S+)`)[1]
	g.rest = g.out.waitFor(t, g.ended, `REST +https?://(\S+)`)[1]
	g.admin = g.out.waitFor(t, g.ended, `admin +http://([^/\s]+)`)[1]
	return g
}

// exit stops the gateway and returns its exit status.
func (g *gateway) exit() int {
	g.stop()
	<-g.ended
	return g.status
}

// ledger returns what the sandbox really sold.
func (g *gateway) ledger(t *testing.T) sandbox.Ledger {
	t.Helper()
	var ledger sandbox.Ledger
	if err := json.Unmarshal([]byte(get(t, "http://"+g.sandbox+"/_sandbox/ledger").body), &ledger); err != nil {
		t.Fatal(err)
	}
	return ledger
}

// inject arms a fault of the sandbox.
func (g *gateway) inject(t *testing.T, fault string) {
	t.Helper()
	if got := post(t, "http://"+g.sandbox+"/_sandbox/faults", fault); got.status != http.StatusOK {
		t.Fatal(got.body)
	}
}

// activations connects to the gateway over gRPC.
func (g *gateway) activations(t *testing.T) gigagatev1.ActivationServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(g.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return gigagatev1.NewActivationServiceClient(conn)
}

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// httpClient leaves no open connections, and therefore no goroutines.
var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) answer {
	t.Helper()
	return do(t, http.MethodGet, url, "", nil)
}

func post(t *testing.T, url, body string) answer {
	t.Helper()
	return do(t, http.MethodPost, url, body, http.Header{"Content-Type": {"application/json"}})
}

func do(t *testing.T, method, url, body string, header http.Header) answer {
	t.Helper()
	got, err := try(t, method, url, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// try is do for goroutines. A goroutine must not end the test.
func try(t *testing.T, method, url, body string, header http.Header) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = header.Clone()
	resp, err := httpClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// command is the result of one command line.
type command struct {
	status   int
	out, err string
}

// gigagate runs one command until it ends. If a server starts that should have refused to, a timeout ends it.
func gigagate(t *testing.T, args ...string) command {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	status := run(ctx, args, console{out: &out, err: &errs})
	return command{status, out.String(), errs.String()}
}

// registration returns the JSON of a Register, with the members of more after the required ones.
func registration(requestID, more string) string {
	return `{"requestId":"` + requestID + `","inventoryItemId":"` + sandbox.ItemWorldwide1GB +
		`","metatag":"text","userIp":"203.0.113.24","userCountry":"GR"` + more + `}`
}
