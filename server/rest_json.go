package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// strictJSON reads request bodies and ignores nothing in them. grpc-gateway's own marshaler drops unknown fields
// and values. With it, a misspelt activation mode would become the vendor's default.
type strictJSON struct {
	runtime.JSONPb
	pretty bool
}

func newStrictJSON(pretty bool) *strictJSON {
	return &strictJSON{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}, pretty}
}

// Marshal writes an answer.
func (j *strictJSON) Marshal(v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("the answer is not a protobuf message")
	}
	text, err := j.MarshalAppend(make([]byte, 0, 2<<10), message) // as large as the answer of a purchase
	if err != nil {
		return nil, err
	}
	return layOut(text, j.pretty), nil
}

// errBadBody stands for every fault of a body. grpc-gateway passes on only the text of an error, so the fault itself
// is kept in the restCall.
var errBadBody = errors.New("bad body")

// NewDecoder reads one JSON object and accepts nothing after it. An empty body is an empty message.
func (*strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(target any) error {
		body, ok := r.(*restBody)
		message, isProto := target.(proto.Message)
		if !ok || !isProto {
			return errBadBody
		}
		if body.call.fault = body.decode(message); body.call.fault != nil {
			return errBadBody
		}
		return nil
	})
}

// decode reads the body into message, and then the request id from the header. It does not change message if the body is
// empty.
func (b *restBody) decode(message proto.Message) *failure {
	data, err := b.read()
	if err != nil {
		return unreadableBody(err)
	}
	var inPath []string
	if b.call.route != nil {
		inPath = b.call.route.inPath
	}
	if len(bytes.TrimSpace(data)) > 0 {
		if f := decodeStrictly(data, message, inPath); f != nil {
			return f
		}
	}
	return b.call.takeRequestID(message)
}

func unreadableBody(err error) *failure {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return malformed("", "the body is too large")
	}
	return malformed("", "the body could not be read to its end")
}

// mayHaveNumber reports whether a member of a JSON object may be a number. It looks for a colon with a sign or a digit after it. A
// text can contain that, too.
func mayHaveNumber(data []byte) bool {
	for {
		_, after, found := bytes.Cut(data, []byte(":"))
		if !found {
			return false
		}
		data = bytes.TrimLeft(after, " \t\r\n")
		if len(data) > 0 && (data[0] == '-' || data[0] >= '0' && data[0] <= '9') {
			return true
		}
	}
}

// decodeStrictly decodes data into message. The fields named in inPath must not be in data.
func decodeStrictly(data []byte, message proto.Message, inPath []string) *failure {
	// In such a body protojson accepts only what the walk accepts. The walk takes more than twice as long.
	if len(inPath) == 0 && !mayHaveNumber(data) && protojson.Unmarshal(data, message) == nil {
		return nil
	}
	walk := &jsonWalk{data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	walk.decoder.UseNumber()
	if f := walk.object(message.ProtoReflect().Descriptor(), "", inPath); f != nil {
		return f
	}
	if _, err := walk.decoder.Token(); !errors.Is(err, io.EOF) {
		return malformed("", "the body must end after the JSON object")
	}
	// protojson may still refuse the body. Its errors contain values of the body, so they are not passed on.
	if err := protojson.Unmarshal(data, message); err != nil {
		return malformed("", "the body is not the JSON form of this call's request")
	}
	return nil
}

// jsonWalk compares a JSON text with the descriptor of a message. It returns the first fault, with the path of the
// field and without its value.
type jsonWalk struct {
	data    []byte
	decoder *json.Decoder
}

// next returns the next token and the bytes it was read from.
func (w *jsonWalk) next() (json.Token, []byte, *failure) {
	start := w.decoder.InputOffset()
	token, err := w.decoder.Token()
	if err != nil {
		return nil, nil, malformed("", "the body is not valid JSON")
	}
	return token, w.data[start:w.decoder.InputOffset()], nil
}

func (w *jsonWalk) object(message protoreflect.MessageDescriptor, path string, forbidden []string) *failure {
	token, _, f := w.next()
	if f != nil {
		return f
	}
	return w.objectAt(token, message, path, forbidden)
}

// objectAt checks the object that begins with token.
func (w *jsonWalk) objectAt(token json.Token, message protoreflect.MessageDescriptor, path string, forbidden []string) *failure {
	if token != json.Delim('{') {
		return malformed(path, "must be a JSON object")
	}
	seen := map[protoreflect.Name]bool{}
	for {
		key, _, f := w.next()
		if f != nil {
			return f
		}
		if key == json.Delim('}') {
			return nil
		}
		name, _ := key.(string)
		field := fieldNamed(message, name)
		if field == nil {
			return malformed(joinPath(path, printableName(name)), "is not a field of this request")
		}
		at := joinPath(path, string(field.Name()))
		switch {
		case seen[field.Name()]:
			return malformed(at, "appears more than once")
		case slices.Contains(forbidden, string(field.Name())):
			return malformed(at, "is part of the path and must not be in the body")
		}
		seen[field.Name()] = true
		if f := w.value(field, at); f != nil {
			return f
		}
	}
}

// value checks one value. It does not know lists, maps and well-known types and refuses them. No body of the contract
// has any. Extend this method before a body gets one.
func (w *jsonWalk) value(field protoreflect.FieldDescriptor, at string) *failure {
	token, raw, f := w.next()
	if f != nil || token == nil {
		return f
	}
	switch field.Kind() {
	case protoreflect.MessageKind:
		return w.objectAt(token, field.Message(), at, nil)
	case protoreflect.StringKind:
		if _, ok := token.(string); !ok {
			return malformed(at, "must be a JSON string")
		}
		if !utf8.Valid(raw) {
			return invalidField(at, "is not valid UTF-8")
		}
	case protoreflect.BoolKind:
		if _, ok := token.(bool); !ok {
			return malformed(at, "must be true or false")
		}
	case protoreflect.EnumKind:
		return checkEnum(token, field.Enum(), at)
	default:
	}
	return nil
}

// checkEnum accepts names and whole numbers, as protojson does. It lets an unknown number pass: a rule of the contract
// refuses it, in the same way over gRPC and REST.
func checkEnum(token json.Token, enum protoreflect.EnumDescriptor, at string) *failure {
	switch value := token.(type) {
	case json.Number:
		if _, err := strconv.ParseInt(value.String(), 10, 32); err == nil {
			return nil
		}
	case string:
		if enum.Values().ByName(protoreflect.Name(value)) != nil {
			return nil
		}
	}
	names := make([]string, 0, enum.Values().Len())
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	return malformed(at, "must be one of "+strings.Join(names, ", "))
}

func joinPath(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}
