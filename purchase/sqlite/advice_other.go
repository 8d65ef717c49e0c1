//go:build !linux

package sqlite

import "os"

// readAtRandom is only for Linux.
func readAtRandom(os.FileInfo) bool { return false }
