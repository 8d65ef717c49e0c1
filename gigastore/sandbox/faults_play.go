package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// tamper is what a fault changes inside a call that otherwise runs as usual.
type tamper struct {
	answeredMetatag string // only in the answer
	storedMetatag   string
	metatagBytes    *int // cut what is stored to this length
	metatagUpper    bool

	lag        *Duration
	cut        *int
	unsorted   bool
	noMetatags bool
}

func or[T any](given *T, absent T) T {
	if given == nil {
		return absent
	}
	return *given
}

func playRefuse(x *exchange, p *faultParams) {
	x.world.mu.Lock()
	settings := x.world.settings
	x.world.mu.Unlock()
	reason := reasons[or(p.Reason, "malformed")]
	status := or(p.Status, reason.status(&settings.Statuses))
	x.write(refusal(or(p.Shape, settings.ErrorShape), status, or(p.Message, reason.sentence), x.call.path))
}

func playResetBefore(x *exchange, p *faultParams) {
	if n := or(p.AfterBytes, 0); n < 0 {
		_, _ = io.Copy(io.Discard, io.LimitReader(x.r.Body, maxBody))
	} else {
		_, _ = io.CopyN(io.Discard, x.r.Body, int64(n))
	}
	x.drop(true)
}

func playCommitThenReset(x *exchange, _ *faultParams) {
	x.commit()
	x.drop(true)
}

func playCommitThenClose(x *exchange, _ *faultParams) {
	x.commit()
	x.drop(false)
}

func playCommitThen5xx(x *exchange, p *faultParams) {
	x.commit()
	x.write(serverError(or(p.Status, http.StatusBadGateway), p.HTML))
}

func play5xx(x *exchange, p *faultParams) {
	x.write(serverError(or(p.Status, http.StatusServiceUnavailable), p.HTML))
}

func playListFail(x *exchange, p *faultParams) {
	x.write(serverError(or(p.Status, http.StatusInternalServerError), false))
}

// serverError is an answer of a machine in front of the service.
func serverError(status int, html bool) answer {
	shape := ShapePlainText
	if html {
		shape = ShapeHTML
	}
	return refusal(shape, status, http.StatusText(status), "")
}

func playCommitLate(x *exchange, p *faultParams) {
	committed := make(chan answer, 1)
	// The commit comes even if the client is gone.
	started := x.sandbox.goLate(func() {
		defer x.release()
		delay := time.Duration(or(p.Delay, Duration(time.Second)))
		if x.sandbox.wait(context.Background(), delay) {
			committed <- x.commit()
		}
	})
	x.late = started
	if p.Answer {
		select {
		case late := <-committed:
			x.write(late)
			return
		case <-x.r.Context().Done():
		case <-x.sandbox.closing:
		}
	} else {
		x.sandbox.wait(x.r.Context(), -1)
	}
	x.drop(false)
}

func playHang(x *exchange, p *faultParams) {
	x.sandbox.wait(x.r.Context(), time.Duration(or(p.Duration, -1)))
	x.drop(false)
}

func playTruncate(x *exchange, p *faultParams) {
	a := x.commit()
	a.writeHead(x.rw)
	x.writePartAndDrop(a.body, p)
}

func playTruncateChunked(x *exchange, p *faultParams) {
	a := x.commit()
	x.rw.Header().Set("Content-Type", a.contentType)
	x.rw.WriteHeader(a.status)
	x.writePartAndDrop(a.body, p)
}

func (x *exchange) writePartAndDrop(body []byte, p *faultParams) {
	n := min(or(p.Bytes, len(body)/2), max(len(body)-1, 0))
	_, _ = x.rw.Write(body[:n])
	_ = http.NewResponseController(x.rw).Flush()
	panic(http.ErrAbortHandler) // closes the connection without the rest and without the last chunk
}

