package gigastore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWholeAnswers: a sale counts only if its answer arrives whole.
func TestWholeAnswers(t *testing.T) {
	sale := saleJSON(testMark)
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(sale))
	chunked := "Transfer-Encoding: chunked\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(sale), sale)
	refusal := `{"message":"Insufficient credits."}`

	for name, tc := range map[string]struct {
		send    string
		hold    bool // the connection stays open after send
		reset   bool // the connection ends with a reset
		applied bool
		effect  Effect
		success bool
	}{
		"length":                      {send: head + length + "\r\n" + sale, hold: true, applied: true},
		"chunked":                     {send: head + chunked + "\r\n" + chunk + "0\r\n\r\n", hold: true, applied: true},
		"chunked with trailer":        {send: head + chunked + "\r\n" + chunk + "0\r\nX-Sum: 0123456789012345678901234567890\r\n\r\n", hold: true, applied: true},
		"chunked with extension":      {send: head + chunked + "\r\n" + strings.Replace(chunk, "\r\n", ";name=0123456789012345678901234567890\r\n", 1) + "0\r\n\r\n", hold: true, applied: true},
		"closed at the end":           {send: head + "Connection: close\r\n\r\n" + sale, applied: true},
		"HTTP/1.0 closed at the end":  {send: "HTTP/1.0 200 OK\r\n\r\n" + sale, applied: true},
		"after 103 and 100":           {send: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + head + length + "\r\n" + sale, hold: true, applied: true},
		"length not reached":          {send: head + length + "\r\n" + sale[:len(sale)-1], success: true},
		"length not reached, reset":   {send: head + length + "\r\n" + sale[:len(sale)-1], reset: true, success: true},
		"length not reached, no word": {send: head + length + "\r\n" + sale[:5]},
		"last chunk missing":          {send: head + chunked + "\r\n" + chunk, success: true},
		"last chunk's end missing":    {send: head + chunked + "\r\n" + chunk + "0\r\n", success: true},
		"bad chunk":                   {send: head + chunked + "\r\n" + chunk + "zz\r\n", success: true},
		"closed too early":            {send: head + "Connection: close\r\n\r\n" + sale[:len(sale)-1], success: true},
		"closed before the body":      {send: head + "Connection: close\r\n\r\n"},
		"head cut":                    {send: head},
		"nothing":                     {},
		"nothing, reset":              {reset: true},
		"not HTTP":                    {send: sale + "\r\n\r\n"},
		"101":                         {send: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", hold: true},
		"two lengths":                 {send: head + length + "Content-Length: 1\r\n\r\n" + sale},
		"refusal":                     {send: fmt.Sprintf("HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s", len(refusal), refusal), hold: true, effect: EffectRefused},
		"refusal cut":                 {send: fmt.Sprintf("HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s", len(refusal)+1, refusal)},
		"refusal closed at the end":   {send: "HTTP/1.1 400 No\r\nConnection: close\r\n\r\n" + refusal, effect: EffectRefused},
		"401 closed without a length": {send: "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n"},
		"401 with length 0":           {send: "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", hold: true, effect: EffectNone},
		"sale in an unwanted coding":  {send: head + "Content-Encoding: gzip\r\n" + "Content-Length: 3\r\n\r\n\x1f\x8b\x08", hold: true, success: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
				c.raw("%s", tc.send)
				switch {
				case tc.reset:
					c.reset()
				case !tc.hold:
					_ = c.Conn.Close()
				}
			})
			client := newTestClient(t, Config{BaseURL: vendor.url()})
			sold, err := client.Register(t.Context(), testPermit(), testRegister())
			if tc.applied {
				if err != nil || sold.ActivatedItem.UID != "item-1" || sold.Evidence.HTTPStatus != 200 || sold.Evidence.BytesWritten == 0 {
					t.Fatalf("got %v, %v", sold, err)
				}
				return
			}
			if e := wantEffect(t, err, tc.effect); e.SuccessSeen != tc.success {
				t.Errorf("SuccessSeen = %v: %v", e.SuccessSeen, e)
			}
			if requests, _ := vendor.seen(); requests != 1 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestActivateAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		body    string
		uid     string
		applied bool
	}{
		"envelope":   {`{"status":"success","activatedItem":{"uid":"item-1"}}`, "item-1", true},
		"bare item":  {`{"uid":"item-1","balance":{}}`, "item-1", true},
		"no item":    {`{}`, "", true},
		"nothing":    {``, "", true},
		"other item": {`{"status":"success","activatedItem":{"uid":"item-2"}}`, "", false},
		"other word": {`{"status":"queued","activatedItem":{"uid":"item-1"}}`, "", false},
		"garbled":    {`{"status":"success"`, "", false},
	} {
		vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", tc.body) })
		client := newTestClient(t, Config{BaseURL: vendor.url()})
		item, err := client.Activate(t.Context(), "item-1")
		if !tc.applied {
			wantEffect(t, err, EffectUnknown)
			continue
		}
		if err != nil || (item != nil) != (tc.uid != "") || item != nil && item.UID != tc.uid {
			t.Errorf("%s: %v, %v", name, item, err)
		}
	}
}

