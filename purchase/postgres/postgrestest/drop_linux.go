package postgrestest

import (
	"os"

	"golang.org/x/sys/unix"
)

// drop makes the system drop a file from its memory.
func drop(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}
