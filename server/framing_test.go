package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
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

// A request whose end is ambiguous is refused, and its connection is closed.
func TestFraming(t *testing.T) {
	t.Parallel()
	order := validJSON + "}"
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
		"two lengths":             {"POST " + restRegister + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", []int{400}, 0},
		"a chunk that stops":      {chunkedHead + "\r\n10\r\nabc", []int{400}, 0},
		"an unknown coding":       {strings.Replace(chunkedHead, "chunked", "gzip, chunked", 1) + "\r\n" + chunks(order), []int{501}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, test.sent); err != nil {
				t.Fatal(err)
			}
			if tcp, ok := conn.(*net.TCPConn); ok && strings.Contains(name, "stops") {
				_ = tcp.CloseWrite()
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

// A client that waits for its answers keeps its connection.
func TestChunkedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			answers := bufio.NewReader(conn)
			var answer *http.Response
			for _, text := range []string{test.first, test.second} {
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
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
