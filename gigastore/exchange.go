package gigastore

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Limits of an exchange. Those of answers count bytes of the body.
const (
	maxPaidAnswer  = 1 << 20
	maxReadAnswer  = 16 << 20
	maxListAnswer  = 256 << 20
	maxListElement = 1 << 20
	maxTokenAnswer = 64 << 10
	maxErrorBody   = 4 << 10 // bytes that an Error keeps
	usualAnswer    = 4 << 10
	listBuffer     = 32 << 10
	maxRetryAfter  = time.Hour
)

// answer is the outcome of a call.
type answer struct {
	operation   string
	mark        string // paid calls: the first word that the metatag must have
	status      int    // 0: no answer came
	contentType string
	encoded     bool // the body has a content encoding that nobody asked for, so it cannot be read
	retryAfter  time.Duration
	body        []byte
	whole       bool // the body was read to its proven end
	evidence    Evidence
	err         error // why the answer is not whole
	took        time.Duration
}

// exchange sends a call once and reads the answer.
func (c *Client) exchange(ctx context.Context, k *call) answer {
	before, began := c.breaker.begin(), time.Now()
	resp, sending, err := c.open(ctx, k)
	a := answer{operation: k.operation, err: err}
	if resp != nil {
		a = answerHead(k.operation, resp)
	}
	c.breaker.end(ctx, k.operation, before, a.status, err)
	if resp != nil {
		if resp.StatusCode >= http.StatusOK { // a 101 has a stream for a body
			a.body, a.whole, a.err = readBody(resp, k.limit)
		}
		_ = resp.Body.Close()
	}
	a.evidence = sending.evidence(a.status)
	a.took = since(began)
	return a
}

// open sends a call and returns the head of the answer with its body unread, or an error. It follows no redirect and
// keeps no cookie.
func (c *Client) open(ctx context.Context, k *call) (*http.Response, *attempt, error) {
	target := k.target()
	ctx, span := c.telemetry.begin(ctx, k.operation, target)
	sending := &attempt{
		notAfter: k.notAfter, now: c.now, confirm: k.confirm,
		decides: isPaid(k.operation) || k.operation == OpActivate,
	}
	resp, err := c.transport.send(ctx, c.text(ctx, k, target), sending)
	if err != nil {
		err = wireFailure(ctx, err)
		span.failed(ctx, err)
		if isCertificateFailure(err) {
			c.problems.found(ctx, problemCertificate, err.Error())
		}
		return nil, sending, err
	}
	span.answered(ctx, resp)
	resp.Body = &spannedBody{resp.Body, ctx, span.Span}
	c.problems.over(ctx, problemCertificate)
	return resp, sending, nil
}

func answerHead(operation string, resp *http.Response) answer {
	coding := resp.Header.Get("Content-Encoding")
	return answer{
		operation:   operation,
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		encoded:     coding != "" && coding != "identity",
		retryAfter:  retryAfter(resp.Header),
	}
}

// readBody reads at most limit bytes and reports whether the body came to its proven end. The announced length or the
// last chunk is the proof. If only the end of the connection ends the body, a complete JSON object or array is.
func readBody(resp *http.Response, limit int64) (body []byte, whole bool, err error) {
	var read bytes.Buffer
	if announced := resp.ContentLength; announced < 0 || announced > usualAnswer {
		read.Grow(usualAnswer)
	} else {
		read.Grow(int(announced) + bytes.MinRead) // ReadFrom wants that much space to find the end
	}
	_, err = read.ReadFrom(io.LimitReader(resp.Body, limit+1))
	body = read.Bytes()
	switch {
	case int64(len(body)) > limit:
		return body[:limit], false, errTooLong
	case err != nil:
		return body, false, err
	case resp.ContentLength >= 0 || slices.Contains(resp.TransferEncoding, "chunked"):
		return body, true, nil
	case isJSONContainer(body):
		return body, true, nil
	default:
		return body, false, errCutOff
	}
}

// isJSONContainer reports whether data is one complete object or array. Other JSON proves nothing: half of a number
// is a number too.
func isJSONContainer(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[') && json.Valid(data)
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), seconds or a date. Anything outside 0 to 1 h gives 0.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	var d time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(text); err == nil {
		if sent, err := http.ParseTime(h.Get("Date")); err == nil { // compares the vendor's clock with itself
			d = date.Sub(sent)
		}
	}
	if d < 0 || d > maxRetryAfter {
		return 0
	}
	return d
}

// failure returns the error of an answer that did not show success.
func (a answer) failure(result classification) *Error {
	err := a.err
	if err == nil && result.effect == EffectUnknown {
		err = errNotConclusive
	}
	return &Error{
		Operation:    a.operation,
		Effect:       result.effect,
		Reason:       result.reason,
		Status:       a.status,
		Message:      result.message,
		Body:         bytes.Clone(a.body[:min(len(a.body), maxErrorBody)]),
		BytesWritten: a.evidence.BytesWritten,
		SuccessSeen:  result.successSeen,
		RetryAfter:   a.retryAfter,
		Err:          err,
	}
}
