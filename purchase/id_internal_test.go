package purchase

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
)

// counting counts the bytes that are read from the system's entropy.
type counting struct{ read int }

func (c *counting) Read(p []byte) (int, error) {
	n, err := rand.Read(p)
	if c.read == 0 {
		p[0] = 0 // so that the ids of one millisecond do not overflow
	}
	c.read += n
	return n, err
}

// TestIDsAreUnpredictable: ids are made from the system's entropy. Ids of one millisecond sort
// in the order in which they were made. The test replaces the system's entropy, so it does not run in parallel.
func TestIDsAreUnpredictable(t *testing.T) {
	system := rand.Reader
	source := &counting{}
	entropy := increasing(source)
	const at = 1_700_000_000_000
	last := ulid.ULID{}
	for range 100 {
		id := ulid.MustNew(at, entropy)
		if id.Compare(last) <= 0 {
			t.Fatalf("%s was made after %s, but does not sort after it", id, last)
		}
		last = id
	}
	if source.read < 800 {
		t.Errorf("100 ids were made of %d random bytes", source.read)
	}
	vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1", ClientID: "client", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	rand.Reader = bytes.NewReader(make([]byte, 64))
	t.Cleanup(func() { rand.Reader = system })
	if e := NewEngine(Config{Vendor: vendor}); newID(e.entropy)[10:] != "0000000000000000" {
		t.Error("an id is not made from the system's entropy")
	}
}
