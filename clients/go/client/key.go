package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"
)

// Key sends an API key with every call of a connection: grpc.WithPerRPCCredentials(client.Key(key)). The connection must
// use TLS. gRPC refuses to send the key over any other.
func Key(key string) credentials.PerRPCCredentials {
	return apiKey(func() (string, error) { return key, nil })
}

// KeyFile is [Key] with a key from a file. The file is read at every call, so a new key needs no restart. Replace the file
// in one step (mv).
func KeyFile(path string) credentials.PerRPCCredentials {
	return apiKey(func() (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the API key: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	})
}

// apiKey returns the key. It is a function, so that printing a connection's options does not print the key.
type apiKey func() (string, error)

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	key, err := k()
	if err != nil {
		return nil, err
	}
	if !isKey(key) {
		return nil, errors.New("the API key is empty, or has characters that no key has")
	}
	return map[string]string{"authorization": "Bearer " + key}, nil
}

// isKey reports whether the text can be a key. A header with other characters would break in a way that tells the key.
func isKey(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (apiKey) RequireTransportSecurity() bool { return true }
