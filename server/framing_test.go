package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	chunkedHead = "POST " + restRegister + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + coding
	coding      = "Transfer-Encoding: chunked\r\n"
	empty       = "0\r\n\r\n"
)

// chunks is a body in two chunks.
func chunks(body string) string {
	half := len(body) / 2
	return fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n%s", half, body[:half], len(body)-half, body[half:], empty)
}

// transportsOfFraming are the ways in which a request over HTTP/1.1 arrives.
var transportsOfFraming = map[string]setup{
	"plain": {},
	"TLS":   {restTLS: true, access: newCallers(caller("shop"))},
}

// A request whose end is ambiguous is refused, and its connection is closed. With TLS and callers it is the same.
func TestFraming(t *testing.T) {
	t.Parallel()
	order := validJSON + "}"
	line := func(text string) string {
		return strings.Replace(chunkedHead, coding, text+"\r\n", 1) + "\r\n"
	}
	for name, test := range map[string]struct {
		sent     string
		statuses []int
		sales    int
	}{
		"chunked":                 {chunkedHead + "\r\n" + chunks(order), []int{200}, 1},
		"a length after":          {chunkedHead + "Content-Length: 3\r\n\r\n" + chunks(order), []int{400}, 0},
		"a length before":         {strings.Replace(chunkedHead, "Content-Type", "content-length: 3\r\nContent-Type", 1) + "\r\n" + chunks(order), []int{400}, 0},
		"a length of the body":    {chunkedHead + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(chunks(order))) + chunks(order), []int{400}, 0},
		"smuggled after a length": {chunkedHead + "Content-Length: 0\r\n\r\n" + empty + chunkedHead + "\r\n" + chunks(order), []int{400}, 0},
		"pipelined":               {chunkedHead + "\r\n" + empty + chunkedHead + "\r\n" + chunks(order), []int{400, 400}, 0},
		"no body, chunked":        {"GET /v1/purchases HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + empty, []int{200}, 0},
		"a body of a GET":         {"GET /v1/purchases HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(order), []int{400}, 0},
		"a POST without a body":   {"POST /v1/activations/activated-items/u/activate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + empty, []int{404}, 0},
		"a length, HTTP/1.0":      {strings.Replace(chunkedHead, "1.1", "1.0", 1) + "Connection: keep-alive\r\nContent-Length: 4\r\n\r\n1a\r\n" + chunkedHead + "\r\n" + chunks(order), []int{400}, 0},
		"no length, HTTP/1.0":     {strings.Replace(chunkedHead, "1.1", "1.0", 1) + "Connection: keep-alive\r\n\r\n" + chunkedHead + "\r\n" + chunks(order), []int{400}, 0},
		"two lengths":             {line("Content-Length: 3\r\nContent-Length: 4") + "abcd", []int{400}, 0},
		"a chunk that stops":      {chunkedHead + "\r\n10\r\nabc", []int{400}, 0},
		"an unknown coding":       {strings.Replace(chunkedHead, "chunked", "gzip, chunked", 1) + "\r\n" + chunks(order), []int{501}, 0},

		// A length or a coding that another parser may read in another way.
		"a length with a sign":       {line(fmt.Sprintf("Content-Length: +%d", len(order))) + order, []int{400}, 0},
		"a negative length":          {line("Content-Length: -1") + order, []int{400}, 0},
		"a length with a list":       {line(fmt.Sprintf("Content-Length: %d, %[1]d", len(order))) + order, []int{400}, 0},
		"a length in hexadecimal":    {line("Content-Length: 0x10") + order, []int{400}, 0},
		"a length that overflows":    {line("Content-Length: 18446744073709551617") + order, []int{400}, 0},
		"a length before a space":    {line(fmt.Sprintf("Content-Length : %d", len(order))) + order, []int{400}, 0},
		"a coding before a space":    {line("Transfer-Encoding : chunked") + chunks(order), []int{400}, 0},
		"a coding behind a tab":      {line("Transfer-Encoding:\x0bchunked") + chunks(order), []int{400}, 0},
		"two codings":                {line("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity") + chunks(order), []int{501}, 0},
		"a folded value":             {line(fmt.Sprintf("Content-Length:\r\n %d", len(order))) + order, []int{200}, 1}, // a folded line is one line (RFC 9112 section 5.2)
		"a folded coding":            {line("X: y\r\n Transfer-Encoding: chunked") + chunks(order), []int{400}, 0},
		"a coding behind a bare CR":  {line("X: y\rTransfer-Encoding: chunked") + chunks(order), []int{400}, 0},
		"a coding behind a NUL":      {line("X: y\x00\r\nTransfer-Encoding: chunked") + chunks(order), []int{400}, 0},
		"a bare LF in a chunk":       {chunkedHead + "\r\n1\n{\r\n" + empty, []int{400}, 0},
		"a chunk that overflows":     {chunkedHead + "\r\n10000000000000001\r\n{\r\n" + empty, []int{400}, 0},
		"a bare LF after a bare LF":  {line("X: y\n\nPOST /v1/activations/register HTTP/1.1") + order, []int{400}, 0},
		"no host":                    {strings.Replace(chunkedHead, "Host: localhost\r\n", "", 1) + "\r\n" + chunks(order), []int{400}, 0},
		"two hosts":                  {strings.Replace(chunkedHead, "Host: localhost", "Host: localhost\r\nHost: b", 1) + "\r\n" + chunks(order), []int{400}, 0},
		"a version of another HTTP":  {strings.Replace(chunkedHead, "HTTP/1.1", "HTTP/1.10", 1) + "\r\n" + chunks(order), []int{400}, 0},
		"an upgrade to another HTTP": {strings.Replace(chunkedHead, coding, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", 1) + "Content-Length: 0\r\n\r\n", []int{400}, 0},
	} {
		for transport, with := range transportsOfFraming {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				g := open(t, with)
				conn := g.dialREST(t)
				if _, err := io.WriteString(conn, g.identified(test.sent)); err != nil {
					t.Fatal(err)
				}
				if half, ok := conn.(interface{ CloseWrite() error }); ok && strings.Contains(name, "stops") {
					_ = half.CloseWrite()
				}
				answers := bufio.NewReader(conn)
				var closed bool
				for i, want := range test.statuses {
					answer, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatalf("answer %d: %v", i, err)
					}
					_, _ = io.Copy(io.Discard, answer.Body)
					if answer.StatusCode != want {
						t.Errorf("answer %d has the status %d, want %d", i, answer.StatusCode, want)
					}
					closed = answer.Close
				}
				if strings.Contains(name, "length") && !closed {
					t.Error("the connection stays open")
				}
				if sales := g.box.Ledger().Sales; len(sales) != test.sales {
					t.Errorf("%d sales", len(sales))
				}
			})
		}
	}
}

// dialREST connects to the port of REST, and makes the TLS handshake if it speaks TLS.
func (g *gateway) dialREST(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // long before the gateway would give up
	if g.restTLS == nil {
		return conn
	}
	return tls.Client(conn, g.restTLS)
}

// identified adds the credential of a caller to every request of a text, if the gateway has callers.
func (g *gateway) identified(text string) string {
	if g.restTLS == nil {
		return text
	}
	return strings.ReplaceAll(text, "Host: localhost\r\n", "Host: localhost\r\nAuthorization: Bearer shop\r\n")
}

// A client that waits for its answers keeps its connection.
func TestChunkedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	conn := g.dialREST(t)
	answers := bufio.NewReader(conn)
	for i := range 20 {
		if _, err := io.WriteString(conn, chunkedHead+"\r\n"+chunks(strings.Replace(validJSON, "r-1", fmt.Sprintf("r-%d", i), 1)+"}")); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%d: status %d", i, answer.StatusCode)
		}
	}
}

