package purchase

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"gigagate.internal/gigastore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnswered(t *testing.T) {
	t.Parallel()
	limit, _ := gigastore.ParseDecimal("5")
	order := Order{Kind: Register, MaxPurchasePrice: &Price{Amount: limit, Currency: "USD"}}
	sale := func(paid, currency string) *gigastore.Sale {
		s := &gigastore.Sale{Status: "success"}
		s.ActivatedItem.UID, s.Customer.UID = "item", "customer"
		s.Evidence = gigastore.Evidence{BytesWritten: 321, HTTPStatus: 200}
		if paid != "" {
			value, _ := gigastore.ParseDecimal(paid)
			s.ActivatedItem.PurchasePrice = &gigastore.Price{Value: value, Currency: currency}
		}
		return s
	}
	failure := func(effect gigastore.Effect) *gigastore.Error {
		return &gigastore.Error{Effect: effect, Reason: "R", Status: 402, Message: "mail a@example.com", BytesWritten: 7, SuccessSeen: true}
	}
	for _, c := range []struct {
		name    string
		sale    *gigastore.Sale
		err     error
		event   Event
		reason  Reason
		seen    bool
		anomaly bool
	}{
		{"sold", sale("4.99", "USD"), nil, AnsweredApplied, "", true, false},
		{"sold at the limit", sale("5.00", "USD"), nil, AnsweredApplied, "", true, false},
		{"sold above the limit", sale("5.01", "USD"), nil, AnsweredApplied, "", true, true},
		{"sold in another currency", sale("1", "EUR"), nil, AnsweredApplied, "", true, true},
		{"sold at an unknown price", sale("", ""), nil, AnsweredApplied, "", true, true},
		{"refused", nil, failure(gigastore.EffectRefused), AnsweredRefused, "R", true, false},
		{"no effect", nil, failure(gigastore.EffectNone), AnsweredNoEffect, "", true, false},
		{"unknown", nil, failure(gigastore.EffectUnknown), AnsweredUnknown, "", true, false},
		{"unknown, wrapped", nil, errors.Join(failure(gigastore.EffectUnknown)), AnsweredUnknown, "", true, false},
		{"an error of an unknown type", nil, context.DeadlineExceeded, AnsweredUnknown, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			transition, err := answered(&Purchase{Attempt: 2, Order: order}, []Price{*order.MaxPurchasePrice}, c.sale, c.err)
			if err != nil {
				t.Fatal(err)
			}
			if transition.Event != c.event || transition.Attempt != 2 || transition.Reason != c.reason || transition.SuccessSeen != c.seen || transition.Anomaly != c.anomaly {
				t.Errorf("got %+v", transition)
			}
			if c.sale != nil && (transition.ItemUID != "item" || transition.CustomerUID != "customer" || transition.Sale == nil ||
				transition.Evidence.ItemUID != "item" || transition.Evidence.BytesWritten != 321 || transition.Evidence.HTTPStatus != 200) {
				t.Errorf("a sale's change: %+v", transition)
			}
			if c.sale == nil && (transition.Sale != nil || transition.ItemUID != "") {
				t.Errorf("there was no sale, but the transition is %+v", transition)
			}
			if strings.Contains(transition.Evidence.Message+transition.Evidence.Explanation, "example.com") {
				t.Errorf("the evidence holds an e-mail: %+v", transition.Evidence)
			}
		})
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message, secret string }{
		{"e-mail", "customer jane.doe+x@mail.example.com exists", "jane"},
		{"e-mail in brackets", "customer <jane@example.com> exists", "example.com"},
		{"e-mail in a URL", "customer jane%40example.com exists", "jane"},
		{"e-mail in JSON", `customer jane\u0040example.com exists`, "jane"},
		{"IPv4", "blocked 203.0.113.24.", "203.0"},
		{"IPv4 after a word", "ip_203.0.113.24_blocked", "203.0"},
		{"IPv6", "blocked 2001:db8:0:1::7", "db8"},
		{"IPv6, shortest", "blocked fe80::", "fe80"},
		{"IPv6 with IPv4", "blocked ::ffff:203.0.113.24", "ffff"},
		{"URL", "see https://x.test/a?t=1", "x.test"},
		{"URL after a word", "_https://x.test/a", "x.test"},
		{"URL in JSON", `see https:\/\/x.test\/a?t=1`, "x.test"},
		{"URL in a URL", "see https%3A%2F%2Fx.test%2Fa", "x.test"},
		{"app link", "open dent-app://esim/1", "esim"},
		{"LPA", "code LPA:1$s.test$AB", "s.test"},
		{"LPA after a word", "codeLPA:1$s.test$AB", "s.test"},
		{"LPA in small letters", "code lpa:1$s.test$ab", "s.test"},
		{"LPA without its name", "code 1$s.test$AB", "s.test"},
		{"ICCID", "eSIM 89972000000000000012 used", "8997"},
		{"ICCID in groups", "eSIM 8997 2000 0000 0000 0012 used", "8997"},
		{"ICCID with dashes", "eSIM 8997-2000-0000-0000-0012 used", "0012"},
		{"IMSI", "IMSI 260060000000012 used", "26006"},
		{"phone", "call +30 694 000 0001", "694"},
		{"token", "token abcdef0123456789ABCDEF", "abcdef"},
		{"JWT", "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.SflKxwRJSMeKKF2Q", "eyJ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := scrub(c.message); strings.Contains(got, c.secret) {
				t.Errorf("scrub(%q) = %q", c.message, got)
			}
		})
	}
	for _, plain := range []string{
		"Insufficient credits.", "The expected price 9.99 USD does not match 14.99 USD.", "At 10:30 on 2026-03-01: try again in 30 s",
		"The activation mode ON_DEMAND is not available for this inventory item.", "Preis stimmt nicht: 4,99 €",
	} {
		if got := scrub(plain); got != plain {
			t.Errorf("scrub(%q) = %q: nothing in it is secret", plain, got)
		}
	}
	for _, before := range []string{"", "a", "aa", "aaa"} {
		for _, words := range []string{"é ", "€ ", "😀 "} {
			if got := scrub(before + strings.Repeat(words, 400)); len(got) > maxMessage || !utf8.ValidString(got) {
				t.Errorf("%q, then %q: %d bytes, valid %t", before, words, len(got), utf8.ValidString(got))
			}
		}
	}
}

