package sealed

import (
	"errors"
	"fmt"
)

// version1 is the first byte of a sealed text. Then come the length of the key's id, the id, the nonce, and what
// AES-256-GCM makes of the text. JSON cannot begin with this byte, so a text in plain is recognized. Each text gets a
// new random nonce of 96 bits, so one key is safe for 2^32 texts. A purchase has two.
const version1 = 0x01

// lastVersion is the last of the first bytes that later versions may use. JSON begins with none of them.
const lastVersion = 0x08

// overhead is how many bytes the nonce and the tag have.
const overhead = 12 + 16

// The columns that a text can be sealed for.
const (
	columnPersonal = "personal"
	columnSale     = "sale"
)

// place is where a sealed text belongs. It cannot be opened at another place.
type place struct{ id, column string }

// bound is the additional data of the cipher.
func (p place) bound() []byte { return []byte(p.column + " " + p.id) }

func (p place) String() string { return fmt.Sprintf("the %s column of purchase %s", p.column, p.id) }

var errNotSealedHere = errors.New("it was changed, or it was sealed for another purchase or column")

// seal returns text sealed with the key, with a new nonce.
func seal(k key, at place, text []byte) []byte {
	header := append([]byte{version1, byte(len(k.id))}, k.id...) //nolint:gosec // an id has up to 32 bytes
	sealed := append(make([]byte, 0, len(header)+k.cipher.Overhead()+len(text)), header...)
	return k.cipher.Seal(sealed, nil, text, at.bound()) //nolint:gosec // the cipher makes the nonce
}

// keyID returns the id of the key that a text is sealed with, or "" if the text is in plain.
func keyID(sealed []byte) (string, error) {
	switch {
	case len(sealed) == 0 || sealed[0] > lastVersion:
		return "", nil
	case sealed[0] != version1:
		return "", fmt.Errorf("it was sealed by a later version (%d)", sealed[0])
	case len(sealed) < 2 || sealed[1] == 0 || len(sealed) < 2+int(sealed[1])+overhead:
		return "", errors.New("it is too short for a sealed text")
	}
	return string(sealed[2 : 2+int(sealed[1])]), nil
}

// open returns the text that was sealed. find returns the key with an id. A text in plain is returned as it is. The
// error contains nothing of the text.
func open(find func(id string) (key, error), at place, sealed []byte) ([]byte, error) {
	id, err := keyID(sealed)
	if err == nil && id == "" {
		return sealed, nil
	}
	var text []byte
	if err == nil {
		text, err = openWith(find, id, at, sealed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", at, err)
	}
	return text, nil
}

func openWith(find func(id string) (key, error), id string, at place, sealed []byte) ([]byte, error) {
	k, err := find(id)
	if err != nil {
		return nil, err
	}
	text, err := k.cipher.Open([]byte{}, nil, sealed[2+len(id):], at.bound()) // not nil: an empty text is not NULL
	if err != nil {
		return nil, errNotSealedHere
	}
	return text, nil
}
