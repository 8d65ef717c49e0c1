package access

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// certificate is what TLS has verified.
func certificate(names ...string) *x509.Certificate {
	c := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			c.URIs = append(c.URIs, u)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

const twoCallers = `
issuers:
  - issuer: https://login.example.com
    audience: gigagate
    jwks_file: keys.json
callers:
  - name: shop
    identities:
      - certificate: spiffe://corp.example/shop
      - certificate: shop.corp.example
      - jwt: {issuer: https://login.example.com, subject: shop}
  - name: billing
    identities:
      - certificate: spiffe://corp.example/billing
      - jwt: {issuer: https://login.example.com, subject: billing}
`

func TestIdentify(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jose.ES256, "e1")
	d := withKeys(t, twoCallers, s.public)
	bearer := func(subject string) string { return "Bearer " + s.sign(t, claims(now, map[string]any{"sub": subject})) }
	shop, billing, wrong := bearer("shop"), bearer("billing"), bearer("nobody")
	shopByName := certificate("shop.corp.example")
	old, early := certificate("spiffe://corp.example/shop"), certificate("spiffe://corp.example/shop")
	old.NotAfter, early.NotBefore = now.Add(-time.Second), now.Add(time.Second)
	withCommonName, withEmail := certificate(), certificate()
	withCommonName.Subject.CommonName = "shop.corp.example"
	withEmail.EmailAddresses = []string{"shop.corp.example"}
	for name, test := range map[string]struct {
		credentials Credentials
		who         string
		why         refusal
	}{
		"a URI":                                {Credentials{Certificate: certificate("spiffe://corp.example/shop")}, "shop", ""},
		"a DNS name":                           {Credentials{Certificate: shopByName}, "shop", ""},
		"two names of one caller":              {Credentials{Certificate: certificate("shop.corp.example", "spiffe://corp.example/shop", "other.corp.example")}, "shop", ""},
		"a token":                              {Credentials{Authorization: []string{billing}}, "billing", ""},
		"a scheme in small letters":            {Credentials{Authorization: []string{strings.Replace(billing, "Bearer", "bearer", 1)}}, "billing", ""},
		"a certificate and a token of one":     {Credentials{Certificate: shopByName, Authorization: []string{shop}}, "shop", ""},
		"a certificate and a token of two":     {Credentials{Certificate: shopByName, Authorization: []string{billing}}, "", disagree},
		"a certificate and a wrong token":      {Credentials{Certificate: shopByName, Authorization: []string{wrong}}, "", unknownSubject},
		"an unknown certificate and a token":   {Credentials{Certificate: certificate("spiffe://corp.example/x"), Authorization: []string{shop}}, "", unknownCertificate},
		"a certificate of two callers":         {Credentials{Certificate: certificate("shop.corp.example", "spiffe://corp.example/billing")}, "", disagree},
		"a certificate without names":          {Credentials{Certificate: certificate()}, "", unknownCertificate},
		"the common name":                      {Credentials{Certificate: withCommonName}, "", unknownCertificate},
		"an e-mail address":                    {Credentials{Certificate: withEmail}, "", unknownCertificate},
		"a longer path":                        {Credentials{Certificate: certificate("spiffe://corp.example/shop/x")}, "", unknownCertificate},
		"another trust domain":                 {Credentials{Certificate: certificate("spiffe://evil.example/shop")}, "", unknownCertificate},
		"an expired certificate":               {Credentials{Certificate: old}, "", expired},
		"a certificate that is not valid yet":  {Credentials{Certificate: early}, "", notYetValid},
		"nothing":                              {Credentials{}, "", missing},
		"two values, the same":                 {Credentials{Authorization: []string{shop, shop}}, "", malformed},
		"two values of two callers":            {Credentials{Authorization: []string{shop, billing}}, "", malformed},
		"a certificate and an empty header":    {Credentials{Certificate: shopByName, Authorization: []string{""}}, "", malformed},
		"two tokens in one value":              {Credentials{Authorization: []string{shop + ", " + billing}}, "", malformed},
		"another scheme":                       {Credentials{Authorization: []string{"Basic c2hvcDpzaG9w"}}, "", malformed},
		"no scheme":                            {Credentials{Authorization: []string{strings.TrimPrefix(shop, "Bearer ")}}, "", malformed},
		"no token":                             {Credentials{Authorization: []string{"Bearer "}}, "", malformed},
		"two spaces":                           {Credentials{Authorization: []string{strings.Replace(shop, " ", "  ", 1)}}, "", malformed},
		"a huge token":                         {Credentials{Authorization: []string{"Bearer " + strings.Repeat("a", longestToken+1)}}, "", malformed},
		"a huge token with a good certificate": {Credentials{Certificate: shopByName, Authorization: []string{shop + strings.Repeat("a", longestToken)}}, "", malformed},
		"a name of the file as the token":      {Credentials{Authorization: []string{"Bearer shop"}}, "", malformed},
		"the certificate's name as the token":  {Credentials{Authorization: []string{"Bearer spiffe://corp.example/shop"}}, "", malformed},
	} {
		p, why := d.identify(t.Context(), test.credentials, now)
		if why != test.why || p == nil != (test.who == "") || p != nil && p.Name != test.who {
			t.Errorf("%s: %+v, refused for %q, want %q", name, p, why, test.why)
		}
	}
	// The certificate is not changed: other calls of the connection read it at the same time.
	if !slices.Equal(shopByName.DNSNames, []string{"shop.corp.example"}) {
		t.Errorf("the names are %v", shopByName.DNSNames)
	}
}

// Whatever the header has, only the exact key makes a call shop's.
func FuzzAuthorization(f *testing.F) {
	key, file := fuzzKey()
	d, err := decode([]byte(strings.Replace(file, "callers:", "issuers:\n- {issuer: 'https://a.b', audience: a}\ncallers:", 1)), "")
	if err != nil {
		f.Fatal(err)
	}
	for _, value := range []string{"Bearer " + key, "bearer " + key, "Bearer  " + key, "Bearer " + key + " ", "Basic eDp5", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", ""} {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	f.Fuzz(func(t *testing.T, first, second string, two bool) {
		values := []string{first}
		if two {
			values = append(values, second)
		}
		scheme, token, _ := strings.Cut(first, " ")
		want := !two && strings.EqualFold(scheme, "bearer") && token == key
		p, why := d.identify(t.Context(), Credentials{Authorization: values}, now)
		if (p != nil) != want || (why == "") != want {
			t.Errorf("%q is %v, refused for %q", values, p, why)
		}
	})
}
