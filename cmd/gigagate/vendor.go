package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"gigagate.internal/gigastore"
)

// secretVariable may hold the vendor's client secret. There is no flag for it, because other users can see
// the arguments of a process.
const secretVariable = "GIGAGATE_GIGASTORE_CLIENT_SECRET"

const secretFileFlag = "--gigastore-client-secret-file"

// defaultVendorURL is the vendor's only documented host (docs.giga.store, "API authentification").
const defaultVendorURL = "https://api.giga.store"

// vendorSettings are the flags of the vendor's API. The tag "field" names the field of gigastore.Config that a flag fills.
type vendorSettings struct {
	GigastoreURL              string        `name:"gigastore-url" field:"BaseURL" placeholder:"URL" help:"The vendor's API (default https://api.giga.store)."`
	GigastoreClientID         string        `name:"gigastore-client-id" field:"ClientID" placeholder:"ID" help:"The client id from the vendor's portal."`
	GigastoreFormerClientIDs  []string      `name:"gigastore-former-client-ids" field:"FormerClientIDs" placeholder:"ID,..." help:"Earlier client ids of the same account. The gateway settles their open purchases with the current one."`
	GigastoreClientSecretFile string        `name:"gigastore-client-secret-file" field:"ClientSecret" placeholder:"FILE" help:"File with the client secret. Or set GIGAGATE_GIGASTORE_CLIENT_SECRET."`
	GigastoreTimeout          time.Duration `name:"gigastore-timeout" field:"Timeout" default:"60s" help:"The longest that one whole call to the vendor may take (default ${default})."`
	GigastoreRefusalsFile     string        `name:"gigastore-refusals-file" field:"Refusals" placeholder:"FILE" help:"JSON list that replaces the assumed meanings of the vendor's refusals."`
	RetryThrottled            bool          `name:"gigastore-retry-throttled" field:"ThrottledHasNoEffect" help:"Set this only if the vendor has confirmed that its 429 comes before any charge. A throttled purchase is then tried again."`

	secret gigastore.Secret
}

// check refuses settings that contradict each other, and reads the secret.
func (s *vendorSettings) check(withSandbox bool) error {
	fromEnvironment := os.Getenv(secretVariable)
	if withSandbox {
		if s.GigastoreURL != "" || s.GigastoreClientID != "" || len(s.GigastoreFormerClientIDs) > 0 || s.GigastoreClientSecretFile != "" || fromEnvironment != "" {
			return errors.New("--sandbox has its own vendor: leave out --gigastore-url and the credentials")
		}
		return nil
	}
	if s.GigastoreURL == "" {
		s.GigastoreURL = defaultVendorURL
	}
	switch {
	case s.GigastoreClientID == "":
		return errors.New("--gigastore-client-id is needed, or --sandbox")
	case s.GigastoreClientSecretFile != "" && fromEnvironment != "":
		return fmt.Errorf("--gigastore-client-secret-file and %s are both set", secretVariable)
	case s.GigastoreClientSecretFile == "" && fromEnvironment == "":
		return fmt.Errorf("--gigastore-client-secret-file or %s is needed, or --sandbox", secretVariable)
	case fromEnvironment != "":
		s.secret = gigastore.Secret(fromEnvironment)
		return nil
	}
	var err error
	s.secret, err = readSecret(secretFileFlag, s.GigastoreClientSecretFile)
	return err
}

// maxSecret is how long a client secret may be, in bytes.
const maxSecret = 4 << 10

// readSecret reads the file of a secret, which a flag names. Its errors never contain the content of the file.
func readSecret(flag, name string) (gigastore.Secret, error) {
	file, err := os.Open(name)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err // without the path, in case somebody gave the secret itself instead of a file
	}
	if err != nil {
		return "", fmt.Errorf("%s: the file cannot be read: %w", flag, err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch text = bytes.TrimSpace(text); {
	case err != nil:
		return "", fmt.Errorf("%s: %w", flag, err)
	case len(text) == 0:
		return "", fmt.Errorf("%s: %s is empty", flag, name)
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s: %s is longer than %d bytes", flag, name, maxSecret)
	}
	return gigastore.Secret(text), nil
}

// rereadSecret returns a function that reads the secret's file again, for a secret that was replaced. It is nil if the
// secret cannot be read twice, as from a pipe.
func (s *vendorSettings) rereadSecret() func() (gigastore.Secret, error) {
	name := s.GigastoreClientSecretFile
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return func() (gigastore.Secret, error) {
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // opening a pipe would block until it has a writer
			return "", fmt.Errorf("%s: %s is not a regular file", secretFileFlag, name)
		}
		return readSecret(secretFileFlag, name)
	}
}

// newVendor makes the client of the vendor's API. telemetry may be nil.
func (s *vendorSettings) newVendor(telemetry *telemetry) (*gigastore.Client, error) {
	config := gigastore.Config{
		BaseURL:         s.GigastoreURL,
		ClientID:        s.GigastoreClientID,
		FormerClientIDs: s.GigastoreFormerClientIDs,
		ClientSecret:    s.secret,
		ReadSecret:      s.rereadSecret(),
		Timeout:         s.GigastoreTimeout,
		UserAgent:       "gigagate/" + version(),

		ThrottledHasNoEffect: s.RetryThrottled,
	}
	if s.GigastoreRefusalsFile != "" {
		if err := readJSON("--gigastore-refusals-file", s.GigastoreRefusalsFile, func(text []byte) (err error) {
			config.Refusals, err = gigastore.ParseRefusals(text)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if telemetry != nil {
		config.Logger, config.Propagator = telemetry.logger, telemetry.propagator
		config.TracerProvider, config.MeterProvider = telemetry.tracerProvider, telemetry.meterProvider
	}
	return gigastore.New(config)
}
