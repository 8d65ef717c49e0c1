package main

import (
	"errors"
	"io"
	"os"
)

// console is where a command writes: results to out, everything said to a person or a log to err.
type console struct {
	out io.Writer
	err io.Writer
}

// errOutputClosed is the error of every write to a standard output that was closed before the start.
var errOutputClosed = errors.New("the standard output is closed")

// closedOutput refuses every write.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, errOutputClosed }

// standardOutput is the process's standard output. Go's runtime opens /dev/null in place of one that
// is closed (`>&-`), and an answer written there would be lost without an error. The runtime opens it
// for reading, too; a shell opens /dev/null for writing alone.
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
