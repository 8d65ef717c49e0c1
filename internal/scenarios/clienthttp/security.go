package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
)

// newClient makes a client with TLS and the credential that the environment names.
func newClient() (*http.Client, error) {
	authority := os.Getenv("GIGAGATE_TLS_CA")
	if authority == "" {
		return &http.Client{}, nil
	}
	text, err := os.ReadFile(authority) //nolint:gosec // the player names it
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(text)
	if file := os.Getenv("GIGAGATE_CLIENT_TLS_CERT"); file != "" {
		certificate, err := tls.LoadX509KeyPair(file, os.Getenv("GIGAGATE_CLIENT_TLS_KEY"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Client{Transport: withKey{&http.Transport{TLSClientConfig: config}}}, nil
}

// withKey sends the key that the environment names, if it names one.
type withKey struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (w withKey) RoundTrip(request *http.Request) (*http.Response, error) {
	file := os.Getenv("GIGAGATE_API_KEY_FILE")
	if file == "" {
		return w.next.RoundTrip(request)
	}
	key, err := os.ReadFile(file) //nolint:gosec // the player names it
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	return w.next.RoundTrip(request)
}
