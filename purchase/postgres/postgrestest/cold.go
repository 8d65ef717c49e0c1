package postgrestest

import (
	"context"
	"io/fs"
	"path/filepath"
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
