package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/internal/access"
)

// apiKeyVariable may hold the caller's API key. There is no flag for it, because other users can see the arguments of a
// process.
const apiKeyVariable = "GIGAGATE_API_KEY"

// systemAuthorities is the value of --tls-ca for the authorities of the system.
const systemAuthorities = "system"

// clientSecurity are the flags of TLS and of the caller's credentials. The variables of the certificate are not those of
// gigagate serve: in a container, the health check must not show the gateway's own certificate.
type clientSecurity struct {
	TLSCA         string `name:"tls-ca" placeholder:"FILE" help:"Connect over TLS, and trust the authorities in this file, as PEM. The word system stands for the system's."`
	TLSServerName string `name:"tls-server-name" placeholder:"NAME" help:"The name that the gateway's certificate must have, if it is not the host of --address. Needs --tls-ca."`
	TLSCert       string `name:"tls-cert" env:"GIGAGATE_CLIENT_TLS_CERT" placeholder:"FILE" help:"Your certificate, as PEM. Needs --tls-ca."`
	TLSKey        string `name:"tls-key" env:"GIGAGATE_CLIENT_TLS_KEY" placeholder:"FILE" help:"The private key of --tls-cert, as PEM."`
	APIKeyFile    string `name:"api-key-file" placeholder:"FILE" help:"File with your API key. Or set GIGAGATE_API_KEY. It is sent only over TLS, or to this machine."`
}

// options are how to connect to the address.
func (s clientSecurity) options(address gatewayAddress) ([]grpc.DialOption, error) {
	key, err := s.apiKey()
	if err != nil {
		return nil, err
	}
	if s.TLSCA == "" {
		switch {
		case s.TLSServerName != "" || s.TLSCert != "" || s.TLSKey != "":
			return nil, errors.New("--tls-server-name, --tls-cert and --tls-key need --tls-ca")
		case key != "" && !address.isThisMachine():
			return nil, errors.New("an API key is sent to another machine only over TLS: set --tls-ca")
		}
		return append(sendKey(key), grpc.WithTransportCredentials(insecure.NewCredentials())), nil
	}
	config := &tls.Config{ServerName: s.TLSServerName, MinVersion: tls.VersionTLS12}
	if config.RootCAs, err = s.authorities(); err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	if s.TLSCert != "" || s.TLSKey != "" {
		certificate, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return append(sendKey(key), grpc.WithTransportCredentials(credentials.NewTLS(config))), nil
}

// advice is what a user can do about an error of the connection. It is empty if nothing is known.
func (s clientSecurity) advice(message string) string {
	if s.TLSCA == "" && strings.Contains(message, "error reading server preface") {
		return " (if the gateway speaks TLS, set --tls-ca)"
	}
	return ""
}

// authorities are nil if the system decides.
func (s clientSecurity) authorities() (*x509.CertPool, error) {
	if s.TLSCA == systemAuthorities {
		return nil, nil
	}
	text, err := os.ReadFile(s.TLSCA)
	if err != nil {
		return nil, err
	}
	authorities, err := access.ParseAuthorities(text)
	if err != nil {
		return nil, err
	}
	return authorities.Pool(), nil
}

var validAPIKey = regexp.MustCompile(`^[[:graph:]]+$`)

// apiKey is empty if none is given. Its errors do not contain the key.
func (s clientSecurity) apiKey() (string, error) {
	key := os.Getenv(apiKeyVariable)
	if s.APIKeyFile != "" {
		if key != "" {
			return "", fmt.Errorf("--api-key-file and %s are both set", apiKeyVariable)
		}
		secret, err := readSecret("--api-key-file", s.APIKeyFile)
		if err != nil {
			return "", err
		}
		key = string(secret)
	}
	if key != "" && !validAPIKey.MatchString(key) {
		return "", errors.New("the API key has characters that no key has")
	}
	return key, nil
}

// isThisMachine reports whether nobody else can read what is sent to the address.
func (a gatewayAddress) isThisMachine() bool {
	target := string(a)
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	target = strings.TrimPrefix(strings.TrimPrefix(target, "dns:"), "passthrough:")
	host, _, err := net.SplitHostPort(target[strings.LastIndex(target, "/")+1:])
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// sendKey adds the key to every call.
func sendKey(key string) []grpc.DialOption {
	if key == "" {
		return nil
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer(key))}
}

// bearer is an API key in every call.
type bearer string

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]. The decision is in clientSecurity.options, because
// gRPC does not make an exception for loopback.
func (bearer) RequireTransportSecurity() bool { return false }