func TestEndlessBodyEnds(t *testing.T) {
	const buffered = 16 << 20 // more than the system keeps between the two sides
	stopped, sent := make(chan struct{}), 0
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
		defer close(stopped)
		c.raw("HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n")
		block := "1000\r\n" + strings.Repeat(" ", 0x1000) + "\r\n"
		for sent <= 4*buffered {
			n, err := io.WriteString(c.Conn, block)
			if sent += n; err != nil {
				return
			}
		}
	})
	client := newTestClient(t, Config{BaseURL: vendor.url(), Timeout: 30 * time.Second})
	_, err := client.Register(t.Context(), testPermit(), testRegister())
	e := wantEffect(t, err, EffectUnknown)
	if !errors.Is(err, errTooLong) || len(e.Body) > maxErrorBody {
		t.Errorf("got %v with %d bytes kept", err, len(e.Body))
	}
	<-stopped // wait until the client has closed the connection
	if sent > maxPaidAnswer+buffered {
		t.Errorf("the client read up to %d bytes", sent)
	}
}

func TestListsAreCapped(t *testing.T) {
	for name, l := range map[string]*limitedReader{
		"in total":       {total: 10, element: 100},
		"in one element": {total: 100, element: 10},
	} {
		l.r = strings.NewReader(strings.Repeat(" ", 50))
		read, err := 0, error(nil)
		for range 50 {
			var n int
			n, err = l.Read(make([]byte, 4))
			read += n
		}
		if read != 10 || !errors.Is(err, errTooLong) {
			t.Errorf("%s: %d bytes, %v", name, read, err)
		}
	}
}

// lockedBuffer is a bytes.Buffer that can be read while something still writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// TestExcessBytesAreNotLogged: net/http writes bytes that follow an answer to the standard log. If the Content-Length
// is too small, these bytes are the rest of a sale.
func TestExcessBytesAreNotLogged(t *testing.T) {
	var logged lockedBuffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	for name, excess := range map[string]string{
		"text":   `CANARY-CODE"}`,
		"answer": "HTTP/1.1 200 OK\r\nX-Code: CANARY-CODE\r\nContent-Length: 2\r\n\r\n{}",
	} {
		for _, framing := range []string{"length", "chunked"} {
			logged.Reset()
			closed := make(chan struct{})
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
				body := saleJSON(testMark)
				if framing == "length" {
					c.raw("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(body), body, excess)
				} else {
					c.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n%s", len(body), body, excess)
				}
				_, _ = c.reader.ReadByte() // net/http writes its log before it closes the connection
				close(closed)
			})
			client := newTestClient(t, Config{BaseURL: vendor.url()})
			if _, err := client.Register(t.Context(), testPermit(), testRegister()); err != nil {
				t.Errorf("%s, %s: %v", name, framing, err)
			}
			<-closed
			if strings.Contains(logged.String(), "CANARY") || strings.Contains(logged.String(), "HTTP/1.1") {
				t.Errorf("%s, %s: logged %s", name, framing, logged.String())
			}
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "3600": time.Hour, "3601": 0, "99999999999999999999": 0, "-1": 0, "soon": 0,
		"Fri, 21 Nov 2025 10:00:30 GMT": 30 * time.Second, "Fri, 21 Nov 2025 09:00:00 GMT": 0, "Fri, 21 Nov 2036 09:00:00 GMT": 0,
	} {
		h := http.Header{"Retry-After": {text}, "Date": {"Fri, 21 Nov 2025 10:00:00 GMT"}}
		if got := retryAfter(h); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
		c.answer(400, "application/json", `{"message":"The expected price does not match `+testEmail+`"}`)
	})
	client := newTestClient(t, Config{BaseURL: vendor.url()})
	_, err := client.Register(t.Context(), testPermit(), testRegister())
	if got, want := err.Error(), "gigastore: register: refused: PRICE_MISMATCH (HTTP 400)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if e := asError(t, err); !strings.Contains(e.Message, testEmail) || len(e.Body) == 0 {
		t.Errorf("message %q", e.Message)
	}
}
