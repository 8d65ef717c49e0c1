//go:build !linux

package postgrestest

import "errors"

func drop(string) error { return errors.ErrUnsupported }
