package purchase

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
)

// TestIDsAreUnpredictable: all that is not the time comes from the reader, which is the system's.
func TestIDsAreUnpredictable(t *testing.T) {
	t.Parallel()
	entropy := []byte("0123456789abcdefghij")
	source := bytes.NewReader(entropy)
	for _, want := range [][]byte{entropy[:10], entropy[10:]} {
		if id := ulid.MustParse(newID(source)); !bytes.Equal(id.Entropy(), want) {
			t.Errorf("the id is of %q, want %q", id.Entropy(), want)
		}
	}
	vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1", ClientID: "client", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if e := NewEngine(Config{Vendor: vendor}); e.entropy != rand.Reader {
		t.Errorf("by default ids are made of %T", e.entropy)
	}
}