// shapes are patterns that no scrubbed text may contain. They are independent of the scrubber's own patterns.
var shapes = map[string]*regexp.Regexp{
	"an e-mail":       regexp.MustCompile(`[A-Za-z0-9._+-]+@[A-Za-z0-9-]+\.[A-Za-z]+`),
	"an IPv4 address": regexp.MustCompile(`[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}`),
	"an LPA code":     regexp.MustCompile(`(?i)lpa:\S`),
	"a URL":           regexp.MustCompile(`(?i)[a-z]://\S`),
	"many digits":     regexp.MustCompile(`[0-9]{10,}`),
	"many in groups":  regexp.MustCompile(`([0-9]{3,5}[ -]){3}[0-9]{3,5}`),
	"a long token":    regexp.MustCompile(`[A-Za-z0-9_-]{16,}`),
}

func FuzzScrub(f *testing.F) {
	f.Add("customer jane@example.com from 203.0.113.24 has LPA:1$smdp.example.net$ABC")
	f.Add("see HTTPS://x.test/a 89972000000000000012 8997 2000 0000 0000 0012")
	f.Add("_a://b 1.2.3.4.5.6 \u00a0@\u2003x.y LPA:LPA:1")
	f.Fuzz(func(t *testing.T, message string) {
		text := scrub(message)
		for name, shape := range shapes {
			if found := shape.FindString(text); found != "" {
				t.Errorf("%s survives in %q: %q", name, text, found)
			}
		}
		if len(text) > maxMessage {
			t.Errorf("%d bytes", len(text))
		}
		if utf8.ValidString(message) && !utf8.ValidString(text) {
			t.Errorf("%q is cut inside a character", text)
		}
	})
}
