package gigastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errNotObject = errors.New("not a JSON object")

// object is a JSON object that is being decoded into a struct. Unlike encoding/json, it matches names exactly. If a
// name is repeated, the last one counts. Its members are in the order of the text. If the value of a member is an
// object too, the members of that value come right after it. So the whole text is read once, into one slice.
type object []member

type member struct {
	name   []byte
	raw    json.RawMessage // nil once taken
	inside int             // how many of the next members belong to the value of this one
}

// members returns the object's own members. It passes over those of inner objects.
func (o object) members() iter.Seq2[int, *member] {
	return func(yield func(int, *member) bool) {
		for i := 0; i < len(o); i += 1 + o[i].inside {
			if !yield(i, &o[i]) {
				return
			}
		}
	}
}

// last returns the index of the last member with that name that was not taken, or -1.
func (o object) last(name string) int {
	last := -1
	for i, m := range o.members() {
		if m.raw != nil && string(m.name) == name {
			last = i
		}
	}
	return last
}

// take decodes a member into a zero value and removes the member. A member that does not decode stays, and ends up in
// Unknown. One odd field must not hide the rest of an answer, least of all of a sale.
func take[T any](o object, name string, into *T) {
	i := o.last(name)
	if i < 0 {
		return
	}
	if decode(o[i].raw, o[i+1:i+1+o[i].inside], into) != nil {
		var zero T // a failed decode may leave half a value behind
		*into = zero
		return
	}
	for _, m := range o.members() {
		if string(m.name) == name {
			m.raw = nil
		}
	}
}

// uid is an identifier of the vendor's, a UUID in all samples. A uid that is long or has a control character does not
// decode. Databases do not store a zero byte and do not index long texts, so such a sale could not be written to the
// journal, and the write would be retried for ever.
type uid string

// maxUID is the longest uid, in bytes.
const maxUID = 256

var errUID = errors.New("a uid has a control character or is too long")

// UnmarshalJSON reads a JSON string.
func (u *uid) UnmarshalJSON(data []byte) error {
	text, err := decodeString(data)
	if err != nil {
		return err
	}
	if len(text) > maxUID || strings.ContainsFunc(text, unicode.IsControl) {
		return errUID
	}
	*u = uid(text)
	return nil
}

// filler is a type that is made from a JSON object. fill replaces the whole value.
type filler interface{ fill(o object) error }

// unmarshal is the UnmarshalJSON of every filler.
func unmarshal(data []byte, into filler) error {
	o, err := readObject(data)
	if err != nil {
		return err
	}
	return into.fill(o)
}

// decode is json.Unmarshal for a member of an object that was read. inside is what follows the member in the object.
// It reads none of the types of a sale a second time.
func decode(raw json.RawMessage, inside object, into any) error {
	switch into := into.(type) {
	case *string:
		return decodeText(raw, into)
	case *ActivationMode:
		return decodeText(raw, into)
	case *object:
		*into = inside
		return mustBeObject(raw)
	case **Decimal:
		return decodeNew(raw, inside, into)
	case **ESIMProfile:
		return decodeNew(raw, inside, into)
	case **Price:
		return decodeNew(raw, inside, into)
	case **Size:
		return decodeNew(raw, inside, into)
	case filler:
		if err := mustBeObject(raw); err != nil {
			return err
		}
		return into.fill(inside)
	case json.Unmarshaler:
		return into.UnmarshalJSON(raw)
	}
	return json.Unmarshal(raw, into)
}

func mustBeObject(raw json.RawMessage) error {
	if raw[0] != '{' {
		return errNotObject
	}
	return nil
}

// decodeNew decodes into a new value. null gives nil.
func decodeNew[T any](raw json.RawMessage, inside object, into **T) error {
	if string(raw) == "null" {
		*into = nil
		return nil
	}
	*into = new(T)
	return decode(raw, inside, *into)
}

func decodeText[T ~string](raw json.RawMessage, into *T) error {
	text, err := decodeString(raw)
	*into = T(text)
	return err
}

// decodeString decodes a JSON string, or null as "". It leaves escapes and invalid UTF-8 to encoding/json.
func decodeString(raw []byte) (string, error) {
	if content, ok := plain(raw); ok {
		return string(content), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

// plain returns what is between the quotes of a JSON string, and false if that is not the text itself.
func plain(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	content := raw[1 : len(raw)-1]
	return content, bytes.IndexByte(content, '\\') < 0 && utf8.Valid(content)
}

// must is take for members without which a read is not complete. Absent or null means empty. A member that
// does not decode is an error.
func must[T any](o object, name string, into *T) error {
	take(o, name, into)
	if o.last(name) >= 0 {
		return fmt.Errorf("member %s has an unexpected shape", name)
	}
	return nil
}

// rest returns the members that nobody took, or nil if there are none. It copies names and values, because they are
// parts of the original text. That text may be a list of 16 MiB, and the caller of UnmarshalJSON may reuse it.
func (o object) rest() UnknownMembers {
	var kept UnknownMembers
	for _, m := range o.members() {
		if m.raw == nil {
			continue
		}
		if kept == nil {
			kept = UnknownMembers{}
		}
		kept[string(m.name)] = bytes.Clone(m.raw)
	}
	return kept
}
