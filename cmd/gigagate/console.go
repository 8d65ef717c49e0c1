package main

import (
	"errors"
	"io"
	"os"
)

// console is where a command writes. Results go to out. Messages to a person and log lines go to err.
type console struct {
	out io.Writer
	err io.Writer
}

// errOutputClosed is returned for every write if the standard output was closed before the start.
var errOutputClosed = errors.New("the standard output is closed")

// closedOutput refuses every write.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, errOutputClosed }

// standardOutput is the process's standard output. If it is closed (`>&-`), Go's runtime opens /dev/null
// in its place, and an answer would be lost without an error. The two cases can be told apart: the runtime
// opens /dev/null for reading and writing, a shell (`>/dev/null`) only for writing.
func standardOutput() io.Writer {
	out, err := os.Stdout.Stat()
	if err != nil {
		return closedOutput{}
	}
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(out, null) {
		return os.Stdout
	}
	if _, err := os.Stdout.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return closedOutput{}
	}
	return os.Stdout
}