// An earlier request cannot hide a Content-Length. If a request may have had one, its connection is closed after it.
func TestFramingBehindAnotherRequest(t *testing.T) {
	t.Parallel()
	const get = "GET /v1/purchases HTTP/1.1\r\nHost: localhost\r\n\r\n"
	order := validJSON + "}"
	unread := strings.Repeat("\ntransfer-encoding: x", 2000) // more than the head of a request can hold
	for name, test := range map[string]struct {
		first, second string
		status        int
	}{
		"after a body that was not read": {
			fmt.Sprintf("POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(unread), unread),
			chunkedHead + "Content-Length: 3\r\n\r\n" + chunks(order), http.StatusBadRequest,
		},
		"the length read with the request before": {
			get + strings.TrimSuffix(chunkedHead, coding) + "Content-Length: 3\r\nX: y",
			"\r\n" + coding + "\r\n" + chunks(order), http.StatusOK,
		},
	} {
		for transport, with := range transportsOfFraming {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				g := open(t, with)
				conn := g.dialREST(t)
				answers := bufio.NewReader(conn)
				var answer *http.Response
				for _, text := range []string{test.first, test.second} {
					if _, err := io.WriteString(conn, g.identified(text)); err != nil {
						t.Fatal(err)
					}
					var err error
					if answer, err = http.ReadResponse(answers, nil); err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, answer.Body)
				}
				if answer.StatusCode != test.status || !answer.Close {
					t.Errorf("status %d, the connection ends: %t", answer.StatusCode, answer.Close)
				}
			})
		}
	}
}
