package gigastore

import (
	"encoding/json"
	"errors"
	"fmt"
)

var errNotObject = errors.New("not a JSON object")

// object is a JSON object on its way into a struct. Names are matched exactly, unlike encoding/json does it, and of a
// repeated name the last counts.
type object map[string]json.RawMessage

func readObject(data []byte) (object, error) {
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o == nil {
		return nil, errNotObject // encoding/json's own errors repeat values
	}
	return o, nil
}

// take decodes the member and removes it. A member that does not decode stays, and so ends among the unknown ones: one
// odd field must not hide the rest of an answer, least of all of a sale.
func take[T any](o object, name string, into *T) {
	raw, ok := o[name]
	if !ok {
		return
	}
	var v T // a failed Unmarshal leaves half a value behind
	if json.Unmarshal(raw, &v) == nil {
		*into = v
		delete(o, name)
	}
}

// must is take for members without which a read would look complete and not be: absent or null is empty, anything that
// does not decode is an error.
func must[T any](o object, name string, into *T) error {
	take(o, name, into)
	if _, left := o[name]; left {
		return fmt.Errorf("member %s has an unexpected shape", name)
	}
	return nil
}

// rest returns what nobody took, nil when that is nothing.
func (o object) rest() UnknownMembers {
	if len(o) == 0 {
		return nil
	}
	return UnknownMembers(o)
}
