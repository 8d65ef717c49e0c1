package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pageSum is the number of bytes of the checksum at the start of a page token.
const pageSum = 8

// paged is a request for a page of a list.
type paged interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// pageSize is how many entries a page may have: usual if the request does not say, and most at the most. The
// contract's rules refuse a negative number.
func pageSize(req paged, usual, most int) int {
	if req.GetPageSize() == 0 {
		return usual
	}
	return min(int(req.GetPageSize()), most)
}

// pageToken is the token of the page after cursor, which is the id of the last entry on the page before. A checksum
// ties the token to the list and its filters.
func pageToken(req paged, cursor string) string {
	return base64.RawURLEncoding.EncodeToString(append(sumOfPage(req, cursor), cursor...))
}

// pageCursor returns the cursor in the request's page token, or "" for the first page. It returns INVALID_FIELD for a
// broken token or a token of another list. The checksum is not a signature: a caller can make up a token with any
// cursor. So each list checks its cursor.
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

// errPageToken refuses a token that is broken or belongs to another list.
func errPageToken() error {
	return invalidField("page_token", aPageToken)
}

// sumOfPage is a checksum of the cursor, the list and its filters.
func sumOfPage(req paged, cursor string) []byte {
	filter := proto.Clone(req).ProtoReflect()
	for _, name := range []protoreflect.Name{"page_size", "page_token"} {
		filter.Clear(filter.Descriptor().Fields().ByName(name))
	}
	// Marshal fails only for invalid UTF-8, and decoding has refused that before.
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(filter.Interface())
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%x\x00%s", filter.Descriptor().FullName(), text, cursor))
	return sum[:pageSum]
}
