package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash/crc32"
	"math/big"
	"strings"
)

// An API key is gg_<id>_<secret><checksum>. The id finds the key's entry in the callers file. The secret is 256 random bits.
// The checksum shows a typing error without a look-up, and lets scanners that look for leaked secrets recognize a key.
const (
	keyPrefix      = "gg_"
	secretDigits   = 43 // 62^43 > 2^256
	checksumDigits = 6  // 62^6 > 2^32
	longestKey     = len(keyPrefix) + 16 + len("_") + secretDigits + checksumDigits
)

// storedKey is what the callers file has of a key.
type storedKey struct {
	sum       [sha256.Size]byte // of the whole key
	principal *Principal
}

// NewKey makes an API key, and returns its id and the SHA-256 of the whole key in hexadecimal digits.
func NewKey() (key, id, sum string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, says its documentation
	id = strings.ToLower(rand.Text()[:8])
	digits := new(big.Int).SetBytes(secret[:]).Text(62)
	body := keyPrefix + id + "_" + strings.Repeat("0", secretDigits-len(digits)) + digits
	key = body + checksum(body)
	hash := sha256.Sum256([]byte(key))
	return key, id, hex.EncodeToString(hash[:])
}

// checksum returns six base62 digits of a CRC-32.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var digits [checksumDigits]byte
	for i := range digits {
		digits[len(digits)-1-i] = base62Digits[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// keyID returns the id of a key. It fails if the text has another form, or if its checksum is wrong.
func keyID(key string) (id string, ok bool) {
	if len(key) > longestKey {
		return "", false
	}
	id, rest, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), "_")
	if len(id) < 6 || len(id) > 16 || strings.Trim(id, keyIDDigits) != "" || len(rest) != secretDigits+checksumDigits || strings.Trim(rest, base62Digits) != "" {
		return "", false
	}
	body := key[:len(key)-checksumDigits]
	return id, key == body+checksum(body)
}

const keyIDDigits = "0123456789abcdefghijklmnopqrstuvwxyz"

const base62Digits = keyIDDigits + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// byKey finds the principal of an API key. A key with an unknown id costs the same work as a wrong key with a known id.
func (d *Directory) byKey(key string) (*Principal, refusal) {
	id, ok := keyID(key)
	if !ok {
		return nil, malformed
	}
	sum := sha256.Sum256([]byte(key))
	stored := d.keys[id] // zero if the id is unknown: then it has the principal nil, and no key has this sum
	if subtle.ConstantTimeCompare(sum[:], stored.sum[:]) != 1 {
		return nil, unknownKey
	}
	return stored.principal, ""
}

// hexSum decodes a SHA-256. The caller has checked its digits.
func hexSum(digits string) (sum [sha256.Size]byte) {
	_, _ = hex.Decode(sum[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
	return sum
}

// IsKey reports whether a text has the form of an API key.
func IsKey(text string) bool {
	_, ok := keyID(text)
	return ok && strings.HasPrefix(text, keyPrefix)
}
