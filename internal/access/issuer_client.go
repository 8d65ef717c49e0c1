package access

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// discovered is what an issuer says about itself.
type discovered struct {
	Issuer        string   `json:"issuer"`
	Keys          string   `json:"jwks_uri"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	ClientAuth    []string `json:"token_endpoint_auth_methods_supported"`
}

// newIssuerClient returns a client that asks an issuer. It follows no redirects and uses no proxy of the environment. It is made
// for few requests, so it keeps no connections.
func newIssuerClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	return &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// discover asks an issuer what it says about itself.
func discover(ctx context.Context, client *http.Client, issuer string) (*discovered, error) {
	text, err := get(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var found discovered
	if json.Unmarshal(text, &found) != nil {
		return nil, errors.New("the issuer's configuration is not the JSON of OIDC discovery")
	}
	if found.Issuer != issuer {
		return nil, errors.New("the issuer's configuration is of another issuer")
	}
	return &found, nil
}

// get returns the body at a URL.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	return ask(client, request)
}

// ask returns the body of the answer to a request. Its errors have the URL, and nothing else of the request.
func ask(client *http.Client, request *http.Request) ([]byte, error) {
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, largestFile+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %d%s", request.URL, response.StatusCode, oauthError(text))
	case len(text) > largestFile:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", request.URL, largestFile)
	}
	return text, nil
}
