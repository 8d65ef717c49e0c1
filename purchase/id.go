package purchase

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"

	"github.com/oklog/ulid/v2"
)

// newID makes the id of a purchase. Nobody can compute the next id from earlier ones. ulid.Make does not give that: its
// entropy is seeded with the time of the process's start.
func newID(entropy ulid.MonotonicReader) string {
	for {
		id, err := ulid.New(ulid.Now(), entropy)
		switch {
		case err == nil:
			return id.String()
		case !errors.Is(err, ulid.ErrMonotonicOverflow): // which begins anew
			panic(err)
		}
	}
}

func (c Config) random() io.Reader { return cmp.Or[io.Reader](c.Entropy, rand.Reader) }

// increasing makes ids of the same millisecond sort in the order they were made. Each adds up to 64 random bits to the one
// before.
func increasing(random io.Reader) ulid.MonotonicReader {
	return &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(random, math.MaxUint64)}
}

// idempotencyKey is the vendor's idempotency-key header of a purchase: 64 hexadecimal digits, the
// most the vendor is thought to take, and a function of the key alone, so that even a gateway whose
// journal was lost repeats the key of the sale it forgot.
func idempotencyKey(key Key) string {
	sum := sha256.Sum256([]byte(key.Caller + "\x00" + key.RequestID))
	return hex.EncodeToString(sum[:])
}
