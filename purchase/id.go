package purchase

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"time"

	"github.com/oklog/ulid/v2"
)

// newID returns the id of a new purchase. Nobody can compute the next id from earlier ones. ulid.Make does not
// guarantee this, because it seeds its entropy with the start time of the process.
func newID(entropy ulid.MonotonicReader) string {
	for {
		id, err := ulid.New(ulid.Now(), entropy)
		switch {
		case err == nil:
			return id.String()
		case !errors.Is(err, ulid.ErrMonotonicOverflow): // on overflow, try again
			panic(err)
		}
	}
}

// firstID returns the lowest id that can be made at or after a time. It is empty for the zero time.
func firstID(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	var id ulid.ULID
	ms := min(max(0, at.Add(time.Millisecond-1).UnixMilli()), int64(ulid.MaxTime())) //nolint:gosec // 48 bits
	_ = id.SetTime(uint64(ms))                                                       //nolint:gosec // not negative
	return id.String()
}

// increasing makes ids of the same millisecond sort in the order they were made. Each adds up to 64 random bits
// to the one before.
func increasing(random io.Reader) ulid.MonotonicReader {
	return &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(random, math.MaxUint64)}
}

// idempotencyKey returns the vendor's idempotency-key header for a purchase. It has 64 hexadecimal digits,
// which is the most that the vendor is thought to accept. It depends on the key alone, so that a gateway that
// lost its journal still sends the same key for the same order.
func idempotencyKey(key Key) string {
	sum := sha256.Sum256([]byte(key.Caller + "\x00" + key.RequestID))
	return hex.EncodeToString(sum[:])
}
