package postgrestest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RestartCold restarts a private server, after the system has dropped its files from the memory. So what the server reads
// next comes from the disk.
func (s *Server) RestartCold(ctx context.Context) error {
	if err := s.exec(ctx, `CHECKPOINT`); err != nil { // the system only drops what is on the disk
		return err
	}
	s.Kill()
	err := filepath.WalkDir(s.data(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return drop(path)
	})
	if err != nil {
		return err
	}
	return s.Restart(ctx)
}

// drop makes the system drop a file from its memory.
func drop(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}
