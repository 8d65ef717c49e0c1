package sandbox

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"unicode/utf8"
)

// body reads the members of a request's JSON object. It keeps one sentence,
// about the first fault it meets. It matches member names exactly, which Go's
// decoding into structs does not.
type body struct {
	members  map[string]json.RawMessage
	read     []string
	sentence string // of the first fault; empty if there is none
}

func newBody(data []byte) *body {
	b := &body{}
	if !utf8.Valid(data) || json.Unmarshal(data, &b.members) != nil || b.members == nil {
		b.sentence = SentenceMalformedBody
	}
	return b
}

func (b *body) fail(format string, args ...any) {
	if b.sentence == "" {
		b.sentence = fmt.Sprintf(format, args...)
	}
}

// member returns the raw value of a member. null counts as absent.
func (b *body) member(name string) (json.RawMessage, bool) {
	b.read = append(b.read, name)
	raw, ok := b.members[name]
	return raw, ok && string(raw) != "null"
}

// text reads an optional string. It returns "" if the member is absent.
func (b *body) text(name string) string {
	raw, ok := b.member(name)
	if !ok {
		return ""
	}
	var value string
	if json.Unmarshal(raw, &value) != nil {
		b.fail("The field %s must be a string.", name)
	}
	return value
}

func (b *body) requiredText(name string) string {
	value := b.text(name)
	if value == "" {
		b.fail("The field %s is required.", name)
	}
	return value
}

func (b *body) flag(name string, absent bool) bool {
	raw, ok := b.member(name)
	if !ok {
		return absent
	}
	var value bool
	if json.Unmarshal(raw, &value) != nil {
		b.fail("The field %s must be true or false.", name)
	}
	return value
}

// index reads a whole number that is not negative. It returns absent if the
// member is absent.
func (b *body) index(name string, absent int) int {
	raw, ok := b.member(name)
	if !ok {
		return absent
	}
	var value int
	if json.Unmarshal(raw, &value) != nil || value < 0 {
		b.fail("The field %s must be a whole number that is not negative.", name)
	}
	return value
}

// price is a price in a request. sortIndex has no known meaning, so it is not
// read.
type price struct {
	value    *big.Rat
	currency string
}

// price reads an optional price object. It returns nil if the member is absent.
func (b *body) price(name string) *price {
	raw, ok := b.member(name)
	if !ok {
		return nil
	}
	var wire struct {
		PriceValue   json.RawMessage `json:"priceValue"`
		CurrencyCode string          `json:"currencyCode"`
	}
	if json.Unmarshal(raw, &wire) != nil {
		b.fail("The field %s must be a price.", name)
		return nil
	}
	value, ok := exactNumber(wire.PriceValue)
	if !ok || value.Sign() < 0 {
		b.fail("The field %s.priceValue must be a number that is not negative.", name)
		return nil
	}
	if wire.CurrencyCode == "" {
		b.fail("The field %s.currencyCode is required.", name)
		return nil
	}
	return &price{value, wire.CurrencyCode}
}

// end refuses members that nobody read, if the policy says so.
func (b *body) end(policy UnknownMembersPolicy) {
	if policy != UnknownMembersRefused {
		return
	}
	for name := range b.members {
		if !slices.Contains(b.read, name) {
			b.fail("The request body has an unknown field.")
		}
	}
}
