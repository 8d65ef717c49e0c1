package main

import (
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// stamped is set by the linker: -X main.stamped=v1.2.3.
var stamped string

// version is the stamped version. Without one, it is the version that the Go toolchain recorded in the build.
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionFlag prints the version instead of running a command.
type versionFlag bool

// BeforeReset prints the version and exits.
func (versionFlag) BeforeReset(parsed *kong.Context) error {
	if _, err := fmt.Fprintln(parsed.Stdout, version()); err != nil {
		return err
	}
	parsed.Exit(0)
	return nil
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintln(to.out, version())
	return err
}
