package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// submit sends a form to the whole console, with everything that a browser writes into a log.
func submit(t *testing.T, c *Console, path string, form url.Values, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(access.With(t.Context(), access.Open), http.MethodPost, Root+path, strings.NewReader(form.Encode()))
	r.Header = header
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	shown := httptest.NewRecorder()
	c.ServeHTTP(shown, r)
	return shown
}

// TestNoAddressHasAnICCID: the form posts what a person searches. The address of the list has the customer who has the eSIM.
func TestNoAddressHasAnICCID(t *testing.T) {
	t.Parallel()
	const iccid = "89972000000000000012"
	for _, test := range []struct{ query, by, state, next, asks string }{
		{" " + iccid + " ", "iccid", "FAILED", "by=customer_uid&q=customer-1&state=FAILED", iccid},
		{iccid, "any", "", "by=customer_uid&q=customer-1", iccid},
		{iccid, "customer_uid", "", "by=customer_uid&q=customer-1", iccid},
		{"8997200000", "iccid", "", "by=customer_uid&q=customer-1", "8997200000"}, // the service says what is wrong with it
		{"order-1", "any", "", "by=any&q=order-1", ""},
		{"17320000000000000012", "any", "", "by=any&q=17320000000000000012", ""}, // a request id
		{"order-1", "metatag", "FAILED", "by=metatag&q=order-1&state=FAILED", ""},
		{"", "iccid", "FAILED", "by=iccid&state=FAILED", ""},
	} {
		s := &scripted{answers: map[string]proto.Message{"FindCustomer": &gigagatev1.FindCustomerResponse{CustomerUid: "customer-1"}}}
		shown := submit(t, newScriptedConsole(t, s, nil), "purchases", url.Values{"q": {test.query}, "by": {test.by}, "state": {test.state}}, http.Header{})
		if next := shown.Header().Get("Location"); shown.Code != http.StatusSeeOther || next != Root+"purchases?"+test.next {
			t.Errorf("%q in %s: %d, the next address is %q", test.query, test.by, shown.Code, next)
		}
		asked, _ := s.asked["FindCustomer"].(*gigagatev1.FindCustomerRequest)
		if asked.GetIccid() != test.asks {
			t.Errorf("%q in %s: the vendor is asked for %q", test.query, test.by, asked.GetIccid())
		}
	}
}

// TestSearchFormPosts: a browser writes the fields of a form into the address, unless the form posts.
func TestSearchFormPosts(t *testing.T) {
	t.Parallel()
	shown := httptest.NewRecorder()
	newScriptedConsole(t, &scripted{}, nil).ServeHTTP(shown, visit(t, access.Open, "purchases"))
	form := regexp.MustCompile(`<form class="search[^>]*>`).FindString(shown.Body.String())
	if !strings.Contains(form, `method="post"`) || !strings.Contains(shown.Body.String(), `<option value="iccid">ICCID</option>`) {
		t.Errorf("the form is %s in\n%s", form, shown.Body)
	}
}

// TestUnknownICCID: the page says that nobody has the eSIM, and does not repeat its number. A page of another site cannot search.
func TestUnknownICCID(t *testing.T) {
	t.Parallel()
	const iccid = "89972000000000000012"
	form := url.Values{"q": {iccid}, "by": {"iccid"}}
	s := &scripted{errors: map[string]error{"FindCustomer": status.Error(codes.NotFound, "no such customer was found")}}
	c := newScriptedConsole(t, s, nil)
	shown := submit(t, c, "purchases", form, http.Header{})
	if text := shown.Body.String(); shown.Code != http.StatusNotFound || !strings.Contains(text, "No customer has this eSIM") || strings.Contains(text, iccid) {
		t.Errorf("%d\n%s", shown.Code, text)
	}
	clear(s.asked)
	shown = submit(t, c, "purchases", form, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}})
	if shown.Code != http.StatusForbidden || len(s.asked) > 0 {
		t.Errorf("a page of another site searches: %d, %v", shown.Code, s.asked)
	}
}
