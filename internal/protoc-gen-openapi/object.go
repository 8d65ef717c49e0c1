package main

import (
	"bytes"
	"encoding/json"
	"slices"
)

// object is a JSON object whose members keep their order. So the document has the fields in the order of the contract.
type object []member

type member struct {
	key   string
	value any
}

// with returns a copy of o with one more member.
func (o object) with(key string, value any) object {
	return append(slices.Clip(o), member{key, value})
}

// withText returns a copy of o with one more member. If text is empty, it returns o.
func (o object) withText(key, text string) object {
	if text == "" {
		return o
	}
	return o.with(key, text)
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			text.WriteByte(',')
		}
		for j, part := range []any{m.key, m.value} {
			if j > 0 {
				text.WriteByte(':')
			}
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(part); err != nil {
				return nil, err
			}
		}
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

func ref(kind, name string) object {
	return object{{"$ref", "#/components/" + kind + "/" + name}}
}

func typed(name string) object { return object{{"type", name}} }
