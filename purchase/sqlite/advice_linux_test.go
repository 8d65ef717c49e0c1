package sqlite

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestNothingIsReadAhead reads the first pages of a journal in their order, as a backup does. Linux must read these pages
// only, and not those after them.
func TestNothingIsReadAhead(t *testing.T) {
	const page, size, first = 4096, 4 << 20, 64
	path := filepath.Join(t.TempDir(), "journal.db")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	inMemory := func() int {
		t.Helper()
		mapped, err := unix.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Munmap(mapped) }()
		pages := make([]byte, size/page)
		if _, _, errno := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), size, uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
			t.Fatal(errno)
		}
		n := 0
		for _, p := range pages {
			n += int(p & 1)
		}
		return n
	}
	forget := func() {
		t.Helper()
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	read := func() {
		t.Helper()
		for i := range int64(first) {
			if _, err := file.ReadAt(make([]byte, page), i*page); err != nil {
				t.Fatal(err)
			}
		}
	}
	if forget(); inMemory() > 0 {
		t.Skip("this file system does not forget files")
	}
	if read(); inMemory() <= first {
		t.Skip("this system reads nothing ahead")
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if !readAtRandom(info) {
		t.Fatal("the descriptor of the file was not found")
	}
	forget()
	if read(); inMemory() != first {
		t.Errorf("%d pages were read, and %d are in memory", first, inMemory())
	}
}
