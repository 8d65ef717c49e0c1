package main

import (
	"fmt"
	"runtime/debug"
)

// stamped is set by the linker: -X main.stamped=v1.2.3.
var stamped string

// version is the stamped version, else what the Go toolchain knows of the build.
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints it.
func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintln(to.out, version())
	return err
}
