package gigastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// wireError is a failure to exchange bytes. Its text is a constant, because net/http's own errors repeat what the
// vendor sent, for example in "malformed HTTP response".
type wireError struct {
	phrase     string
	cause      error // nil, or an error whose text is a constant too
	connecting bool  // there was no connection yet
}

func (e *wireError) Error() string { return e.phrase }

// ErrorType returns the value of error.type on a span. OpenTelemetry calls it.
func (e *wireError) ErrorType() string { return e.phrase }

// Unwrap returns a context's error, io.EOF, io.ErrUnexpectedEOF, a syscall.Errno or nil.
func (e *wireError) Unwrap() error { return e.cause }

// connectFailure replaces an error of a dial or a handshake by one with a fixed text.
func connectFailure(err error) error {
	var number syscall.Errno
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &number):
		return &wireError{"could not connect", number, true}
	case errors.As(err, &dns):
		return &wireError{"could not connect: host name not resolved", nil, true}
	case errors.As(err, &certificate):
		return certificateFailure(certificate.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &wireError{"could not connect in time", nil, true}
	default:
		return &wireError{"could not connect", nil, true}
	}
}

// certificateFailure says why a certificate was not accepted. It repeats nothing of the certificate.
func certificateFailure(err error) error {
	var authority x509.UnknownAuthorityError
	var noRoots x509.SystemRootsError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority), errors.As(err, &noRoots):
		return errUnknownAuthority
	case errors.As(err, &host):
		return errOtherHost
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errExpired
	default:
		return errCertificate
	}
}

// wireFailure replaces any error of an exchange by one with a fixed text. ctx is the context of the exchange.
func wireFailure(ctx context.Context, err error) error {
	var own *wireError
	var ours phrase
	var number syscall.Errno
	switch {
	case errors.As(err, &ours):
		return ours
	case ctx.Err() != nil:
		return &wireError{phrase: ctx.Err().Error(), cause: ctx.Err()}
	case errors.As(err, &own):
		return own
	case errors.As(err, &number):
		return &wireError{phrase: "connection broken", cause: number}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &wireError{phrase: "connection closed within the answer", cause: io.ErrUnexpectedEOF}
	case errors.Is(err, io.EOF):
		return &wireError{phrase: "connection closed before the answer", cause: io.EOF}
	default:
		return &wireError{phrase: "no readable HTTP answer"}
	}
}
