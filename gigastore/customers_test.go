package gigastore

import (
	"errors"
	"net/http"
	"testing"
)

// TestCustomerOfESIM: it is not documented how the vendor searches. So only a customer whose record shows the eSIM is found, and an
// answer that does not name exactly one is no answer.
func TestCustomerOfESIM(t *testing.T) {
	const iccid = "89972000000000000012"
	const own = `{"customer":{"uid":"c-1"},"relatedEsims":[{"iccid":"89972000000000000010"},{"iccid":"` + iccid + `"}],"new":1}`
	const other = `{"customer":{"uid":"c-2"},"relatedEsims":[{"iccid":"899720000000000000123"}]}`
	for name, test := range map[string]struct {
		answer string
		uid    string // of the customer that is found
		fails  bool
	}{
		"one":                   {`{"customers":[` + own + `]}`, "c-1", false},
		"an array":              {`[` + own + `]`, "c-1", false},
		"another one first":     {`{"customers":[` + other + `,` + own + `],"total":2}`, "c-1", false},
		"the same one twice":    {`{"customers":[` + own + `,` + other + `,` + own + `]}`, "c-1", false},
		"none":                  {`{"customers":[]}`, "", false},
		"null":                  {`{"customers":null}`, "", false},
		"an empty object":       {`{}`, "", false},
		"only another one":      {`{"customers":[` + other + `]}`, "", true},
		"no eSIMs":              {`{"customers":[{"customer":{"uid":"c-1"}}]}`, "", true},
		"no uid":                {`{"customers":[{"relatedEsims":[{"iccid":"` + iccid + `"}]}]}`, "", true},
		"two have it":           {`{"customers":[` + own + `,{"customer":{"uid":"c-3"},"relatedEsims":[{"iccid":"` + iccid + `"}]}]}`, "", true},
		"eSIMs cannot be read":  {`{"customers":[{"customer":{"uid":"c-1"},"relatedEsims":7}]}`, "", true},
		"no list of customers":  {`{"customers":"none"}`, "", true},
		"no JSON":               {`<html>`, "", true},
		"nothing":               {``, "", true},
		"an iccid not a string": {`{"customers":[{"customer":{"uid":"c-1"},"relatedEsims":[{"iccid":89972000000000000012}]}]}`, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			vendor := newRawVendor(t, func(c *rawConn, r *http.Request) {
				if r.RequestURI != routes[OpSearchCustomers].template {
					t.Errorf("the address is %s", r.RequestURI)
				}
				c.answer(200, "application/json", test.answer)
			})
			client := newTestClient(t, Config{BaseURL: vendor.url()})
			record, found, err := client.CustomerOfESIM(t.Context(), iccid)
			if found != (test.uid != "") || record.Customer.UID != test.uid || (err != nil) != test.fails {
				t.Errorf("found %t %q, %v", found, record.Customer.UID, err)
			}
			if e, ok := errors.AsType[*Error](err); test.fails && (!ok || e.Operation != OpSearchCustomers || e.Effect != EffectUnknown) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
