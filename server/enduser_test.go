package server_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// The vendor gets an address in its canonical form. Orders that differ only in the address, or in its spelling, are the
// same order.
func TestAddressesAreCanonical(t *testing.T) {
	t.Parallel()
	bodies := &paidBodies{}
	g := open(t, setup{wrap: bodies.wrap})
	customer := g.sold(t).GetCustomer().GetUid()
	for given, sent := range map[string]string{
		"203.0.113.24":                            "203.0.113.24",
		"::ffff:203.0.113.24":                     "203.0.113.24",
		"::FFFF:CB00:7118":                        "203.0.113.24",
		"2001:0DB8:0000:0000:0000:0000:0000:0001": "2001:db8::1",
		"2001:db8:0:0:1:0:0:1":                    "2001:db8::1:0:0:1",
		"2001:db8:0:1:1:1:1:1":                    "2001:db8:0:1:1:1:1:1",
	} {
		for _, message := range []proto.Message{
			register(func(r *reg) { r.UserIp = given }),
			topUp(customer, withProfile(func(p *profile) { p.UserIp = given })),
		} {
			for _, d := range g.transports() {
				ordered := proto.Clone(message)
				set(ordered, "request_id", requestID())
				first := d.call(t, t.Context(), ask(ordered))
				first.ok(t)
				if got := bodies.last(t)["userIp"]; got != sent {
					t.Errorf("%s: %s was sent as %v, want %s", d.name, given, got, sent)
				}
				for _, spelling := range []string{given, sent, strings.ToUpper(sent), "198.51.100.7"} {
					again := proto.Clone(ordered)
					path := "user_ip"
					if _, ok := again.(*gigagatev1.TopUpRequest); ok {
						path = "new_profile.user_ip"
					}
					set(again, path, spelling)
					for _, replay := range g.transports() {
						g.checkReplay(t, replay, again, first)
					}
				}
			}
		}
	}
}

// Every country is accepted. The refusal of any other code says how to write a country.
func TestCountriesOnBothTransports(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, d := range g.transports() {
		taken := 0
		for first := 'A'; first <= 'Z'; first++ {
			for second := 'A'; second <= 'Z'; second++ {
				code := string([]rune{first, second})
				// The price limit stops the order before it reaches the vendor. A wrong country is refused before that.
				a := d.call(t, t.Context(), ask(register(func(r *reg) { r.UserCountry, r.MaxPurchasePrice = code, usd("0") })))
				switch reason := a.info.GetReason(); reason {
				case "MAX_PURCHASE_PRICE_EXCEEDED":
					taken++
				case "INVALID_FIELD":
					if !strings.Contains(a.text, "ISO 3166-1") {
						t.Errorf("%s: %s", code, a.text)
					}
				default:
					t.Errorf("%s: %s", code, a.text)
				}
			}
		}
		if taken != 249 {
			t.Errorf("%s: %d countries, ISO 3166-1 has 249", d.name, taken)
		}
	}
}
