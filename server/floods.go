package server

import (
	"context"
	"net/http"
	"time"

	"gigagate.internal/internal/fairshare"
)

// floods slows down clients that make the gateway work for nothing. A client is an address here, because the slow part comes
// before the caller is known.
//
// Without it, a client can send useless calls as fast as the gateway reads them. Then the calls of other clients wait for the
// processor. The slowed client notices it as a connection that is read slowly.
type floods struct {
	// useless are the calls under way whose client does not wait for an answer any more, or gave a wrong credential. They are
	// only counted, so its number of places does not matter.
	useless *fairshare.Limit
	// pauses are the connections and requests that are slowed down now.
	pauses *fairshare.Limit
	// life ends when the drain begins. grpc-go asks one connection after another to end, and waits for the pause of each.
	life context.Context
}

func newFloods() *floods {
	return &floods{useless: fairshare.New(2 * maxUseless), pauses: fairshare.New(maxPauses), life: context.Background()}
}

// begin is called before a call is served. It slows the call down if the client has many useless ones.
func (f *floods) begin(client string) {
	if f.useless.Of(client) >= maxUseless {
		f.slow(client)
	}
}

// slow waits for floodPause. All calls of a client that are slowed down share a few places, so the client's connections
// together can cause only a few hundred of them per second. A call that gets no place has waited for floodPatience. During a
// drain, nothing is slowed down.
func (f *floods) slow(client string) {
	patience, cancel := context.WithTimeout(f.life, floodPatience)
	defer cancel()
	if f.pauses.Wait(patience, client) != nil {
		return
	}
	defer f.pauses.Release(client)
	select {
	case <-time.After(floodPause):
	case <-f.life.Done():
	}
}

// uselessCall counts a useless call until the result is called.
func (f *floods) uselessCall(client string) (end func()) {
	f.useless.Hold(client)
	return func() { f.useless.Release(client) }
}

// beginREST is begin for a request over REST. The result must be called when the request's handler ends. A connection of
// HTTP/1.1 has one request at a time, so only HTTP/2 can leave handlers behind that nobody waits for.
func (f *floods) beginREST(r *http.Request, client string) (end func()) {
	f.begin(client)
	if r.ProtoMajor < 2 {
		return func() {}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		defer f.uselessCall(client)()
		<-ended
	})
	return func() {
		stop()
		close(ended)
	}
}
