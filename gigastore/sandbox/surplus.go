package sandbox

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Places of a surplus answer.
const (
	placeBefore = "before" // before the true answer, in a separate packet
	placeWith   = "with"   // behind the true answer, in the same packet
	placeAfter  = "after"  // after the true answer, in a separate packet
)

var places = []string{placeBefore, placeWith, placeAfter}

// playSurplus commits and sends one answer too many. It plays a vendor or a
// proxy that has lost count of its requests.
func playSurplus(x *exchange, p *faultParams) {
	truth := x.commit().wire()
	code := or(p.Code, http.StatusUnauthorized)
	surplus := refusal(ShapeMessage, code, "An answer to nobody.", "")
	if p.Body != "" {
		surplus.body = []byte(p.Body)
	}
	conn, _, err := http.NewResponseController(x.rw).Hijack()
	if err != nil { // HTTP/2, or not a connection at all
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	extra := [][]byte{surplus.wire()}
	if p.Split { // split in the middle of the head
		extra = [][]byte{extra[0][:12], extra[0][12:]}
	}
	var packets [][]byte
	switch or(p.Place, placeWith) {
	case placeBefore:
		packets = append(slices.Clone(extra), truth)
	case placeAfter:
		packets = append([][]byte{truth}, extra...)
	default:
		packets = append([][]byte{slices.Concat(truth, extra[0])}, extra[1:]...)
	}
	for i, packet := range packets {
		if i > 0 && !x.sandbox.wait(x.r.Context(), time.Duration(or(p.Interval, 0))) {
			return
		}
		if _, err := conn.Write(packet); err != nil {
			return
		}
	}
}

// wire returns the answer as HTTP/1.1 bytes.
func (a answer) wire() []byte {
	var text bytes.Buffer
	_, _ = fmt.Fprintf(&text, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		a.status, http.StatusText(a.status), a.contentType, len(a.body))
	_, _ = text.Write(a.body)
	return text.Bytes()
}
