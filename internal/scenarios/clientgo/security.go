package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/clients/go/client"
)

// security is TLS and the credential that the environment names.
func security() ([]grpc.DialOption, error) {
	authority := os.Getenv("GIGAGATE_TLS_CA")
	if authority == "" {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
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
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if file := os.Getenv("GIGAGATE_API_KEY_FILE"); file != "" {
		options = append(options, grpc.WithPerRPCCredentials(client.KeyFile(file)))
	}
	return options, nil
}