func playGarble(x *exchange, _ *faultParams) {
	a := x.commit()
	// Only the end is wrong, so a reader that stops early does not notice.
	if n := len(a.body); n > 0 {
		a.body = append(bytes.Clone(a.body[:n-1]), "]}"...)
	}
	x.write(a)
}

var successWord = regexp.MustCompile(`"status":"success"`)

func playWrongStatus(x *exchange, p *faultParams) {
	word := or(p.Word, "pending")
	if !or(p.Commit, true) {
		x.write(statusWordAnswer(word))
		return
	}
	a := x.commit()
	a.body = successWord.ReplaceAllLiteral(a.body, fmt.Appendf(nil, `"status":%s`, encode(word)))
	x.write(a)
}

func tamperForeignMetatag(t *tamper, p *faultParams) {
	t.answeredMetatag = cmp.Or(or(p.Metatag, ""), "metatag-of-another-sale")
}

func tamperMetatagTruncated(t *tamper, p *faultParams) {
	n := or(p.Bytes, 8)
	t.metatagBytes = &n
}

func tamperMetatagRewritten(t *tamper, p *faultParams) {
	t.storedMetatag = or(p.Metatag, "")
	t.metatagUpper = t.storedMetatag == ""
}

func playEndlessBody(x *exchange, _ *faultParams) {
	x.commit()
	x.rw.Header().Set("Content-Type", contentTypeJSON)
	x.rw.WriteHeader(http.StatusOK)
	filler := bytes.Repeat([]byte("x"), 16<<10)
	_, err := io.WriteString(x.rw, `{"status":"success","filler":"`)
	for err == nil {
		select {
		case <-x.sandbox.closing:
			panic(http.ErrAbortHandler)
		default:
			_, err = x.rw.Write(filler)
		}
	}
}

func playUnauthorized(x *exchange, _ *faultParams) {
	x.write(*x.refused(http.StatusUnauthorized, SentenceUnauthorized))
}

func playThrottle(x *exchange, p *faultParams) {
	x.commitIf(or(p.Commit, false))
	a := x.refused(http.StatusTooManyRequests, "Too many requests.")
	a.header = map[string]string{"Retry-After": fmt.Sprint(or(p.RetryAfter, 1))}
	x.write(*a)
}

func playRedirect(x *exchange, p *faultParams) {
	x.commitIf(or(p.Commit, false))
	x.write(answer{
		status: or(p.Status, http.StatusTemporaryRedirect),
		header: map[string]string{"Location": or(p.Location, "https://sandbox.invalid/elsewhere")},
	})
}

func playSlowBody(x *exchange, p *faultParams) {
	a := x.commit()
	a.writeHead(x.rw)
	step, rest := or(p.Bytes, 16), a.body
	for len(rest) > 0 {
		n := min(step, len(rest))
		if _, err := x.rw.Write(rest[:n]); err != nil {
			return
		}
		_ = http.NewResponseController(x.rw).Flush()
		rest = rest[n:]
		interval := time.Duration(or(p.Interval, Duration(100*time.Millisecond)))
		if len(rest) > 0 && !x.sandbox.wait(x.r.Context(), interval) {
			panic(http.ErrAbortHandler)
		}
	}
}

func playEarlyHints(x *exchange, p *faultParams) {
	for range or(p.N, 1) {
		x.rw.WriteHeader(http.StatusEarlyHints)
	}
	x.write(x.commit())
}

func playStatus(x *exchange, p *faultParams) {
	x.commitIf(or(p.Commit, false))
	x.write(answer{status: *p.Code, contentType: p.ContentType, body: []byte(p.Body)})
}

func tamperListLag(t *tamper, p *faultParams) { t.lag = p.Duration }

func tamperListCut(t *tamper, p *faultParams) {
	n := or(p.N, 0)
	t.cut = &n
}

func tamperListUnsorted(t *tamper, _ *faultParams) { t.unsorted = true }

func tamperListNoMetatags(t *tamper, _ *faultParams) { t.noMetatags = true }
