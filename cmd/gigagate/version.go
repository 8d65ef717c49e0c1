package main

import (
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
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

// versionFlag prints the version in place of running a command.
type versionFlag bool

// BeforeReset prints it.
func (versionFlag) BeforeReset(parsed *kong.Context) error {
	if _, err := fmt.Fprintln(parsed.Stdout, version()); err != nil {
		return err
	}
	parsed.Exit(0)
	return nil
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints it.
func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintln(to.out, version())
	return err
}
