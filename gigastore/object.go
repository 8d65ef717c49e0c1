package gigastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var errNotObject = errors.New("not a JSON object")

// object is a JSON object that is being decoded into a struct. Its members are in the order of the text. Unlike
// encoding/json, it matches names exactly. If a name is repeated, the last one counts. It is a slice because the
// objects of this API have few members, and searching it costs less than building a map.
type object []member

type member struct {
	name string
	raw  json.RawMessage // nil once taken
}

// last returns the last member with that name that was not taken, or nil.
func (o object) last(name string) *member {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].name == name && o[i].raw != nil {
			return &o[i]
		}
	}
	return nil
}

// readObject splits bytes from outside, after it has checked that they are valid JSON.
func readObject(data []byte) (object, error) {
	if !json.Valid(data) {
		return nil, errNotObject
	}
	return splitObject(data)
}

// usualMembers is enough for every object of a sale.
const usualMembers = 12

// splitObject is readObject for text that is known to be valid JSON. That is true for each member of a valid object,
// and inside every UnmarshalJSON. encoding/json would check the text again at each level, which costs several times
// as much as the rest of a sale's decoding. For invalid text the result is undefined.
func splitObject(data []byte) (object, error) {
	whole := gjson.ParseBytes(data)
	if !whole.IsObject() {
		return nil, errNotObject
	}
	o := make(object, 0, usualMembers)
	valid := true
	whole.ForEach(func(name, value gjson.Result) bool {
		text, ok := readString(name.Raw)
		end := value.Index + len(value.Raw)
		o = append(o, member{text, data[value.Index:end:end]})
		valid = ok && value.Raw != ""
		return valid
	})
	if !valid {
		return nil, errNotObject
	}
	return o, nil
}

// readString reads a JSON string. It leaves escapes and invalid UTF-8 to encoding/json.
func readString(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if content := raw[1 : len(raw)-1]; strings.IndexByte(content, '\\') < 0 && utf8.ValidString(content) {
		return content, true
	}
	var text string
	return text, json.Unmarshal([]byte(raw), &text) == nil
}

// take decodes a member and removes it. A member that does not decode stays, and ends up in Unknown. One odd field
// must not hide the rest of an answer, least of all of a sale.
func take[T any](o object, name string, into *T) {
	m := o.last(name)
	if m == nil {
		return
	}
	var v T // a failed decode may leave half a value behind
	if decode(m.raw, &v) != nil {
		return
	}
	*into = v
	for i := range o {
		if o[i].name == name {
			o[i].raw = nil
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
	var text string
	if err := decode(data, &text); err != nil {
		return err
	}
	if len(text) > maxUID || strings.ContainsFunc(text, unicode.IsControl) {
		return errUID
	}
	*u = uid(text)
	return nil
}

// decode is json.Unmarshal for text that is known to be valid. It skips the check for the types that a sale is made
// of.
func decode(raw json.RawMessage, into any) error {
	switch into := into.(type) {
	case *string:
		if text, ok := readString(string(raw)); ok {
			*into = text
			return nil
		}
	case *object:
		o, err := splitObject(raw)
		*into = o
		return err
	case *ActivationMode:
		if text, ok := readString(string(raw)); ok {
			*into = ActivationMode(text)
			return nil
		}
	case **Decimal:
		return decodeNew(raw, into)
	case **ESIMProfile:
		return decodeNew(raw, into)
	case **Price:
		return decodeNew(raw, into)
	case **Size:
		return decodeNew(raw, into)
	case json.Unmarshaler:
		return into.UnmarshalJSON(raw)
	}
	return json.Unmarshal(raw, into)
}

// decodeNew decodes into a new value. null gives nil.
func decodeNew[T any, P interface {
	*T
	json.Unmarshaler
}](raw json.RawMessage, into **T) error {
	if string(raw) == "null" {
		*into = nil
		return nil
	}
	*into = new(T)
	return P(*into).UnmarshalJSON(raw)
}

// must is take for members without which a read is not complete. Absent or null means empty. A member that
// does not decode is an error.
func must[T any](o object, name string, into *T) error {
	take(o, name, into)
	if o.last(name) != nil {
		return fmt.Errorf("member %s has an unexpected shape", name)
	}
	return nil
}

// rest returns the members that nobody took, or nil if there are none. It copies names and values, because they are
// parts of the original text. That text may be a list of 16 MiB, and the caller of UnmarshalJSON may reuse it.
func (o object) rest() UnknownMembers {
	var kept UnknownMembers
	for _, m := range o {
		if m.raw == nil {
			continue
		}
		if kept == nil {
			kept = UnknownMembers{}
		}
		kept[strings.Clone(m.name)] = bytes.Clone(m.raw)
	}
	return kept
}
