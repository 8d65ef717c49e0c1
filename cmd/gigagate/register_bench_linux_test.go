package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// adviseRandom tells the system that single pages of a file will be read.
func adviseRandom(file *os.File) error {
	return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_RANDOM)
}
