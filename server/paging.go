package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pageSum is how many bytes of a page token tie it to its list.
const pageSum = 8

// paged is a request for a page of a list.
type paged interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// pageSize is how many a page may have. The contract's rules refuse a negative number.
func pageSize(req paged, usual, most int) int {
	if req.GetPageSize() == 0 {
		return usual
	}
	return min(int(req.GetPageSize()), most)
}

// pageToken is the token of the page behind cursor, the id of the last one on the page before. A
// checksum ties it to the list and its filters.
func pageToken(req paged, cursor string) string {
	return base64.RawURLEncoding.EncodeToString(append(sumOfPage(req, cursor), cursor...))
}

// pageCursor reads a page token; the cursor is empty for the first page. Callers that make up a token
// get any cursor they like, which is why lists check what they need of it.
func pageCursor(req paged) (string, error) {
	if req.GetPageToken() == "" {
		return "", nil
	}
	token, err := base64.RawURLEncoding.Strict().DecodeString(req.GetPageToken())
	if err != nil || len(token) <= pageSum || string(token[:pageSum]) != string(sumOfPage(req, string(token[pageSum:]))) {
		return "", errPageToken()
	}
	return string(token[pageSum:]), nil
}

// errPageToken refuses a token that is broken, or of another list.
func errPageToken() error {
	return invalidField("page_token", aPageToken)
}

// sumOfPage is a checksum of a cursor and of all that selects what the list has.
func sumOfPage(req paged, cursor string) []byte {
	filter := proto.Clone(req).ProtoReflect()
	for _, name := range []protoreflect.Name{"page_size", "page_token"} {
		filter.Clear(filter.Descriptor().Fields().ByName(name))
	}
	// It fails only for what is not UTF-8, which no request is.
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(filter.Interface())
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%x\x00%s", filter.Descriptor().FullName(), text, cursor))
	return sum[:pageSum]
}
