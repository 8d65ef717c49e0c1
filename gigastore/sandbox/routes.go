package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one call of the vendor's API.
type route struct {
	method  string
	pattern string               // {name} matches one path segment
	open    bool                 // needs no access token
	paid    bool                 // spends credit
	reads   bool                 // reads one customer or sold package
	lists   bool                 // reads many of them
	exists  func(*Settings) bool // nil: always
	handle  func(*world, *call) answer
}

var routes = []*route{
	{method: http.MethodPost, pattern: "/reseller/authenticate", open: true, handle: authenticate},
	{method: http.MethodGet, pattern: "/gigastore/version", open: true, handle: getVersion},

	{method: http.MethodPost, pattern: "/gigastore/activations/register", paid: true, handle: sell(KindRegister)},
	{method: http.MethodPost, pattern: "/gigastore/activations/top-up", paid: true, handle: sell(KindTopUp)},
	{method: http.MethodPost, pattern: "/gigastore/activations/top-up-with-profile", paid: true, handle: sell(KindTopUpWithProfile)},

	{method: http.MethodGet, pattern: "/gigastore/activations/activated-items", lists: true, handle: listItems},
	{method: http.MethodGet, pattern: "/gigastore/activations/activated-items/{uid}", reads: true, handle: getItem},
	{method: http.MethodPost, pattern: "/gigastore/activations/activated-items/{uid}/activate", handle: activateItem},
	{method: http.MethodPost, pattern: "/activations/activated-items/{uid}/refund", exists: refundPathIsNot(RefundPathPrefixed), handle: refundItem},
	{method: http.MethodPost, pattern: "/gigastore/activations/activated-items/{uid}/refund", exists: refundPathIsNot(RefundPathBare), handle: refundItem},

	{method: http.MethodGet, pattern: "/gigastore/activations/customers", lists: true, handle: listCustomers},
	{method: http.MethodGet, pattern: "/gigastore/activations/customers/{uid}", reads: true, handle: getCustomer},
	{method: http.MethodPut, pattern: "/gigastore/activations/customers/{uid}", handle: putCustomer},
	{method: http.MethodGet, pattern: "/gigastore/activations/customers/{uid}/profile-domains", handle: listProfileDomains},
	{method: http.MethodPost, pattern: "/gigastore/activations/search-customers", lists: true, handle: searchCustomers},

	{method: http.MethodGet, pattern: "/gigastore/products/inventory", handle: listInventory},
	{method: http.MethodGet, pattern: "/gigastore/products/inventory/{id}", handle: getInventoryItem},
	{method: http.MethodPut, pattern: "/gigastore/products/inventory/{id}", handle: putInventoryItem},

	{method: http.MethodGet, pattern: "/gigastore/esim/countries/{set}", handle: listCountries},
	{method: http.MethodGet, pattern: "/gigastore/esim/countries/{code}/flag", handle: getFlag},
	{method: http.MethodGet, pattern: "/gigastore/esim/{iccid}/status/connectivity", handle: getConnectivity},
}

func refundPathIsNot(absent RefundPath) func(*Settings) bool {
	return func(s *Settings) bool { return s.RefundPath != absent }
}

// hasBody reports whether the call takes a JSON body.
func (r *route) hasBody() bool {
	return r.paid || r.method == http.MethodPut || strings.HasSuffix(r.pattern, "/search-customers")
}

// routesAt returns the routes of a path for all methods, and the values of its
// variable segments.
func routesAt(escapedPath string) (found []*route, values map[string]string) {
	path := strings.Split(escapedPath, "/")
	for _, r := range routes {
		if v, ok := r.match(path); ok {
			found, values = append(found, r), v
		}
	}
	return found, values
}

// routesBelow returns the routes with a path that starts with prefix.
func routesBelow(prefix string) []*route {
	var found []*route
	for _, r := range routes {
		head, _, _ := strings.Cut(r.pattern, "{") // up to the first variable segment
		if strings.HasPrefix(head, prefix) || head != r.pattern && strings.HasPrefix(prefix, head) {
			found = append(found, r)
		}
	}
	return found
}

// match compares a path with the pattern, segment by segment. It returns the
// values of the variable segments.
func (r *route) match(path []string) (values map[string]string, ok bool) {
	rest, more := r.pattern, true
	for _, segment := range path {
		if !more {
			return nil, false
		}
		var want string
		want, rest, more = strings.Cut(rest, "/")
		got, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return nil, false
		case strings.HasPrefix(want, "{"):
			if values == nil {
				values = map[string]string{}
			}
			values[strings.Trim(want, "{}")] = got
		case want != got:
			return nil, false
		}
	}
	return values, !more
}

func methodsOf(found []*route) []string {
	var methods []string
	for _, r := range found {
		if !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	return methods
}
