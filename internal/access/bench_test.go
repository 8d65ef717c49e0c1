package access

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// BenchmarkIdentify measures what one call costs, by its credential.
func BenchmarkIdentify(b *testing.B) {
	key, file := fuzzKey()
	d, err := decode([]byte(file), "")
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, d *Directory, at time.Time, c Credentials) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, why := d.identify(b.Context(), c, at); why != "" {
					b.Fatal(why)
				}
			}
		})
	}
	run("key", d, now, Credentials{Authorization: []string{"Bearer " + key}})
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		s := newSigner(b, algorithm, "1")
		run(string(algorithm), withKeys(b, twoCallers, s.public), now, Credentials{Authorization: []string{"Bearer " + s.sign(b, claims(now, nil))}})
	}
	s := newSigner(b, jose.ES256, "1")
	run("certificate", withKeys(b, twoCallers, s.public), now, Credentials{Certificate: certificate("spiffe://corp.example/shop")})
}
