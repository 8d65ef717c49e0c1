package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

// exchange is one admitted call on its connection. It reads the body, commits
// the effect and writes the answer. An armed fault may change that order.
type exchange struct {
	sandbox *Sandbox
	world   *world
	call    *call
	rw      http.ResponseWriter
	r       *http.Request
	armed   *armedFault // nil: no fault plays
	scope   string      // the idempotency key that is reserved
	late    bool        // a late commit will release the key
}

func (x *exchange) faultName() string {
	if x.armed == nil {
		return ""
	}
	return x.armed.spec.name
}

func (x *exchange) serve() {
	if x.armed != nil && x.armed.spec.beforeBody {
		x.armed.spec.play(x, x.armed.params)
		return
	}
	if refused := x.readBody(); refused != nil {
		refused.write(x.rw)
		return
	}
	if refused := x.arrive(); refused != nil {
		refused.write(x.rw)
		return
	}
	defer x.leave()
	// A vendor does not notice that its client is gone. So the latency ignores
	// it too, and the effect comes all the same.
	if latency := x.latency(); latency > 0 {
		x.sandbox.wait(context.WithoutCancel(x.r.Context()), latency)
	}
	if x.armed == nil {
		x.write(x.commit())
		return
	}
	if x.armed.spec.tamper != nil {
		x.armed.spec.tamper(&x.call.tamper, x.armed.params)
		x.write(x.commit())
		return
	}
	x.armed.spec.play(x, x.armed.params)
}

// arrive counts the metatag of a paid request that arrived whole, and reserves
// its key.
func (x *exchange) arrive() *answer {
	if !x.call.route.paid {
		return nil
	}
	var sent struct {
		Metatag string `json:"metatag"`
	}
	_ = json.Unmarshal(x.call.body, &sent) // the handler reports a bad body
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	if sent.Metatag != "" {
		x.world.truth.metatags[sent.Metatag]++
	}
	scope, free := x.world.reserve(x.call)
	if !free {
		refused := x.world.refuse(x.call, x.world.settings.Statuses.KeyConflict, SentenceKeyRunning)
		return &refused
	}
	x.scope = scope
	return nil
}

// leave releases the reserved key, unless a late commit still needs it.
func (x *exchange) leave() {
	if !x.late {
		x.release()
	}
}

func (x *exchange) release() {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	x.world.release(x.scope)
}

func (x *exchange) latency() time.Duration {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	return time.Duration(x.world.settings.Latency)
}

func (x *exchange) commit() answer { return x.world.execute(x.call) }

// commitIf commits only if a fault's parameter says so.
func (x *exchange) commitIf(yes bool) {
	if yes {
		x.commit()
	}
}

func (x *exchange) write(a answer) { a.write(x.rw) }

// readBody reads a call's body. If the call is refused, it returns the refusal.
func (x *exchange) readBody() *answer {
	data, err := io.ReadAll(http.MaxBytesReader(x.rw, x.r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return x.refused(http.StatusRequestEntityTooLarge, SentenceBodyTooLarge)
	}
	if err != nil { // the client gave up in the middle, so there is nobody to answer
		panic(http.ErrAbortHandler)
	}
	if !x.call.route.hasBody() {
		return nil
	}
	if media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || media != contentTypeJSON {
		return x.refused(http.StatusUnsupportedMediaType, SentenceNotJSON)
	}
	x.call.body = data
	return nil
}

func (x *exchange) refused(status int, sentence string) *answer {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	refused := x.world.refuse(x.call, status, sentence)
	return &refused
}

func (a *answer) write(rw http.ResponseWriter) {
	a.writeHead(rw)
	_, _ = rw.Write(a.body) // a client that is gone gets nothing, but the ledger has the sale
}

func (a *answer) writeHead(rw http.ResponseWriter) {
	if a.contentType != "" {
		rw.Header().Set("Content-Type", a.contentType)
	} else {
		rw.Header()["Content-Type"] = nil // nil keeps net/http from guessing one
	}
	for name, value := range a.header {
		rw.Header().Set(name, value)
	}
	rw.Header().Set("Content-Length", fmt.Sprint(len(a.body)))
	rw.WriteHeader(a.status)
}

// drop ends the connection without another byte, either with RST or in order
// with FIN. A connection in memory has no RST and is just closed.
func (x *exchange) drop(reset bool) {
	conn, _, err := http.NewResponseController(x.rw).Hijack()
	if err != nil { // HTTP/2, or not a connection at all
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok && reset {
		raw = tls.NetConn() // closing above TLS would send a goodbye first
	}
	if tcp, ok := raw.(interface{ SetLinger(sec int) error }); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}
