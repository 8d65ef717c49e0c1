package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

// played sends a body to a path without a network.
func played(box *sandbox.Sandbox, path, token string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	if token == "" {
		request.SetBasicAuth("a", "b")
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	box.ServeHTTP(recorder, request)
	return recorder
}

// FuzzRegister: every body gives either one sale at the catalogue's price, or a
// refusal that spends nothing.
func FuzzRegister(f *testing.F) {
	for _, name := range []string{"register-request", "top-up-request", "top-up-with-profile-request"} {
		data, err := os.ReadFile("../testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"expectedPrice":{"priceValue":1e999999999,"currencyCode":"USD"}}`))
	f.Add([]byte(`{"metatag":"\ud800","activationMode":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		box, err := sandbox.New(sandbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var auth struct{ AccessToken string }
		if err := json.Unmarshal(played(box, "/reseller/authenticate", "", nil).Body.Bytes(), &auth); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{register, topUp, topUpProfile, search} {
			before := box.Ledger()
			got := played(box, path, auth.AccessToken, body)
			after := box.Ledger()
			sold := len(after.Sales) - len(before.Sales)
			if !json.Valid(got.Body.Bytes()) || (got.Code != http.StatusOK && sold != 0) || (path != search && got.Code == http.StatusOK && sold != 1) {
				t.Fatalf("%s: status %d, %d sales, body %s", path, got.Code, sold, got.Body)
			}
			if sold == 1 && before.CreditLeft-after.CreditLeft != after.Sales[len(before.Sales)].PurchasePrice {
				t.Fatalf("credit went from %v to %v", before.CreditLeft, after.CreditLeft)
			}
		}
	})
}

// FuzzControl: every body is accepted, or refused with a sentence. After an
// accepted one the sandbox still answers.
func FuzzControl(f *testing.F) {
	f.Add("faults", []byte(`{"path":"/gigastore/activations/register","fault":"reset_before","count":3,"params":{"afterBytes":"request"}}`))
	f.Add("faults", []byte(`{"path":"/gigastore/*","fault":"slow_body","params":{"interval":"1h","bytes":1}}`))
	f.Add("clock", []byte(`{"advance":"36500d"}`))
	f.Add("connect", []byte(`{"iccid":"89972","country":"GR"}`))
	f.Add("use", []byte(`{"itemUid":"a","bytes":1}`))
	f.Add("reset", []byte(`{"seed":18446744073709551615,"settings":{"initialCredit":1e10,"pendingPeriod":"1ns"}}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		switch path {
		case "faults", "clock", "connect", "use", "reset":
		default:
			t.Skip()
		}
		box, err := sandbox.New(sandbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		got := played(box, "/_sandbox/"+path, "", body)
		if !json.Valid(got.Body.Bytes()) || got.Code != http.StatusOK && got.Code != http.StatusBadRequest {
			t.Fatalf("status %d, body %s", got.Code, got.Body)
		}
		if got.Code == http.StatusBadRequest && !strings.HasPrefix(got.Body.String(), `{"error":"`) {
			t.Fatalf("no sentence in %s", got.Body)
		}
		box.Disarm()
		if auth := played(box, "/reseller/authenticate", "", nil); auth.Code != http.StatusOK {
			t.Fatalf("status %d after %s", auth.Code, body)
		}
	})
}
