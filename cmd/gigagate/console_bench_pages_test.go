package main

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// consolePage is something that a browser gets.
type consolePage struct {
	name, path string
	stream     bool // the first event of an open page
	finds      found
}

// found is whether a list has a purchase. It is unknown for the states that a start of the gateway ends.
type found int

const (
	unknown found = iota
	something
	nothing
)

// consolePaths are the pages without searches. %[1]s is a purchase that was sold, and %[2]s one that needs an operator.
var consolePaths = []string{
	"", "purchases", "purchases/%[1]s", "purchases/%[1]s?record", "purchases/%[2]s", "purchases/%[2]s/settle", "needs", "money",
	"sign-in", "static/console.css",
}

// consoleStreams are the pages that move by themselves.
var consoleStreams = []string{"", "purchases", "purchases/%[2]s", "needs"}

// TestConsoleBenchHasEveryPage: BenchmarkConsole measures every page of the console.
func TestConsoleBenchHasEveryPage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../internal/console/*.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	unmeasured := map[string]bool{}
	const sandbox = "GET /sandbox" // it shows the vendor, and reads no journal
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, found := range consoleRoute.FindAllStringSubmatch(string(text), -1) {
			pattern := "GET /" + found[1] + found[2] + found[3]
			routes.HandleFunc(pattern, http.NotFound)
			unmeasured[pattern] = true
		}
	}
	if len(unmeasured) < 8 {
		t.Fatalf("only these pages were found: %v", unmeasured)
	}
	for _, path := range consolePaths {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://console/"+fmt.Sprintf(path+"%.0[1]s%.0[2]s", "id", "id"), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, pattern := routes.Handler(request)
		delete(unmeasured, pattern)
	}
	delete(unmeasured, sandbox)
	for pattern := range unmeasured {
		t.Errorf("BenchmarkConsole does not measure %s: add it to consolePaths", pattern)
	}
}

// consoleBrowser is a browser whose operator has signed in.
type consoleBrowser struct {
	client *http.Client
	root   string
	cookie string
}

func newConsoleBrowser(b *testing.B, address, key string) *consoleBrowser {
	b.Helper()
	transport := &http.Transport{}
	b.Cleanup(transport.CloseIdleConnections)
	c := &consoleBrowser{root: address + "/console/", client: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, c.root+"sign-in", strings.NewReader(url.Values{"key": {key}}.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}}
	got, err := c.client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	_ = got.Body.Close()
	if c.cookie, _, _ = strings.Cut(got.Header.Get("Set-Cookie"), ";"); got.StatusCode != http.StatusSeeOther || c.cookie == "" {
		b.Fatalf("anna cannot sign in: %d", got.StatusCode)
	}
	return c
}

// open asks for a page. The caller closes the answer's body.
func (c *consoleBrowser) open(ctx context.Context, p consolePage) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.root+p.path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if p.path != "sign-in" { // whoever has signed in is sent on
		request.Header.Set("Cookie", c.cookie)
	}
	if p.stream {
		request.Header.Set("Accept", "text/event-stream")
	}
	got, err := c.client.Do(request)
	if err == nil && got.StatusCode != http.StatusOK {
		_ = got.Body.Close()
		return nil, fmt.Errorf("%s: status %d", p.name, got.StatusCode)
	}
	return got, err
}

// get gets a page, or the first event of an open one. It returns the time that this took.
func (c *consoleBrowser) get(ctx context.Context, p consolePage) (text string, took time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	got, err := c.open(ctx, p)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = got.Body.Close() }()
	if p.stream {
		text, err = firstEvent(got.Body)
	} else {
		var all []byte
		all, err = io.ReadAll(got.Body)
		text = string(all)
	}
	took = time.Since(began)
	if has := purchaseLink.MatchString(text); err == nil && (p.finds == something && !has || p.finds == nothing && has) {
		err = fmt.Errorf("%s finds a purchase: %t", p.name, has)
	}
	return text, took, err
}

// firstEvent reads up to the end of the first event.
func firstEvent(from io.Reader) (string, error) {
	var text strings.Builder
	for lines := bufio.NewReader(from); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\n" {
			break
		}
		text.WriteString(line)
	}
	if !strings.Contains(text.String(), "\ndata: ") {
		return "", fmt.Errorf("the first event is %q", text.String())
	}
	return text.String(), nil
}

var (
	purchaseLink = regexp.MustCompile(`href="/console/purchases/[0-9A-Z]{26}"`)
	formOption   = regexp.MustCompile(`<option value="([A-Za-z_]*)"[^>]*>([^<]+)`)
	furtherPage  = regexp.MustCompile(`href="/console/([^"#]+)[^"]*">(?:Older|More)`)
)

// pages returns what is measured. The searches and states come from the form, so none is forgotten.
func (c *consoleBrowser) pages(b *testing.B, known consoleKnown) (all []consolePage) {
	b.Helper()
	in := func(path string) string {
		return fmt.Sprintf(path+"%.0[1]s%.0[2]s", known.Sold.ID, known.Waiting.ID)
	}
	show := strings.NewReplacer("%[1]s", "sold", "%[2]s", "waiting")
	for _, path := range consolePaths {
		all = append(all, consolePage{name: "/" + show.Replace(path), path: in(path)})
	}
	for _, path := range consoleStreams {
		all = append(all, consolePage{name: "/" + show.Replace(path) + ", first event", path: in(path), stream: true})
	}
	next := func(p consolePage, finds found) {
		text, _, err := c.get(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		for _, link := range furtherPage.FindAllStringSubmatch(text, -1) {
			name, _, _ := strings.Cut(link[1], "=")
			all = append(all, consolePage{name: p.name + ", next page of " + name, path: html.UnescapeString(link[1]), finds: finds})
		}
	}
	next(consolePage{name: "/money", path: "money"}, unknown)
	next(consolePage{name: "/purchases", path: "purchases"}, something)

	form, _, err := c.get(b.Context(), consolePage{name: "the search form", path: "purchases"})
	if err != nil {
		b.Fatal(err)
	}
	states, fields := []string{""}, map[string]string{}
	value := map[string]string{
		"request_id": known.Sold.Key.RequestID, "customer_uid": known.Sold.CustomerUID, "activated_item_uid": known.Sold.ItemUID,
		"inventory_item_id": known.Sold.Order.InventoryItemID, "metatag": known.Sold.Order.Metatag, "trace_id": known.Sold.Origin.Trace(),
	}
	for _, option := range formOption.FindAllStringSubmatch(form, -1) {
		switch by := option[1]; {
		case by == "any", by == "iccid", by == "": // the first is another name for request ids, and for the second the vendor is asked
		case strings.ToUpper(by) == by:
			states = append(states, by)
		case value[by] == "":
			b.Fatalf("BenchmarkConsole has no value for a search by %s", by)
		default:
			fields[by] = option[2]
		}
	}
	for _, state := range states[1:] {
		finds := something
		if state == "SENDING" || state == "ACCEPTED" {
			finds = unknown
		}
		all = append(all, consolePage{name: state, path: "purchases?state=" + state, finds: finds})
	}
	address := func(by, query, state string) string {
		return "purchases?" + url.Values{"by": {by}, "q": {query}, "state": {state}}.Encode()
	}
	for by, name := range fields {
		finds := something
		if by == "inventory_item_id" || by == "metatag" || by == "trace_id" { // a search without an index may have to go on
			finds = unknown
		}
		all = append(all, consolePage{name: name, path: address(by, value[by], ""), finds: finds})
		for _, state := range states {
			search := consolePage{
				name: strings.TrimSuffix("unknown "+name+", "+state, ", "), path: address(by, strings.Repeat("0", 32), state), finds: nothing,
			}
			all = append(all, search)
			if state == "" || state == "FAILED" {
				next(search, nothing)
			}
		}
	}
	return all
}
