package sqlite

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// descriptors is where Linux shows the open files of this process.
const descriptors = "/proc/self/fd"

// readAtRandom tells Linux that SQLite reads an open file in no order. Without this, Linux reads ahead during a backup,
// which reads the pages in their order, and keeps the file in memory in large parts. From then on, every page that a
// checkpoint writes makes Linux examine a whole part. That doubled the CPU of a purchase, and its time (Linux 6.18, ext4,
// a journal of a million purchases). It reports whether it found SQLite's descriptor of the file. It is only advice, so
// a gateway serves without it, too.
//
// SQLite does not tell its descriptor. To open the file once more would not help: the advice is for one descriptor, and
// closing another one would end SQLite's locks (POSIX, fcntl).
func readAtRandom(file os.FileInfo) bool {
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(descriptors, entry.Name()))
		if err != nil || !os.SameFile(info, file) {
			continue
		}
		descriptor, err := strconv.Atoi(entry.Name())
		return err == nil && unix.Fadvise(descriptor, 0, 0, unix.FADV_RANDOM) == nil
	}
	return false
}
