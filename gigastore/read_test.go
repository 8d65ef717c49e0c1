package gigastore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadsAreTriedThreeTimes(t *testing.T) {
	for name, tc := range map[string]struct {
		fail  func(w http.ResponseWriter)
		tries int
	}{
		"408": {status(408), 3}, "429": {status(429), 3}, "500": {status(500), 3},
		"502": {status(502), 3}, "503": {status(503), 3}, "504": {status(504), 3},
		"400": {status(400), 1}, "403": {status(403), 1}, "404": {status(404), 1}, "409": {status(409), 1},
		"425": {status(425), 1}, "501": {status(501), 1}, "302": {status(302), 1},
		"connection dies": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 3},
		"cut": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"items":[]}`)
		}, 3},
		"not JSON": {func(w http.ResponseWriter) { writeJSON(w, 200, `{"items":`) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, failing := 0, true
				client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if authenticates(w, r) {
						return
					}
					if tries++; failing {
						tc.fail(w)
						return
					}
					writeJSON(w, 200, `{"items":[]}`)
				}), Config{Timeout: time.Minute})
				_, err := client.Inventory(t.Context())
				e := asError(t, err)
				if tries != tc.tries || e.Operation != OpInventory {
					t.Errorf("%d tries, want %d: %v", tries, tc.tries, err)
				}
				tries, failing = 0, false
				if _, err := client.Inventory(t.Context()); err != nil || tries != 1 {
					t.Errorf("afterwards: %d tries, %v", tries, err)
				}
			})
		})
	}
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { writeJSON(w, code, `{"message":"no"}`) }
}

func TestReadRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if authenticates(w, r) {
				return
			}
			if tries++; tries < 3 {
				w.Header().Set("Retry-After", "2")
				writeJSON(w, 503, ``)
				return
			}
			writeJSON(w, 200, string(fixture(t, "inventory-list.json")))
		}), Config{Timeout: time.Minute})
		start := time.Now()
		items, err := client.Inventory(t.Context())
		if err != nil || len(items) != 3 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		if waited := time.Since(start); waited != 4*time.Second {
			t.Errorf("waited %v, but the vendor asked for 2 s twice", waited)
		}
	})
}

func TestRetryAfterIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		header  string
		timeout time.Duration
		tries   int
	}{
		"long":            {"60", 5 * time.Minute, 1},
		"beyond the call": {"4", 3 * time.Second, 1},
		"senseless":       {"99999", 5 * time.Minute, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !authenticates(w, r) {
						tries++
						w.Header().Set("Retry-After", tc.header)
						writeJSON(w, 429, ``)
					}
				}), Config{Timeout: tc.timeout})
				start := time.Now()
				_, err := client.Inventory(t.Context())
				if e := asError(t, err); tries != tc.tries || e.Status != 429 {
					t.Errorf("%d tries: %v", tries, err)
				}
				if waited := time.Since(start); waited > 5*time.Second {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestReadEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !authenticates(w, r) {
				<-gone
			}
		}), Config{Timeout: 7 * time.Second})
		defer close(gone)
		start := time.Now()
		_, err := client.Inventory(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Inventory(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 8*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestUnauthorizedReadGetsOneNewToken(t *testing.T) {
	for _, revoked := range []int{1, 100} {
		synctest.Test(t, func(t *testing.T) {
			logins, reads := 0, 0
			client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/reseller/authenticate" {
					logins++
					writeJSON(w, 200, fmt.Sprintf(`{"accessToken":"token-%d","expiresIn":60}`, logins))
					return
				}
				if reads++; reads <= revoked {
					writeJSON(w, 401, `{"error":"unauthorized"}`)
					return
				}
				writeJSON(w, 200, `{"items":[]}`)
			}), Config{})
			_, err := client.Inventory(t.Context())
			if logins != 2 || reads != 2 || (err == nil) != (revoked == 1) {
				t.Errorf("%d logins, %d reads: %v", logins, reads, err)
			}
		})
	}
}

func TestReadAnswersAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if authenticates(w, r) {
				return
			}
			tries++
			block := []byte(strings.Repeat(" ", 1<<20))
			for range 17 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}), Config{})
		if _, err := client.Inventory(t.Context()); !errors.Is(err, errTooLong) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

func TestRequestsOfTheReads(t *testing.T) {
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", `[]`) })
	client := newTestClient(t, Config{BaseURL: vendor.url(), UserAgent: "gigagate/test"})
	from := time.Date(2025, 11, 3, 10, 0, 0, 0, time.FixedZone("", 3600))
	for range client.ActivatedItems(t.Context(), ActivatedItemsQuery{From: from, SortBy: "DATE", SortDir: "ASC"}) {
	}
	_, _ = client.Customer(t.Context(), "c-1")
	_, _ = client.Customers(t.Context(), CustomersQuery{PageIndex: 2})
	_, _ = client.SearchCustomers(t.Context(), SearchCustomersQuery{Key: SearchICCID, Query: "8997"})
	_, _ = client.ActivatedItem(t.Context(), "i-1")
	_, _ = client.InventoryItem(t.Context(), "inv-1")
	_, _ = client.Countries(t.Context(), "Asia Pacific")
	_, _ = client.Version(t.Context())
	want := []string{
		"GET /gigastore/activations/activated-items?from=2025-11-03T09%3A00%3A00Z&sort_by=DATE&sort_dir=ASC",
		"GET /gigastore/activations/customers/c-1?only_active_profiles=false",
		"GET /gigastore/activations/customers?only_active_profiles=false&page_index=2&page_size=50",
		"POST /gigastore/activations/search-customers",
		"GET /gigastore/activations/activated-items/i-1?only_active_profiles=false",
		"GET /gigastore/products/inventory/inv-1",
		"GET /gigastore/esim/countries/Asia%20Pacific",
		"GET /gigastore/version",
	}
	for i, r := range vendor.requests {
		if got := r.Method + " " + r.RequestURI; i >= len(want) || got != want[i] {
			t.Errorf("request %d: %s", i, got)
		}
		if r.Header.Get("User-Agent") != "gigagate/test" || r.Header.Get("Cookie") != "" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("request %d: headers %v", i, r.Header)
		}
		if withToken := r.Header.Get("Authorization") != ""; withToken != (r.URL.Path != "/gigastore/version") {
			t.Errorf("request %d: token %v", i, withToken)
		}
	}
	if len(vendor.requests) != len(want) {
		t.Errorf("%d requests", len(vendor.requests))
	}
	if got, want := vendor.bodies[3], `{"pageSize":50,"pageIndex":0,"searchKey":"ICCID","searchQuery":"8997","searchMode":"isExact","onlyActiveProfiles":false}`; got != want {
		t.Errorf("search body %s", got)
	}
}

func TestListIsCompleteOnlyAtItsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		items int
		err   error
	}{
		"empty":           {`[]`, 0, nil},
		"bare":            {`[{"uid":"a"},{"uid":"b"}] `, 2, nil},
		"nested":          {`[{"activatedItem":{"uid":"a"},"customer":{"uid":"c"}},{"uid":"b"}]`, 2, nil},
		"no bracket":      {`[{"uid":"a"},{"uid":"b"}`, 2, errListIncomplete},
		"cut in element":  {`[{"uid":"a"},{"uid":"b`, 1, errListIncomplete},
		"cut after comma": {`[{"uid":"a"},`, 1, errListIncomplete},
		"open only":       {`[`, 0, errListIncomplete},
		"nothing":         {``, 0, errMalformed},
		"object":          {`{"items":[]}`, 0, errMalformed},
		"null":            {`null`, 0, errMalformed},
		"null element":    {`[{"uid":"a"},null]`, 1, errMalformed},
		"no uid":          {`[{"uid":"a"},{"metatag":"m"}]`, 1, errMalformed},
		"zero byte":       {`[{"uid":"a"},{"uid":"a\u0000"}]`, 1, errMalformed},
		"number":          {`[{"uid":"a"},7]`, 1, errMalformed},
		"wrong bracket":   {`[{"uid":"a"}}`, 1, errListIncomplete},
		"text after":      {`[{"uid":"a"}] {}`, 1, errMalformed},
		"two arrays":      {`[{"uid":"a"}][]`, 1, errMalformed},
		"huge element":    {`[{"uid":"` + strings.Repeat("x", maxListElement+1) + `"}]`, 0, errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !authenticates(w, r) {
						writeJSON(w, 200, tc.body)
					}
				}), Config{})
				items, err := collect(client.ActivatedItems(t.Context(), ActivatedItemsQuery{}))
				if len(items) != tc.items || !errors.Is(err, tc.err) {
					t.Errorf("%d items, %v; want %d, %v", len(items), err, tc.items, tc.err)
				}
				if err != nil {
					asError(t, err)
				}
			})
		})
	}
}

