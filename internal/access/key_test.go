package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// withKey returns a callers file in which shop has a key.
func withKey(id, sum string) string {
	return fmt.Sprintf("callers:\n- name: shop\n  identities:\n  - key: {id: %s, sha256: %s}\n", id, sum)
}

func TestKeyIdentifiesItsCaller(t *testing.T) {
	t.Parallel()
	first, firstID, firstSum := NewKey()
	second, secondID, secondSum := NewKey()
	// Both keys of a rotation work.
	d := directory(t, withKey(firstID, firstSum)+fmt.Sprintf("  - key: {id: %s, sha256: %s}\n", secondID, secondSum))
	for _, key := range []string{first, second} {
		if p, why := d.byToken(t.Context(), key, now); why != "" || p.Name != "shop" {
			t.Errorf("refused for %q", why)
		}
	}
	if !regexp.MustCompile(`^gg_[a-z0-9]{8}_[0-9A-Za-z]{49}$`).MatchString(first) || first == second {
		t.Errorf("the keys %s and %s", first, second)
	}
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	key, id, sum := NewKey()
	d := directory(t, withKey(id, sum))
	other, otherID, _ := NewKey()
	body := key[:len(key)-checksumDigits]
	// forged makes a key with the right checksum.
	forged := func(body string) string { return body + checksum(body) }
	for name, test := range map[string]struct {
		key string
		why refusal
	}{
		"an unknown id":              {other, unknownKey},
		"our secret, another id":     {forged(strings.Replace(body, id, otherID, 1)), unknownKey},
		"our id, another secret":     {forged(strings.Replace(other[:len(other)-checksumDigits], otherID, id, 1)), unknownKey},
		"the last digit of a secret": {forged(body[:len(body)-1] + string(otherDigit(body[len(body)-1]))), unknownKey},
		"the first digit":            {forged(strings.Replace(body, id+"_"+body[len("gg_"+id+"_"):][:1], id+"_"+string(otherDigit(body[len("gg_"+id+"_")])), 1)), unknownKey},
		"a typing error":             {body[:20] + string(otherDigit(body[20])) + key[21:], malformed},
		"a part":                     {key[:len(key)-1], malformed},
		"more":                       {key + "0", malformed},
		"only the prefix":            {"gg_", malformed},
		"no secret":                  {forged("gg_" + id + "_"), malformed},
		"the stored sum":             {"gg_" + id + "_" + sum, malformed},
		"an id in capitals":          {forged("gg_" + strings.ToUpper(id) + body[len("gg_"+id):]), malformed},
		"a long id":                  {forged("gg_" + strings.Repeat("a", 17) + body[len("gg_"+id):]), malformed},
		"another sign":               {forged(body[:len(body)-1] + "-"), malformed},
		"a huge key":                 {"gg_" + strings.Repeat("a", longestToken), malformed},
	} {
		if p, why := d.byToken(t.Context(), test.key, now); p != nil || why != test.why {
			t.Errorf("%s: refused for %q, want %q", name, why, test.why)
		}
	}
}

func otherDigit(digit byte) byte {
	if digit == 'a' {
		return 'b'
	}
	return 'a'
}

// A scanner that looks for leaked secrets, and somebody who types a key, find an error without the callers file.
func TestChecksumFindsTypingErrors(t *testing.T) {
	t.Parallel()
	key, _, _ := NewKey()
	for i := len(keyPrefix); i < len(key); i++ {
		if _, ok := keyID(key[:i] + string(otherDigit(key[i])) + key[i+1:]); ok {
			t.Errorf("a wrong digit %d is not noticed", i)
		}
	}
}

// The whole sum is compared: a key with a similar sum is another key.
func TestSimilarSum(t *testing.T) {
	t.Parallel()
	key, id, sum := NewKey()
	for _, i := range []int{0, 31, 63} {
		digit := "0"
		if sum[i] == '0' {
			digit = "1"
		}
		if _, why := directory(t, withKey(id, sum[:i]+digit+sum[i+1:])).byKey(key); why != unknownKey {
			t.Errorf("digit %d of the sum is not compared", i)
		}
	}
}

// fuzzKey is a key that is the same in every process of a fuzz test.
func fuzzKey() (key, file string) {
	body := "gg_abcdefgh_" + strings.Repeat("x9Z", 14) + "0"
	key = body + checksum(body)
	sum := sha256.Sum256([]byte(key))
	return key, withKey("abcdefgh", hex.EncodeToString(sum[:]))
}

func FuzzKey(f *testing.F) {
	key, file := fuzzKey()
	d, err := decode([]byte(file), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key)
	f.Add(key[:30])
	f.Add("gg_abcdef_" + strings.Repeat("0", 49))
	f.Add("gg__" + key)
	f.Fuzz(func(t *testing.T, text string) {
		if p, why := d.byKey(text); (p != nil) != (text == key) || (why == "") != (text == key) {
			t.Errorf("%q is %v, refused for %q", text, p, why)
		}
	})
}