func collect(seq func(func(ActivatedItemRecord, error) bool)) (items []ActivatedItemRecord, err error) {
	for item, e := range seq {
		if e != nil {
			return items, e
		}
		items = append(items, item)
	}
	return items, nil
}

// TestCutListIsNotComplete: a list is not complete if its "]" arrived but the end of the body did not. More may have
// followed.
func TestCutListIsNotComplete(t *testing.T) {
	for name, send := range map[string]string{
		"chunked": "Transfer-Encoding: chunked\r\n\r\ne\r\n[{\"uid\":\"a\"} ]\r\n",
		"length":  "Content-Length: 50\r\n\r\n[{\"uid\":\"a\"}]",
	} {
		vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
			c.raw("HTTP/1.1 200 OK\r\n%s", send)
			_ = c.Conn.Close()
		})
		client := newTestClient(t, Config{BaseURL: vendor.url()})
		items, err := collect(client.ActivatedItems(t.Context(), ActivatedItemsQuery{}))
		if len(items) != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d items, %v", name, len(items), err)
		}
	}
}

func TestListIsStreamedAndCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if authenticates(w, r) {
				return
			}
			_, _ = io.WriteString(w, `[{"uid":"a"},`)
			_ = http.NewResponseController(w).Flush()
			<-next // write the second element only after the first was handled
			_, _ = io.WriteString(w, `{"uid":"b"},`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // the third element never comes
		}), Config{})
		var seen []string
		for item, err := range client.ActivatedItems(t.Context(), ActivatedItemsQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, item.ActivatedItem.UID)
			if len(seen) == 2 {
				break
			}
			close(next)
		}
		if got := strings.Join(seen, ""); got != "ab" {
			t.Errorf("saw %s", got)
		}
	})
}

func TestSearchIsCheckedFirst(t *testing.T) {
	client := newTestClient(t, Config{BaseURL: "http://127.0.0.1:1"})
	for _, q := range []SearchCustomersQuery{
		{Key: "METATAG", Query: "x"},
		{Key: SearchEmail},
		{Key: SearchEmail, Query: "x", Mode: "regexp"},
		{Key: SearchEmail, Query: "x", PageSize: -1},
		{Key: SearchEmail, Query: "x", PageIndex: -1},
	} {
		_, err := client.SearchCustomers(t.Context(), q)
		if e := wantEffect(t, err, EffectNone); e.Operation != OpSearchCustomers {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
