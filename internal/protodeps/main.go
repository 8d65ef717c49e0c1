// Command protodeps writes the .proto files of third parties that the contract imports, without the Buf Schema Registry.
//
// Without arguments it writes the files to .protodeps/. It prints them from the descriptors in the Go packages that
// go.mod pins. So the contract and the code that links it use the same versions.
//
// With -against REF it also compares proto/ with proto/ at a git ref, with buf breaking.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/reflect/protoreflect"
)

//go:generate go run . -root ../..
//go:generate go -C ../.. tool buf generate

// roots are the files that the contract imports. The files that they import are found from them.
var roots = []protoreflect.FileDescriptor{
	validate.File_buf_validate_validate_proto,
	annotations.File_google_api_annotations_proto,
	annotations.File_google_api_field_behavior_proto,
	code.File_google_rpc_code_proto,
}

const depsDir = ".protodeps"

func main() {
	log.SetFlags(0)
	log.SetPrefix("protodeps: ")
	root := flag.String("root", ".", "the repository's root")
	against := flag.String("against", "", "a git ref to check proto/ against for breaking changes")
	flag.Parse()
	if err := run(*root, *against); err != nil {
		log.Fatal(err)
	}
}

func run(root, against string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := writeDeps(depsDir); err != nil {
		return err
	}
	if against == "" {
		return nil
	}
	return breaking(against)
}

// writeDeps writes every root and all its imports below dir. It removes everything else from dir.
func writeDeps(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	printer := &protoprint.Printer{Compact: true}
	done := map[string]bool{}
	var visit func(protoreflect.FileDescriptor) error
	visit = func(file protoreflect.FileDescriptor) error {
		// buf already has google/protobuf/*.proto.
		if done[file.Path()] || strings.HasPrefix(file.Path(), "google/protobuf/") {
			return nil
		}
		done[file.Path()] = true
		for i := range file.Imports().Len() {
			if err := visit(file.Imports().Get(i).FileDescriptor); err != nil {
				return err
			}
		}
		text, err := printer.PrintProtoToString(file)
		if err != nil {
			return fmt.Errorf("print %s: %w", file.Path(), err)
		}
		name := filepath.Join(dir, filepath.FromSlash(file.Path()))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, []byte(text), 0o644)
	}
	for _, file := range roots {
		if err := visit(file); err != nil {
			return err
		}
	}
	return nil
}

// breaking runs buf breaking against proto/ at a git ref. A plain `--against .git#ref=…` does not work, because
// .protodeps/ is not in git.
func breaking(ref string) error {
	base, err := os.MkdirTemp("", "protodeps-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(base) }()
	archive, err := exec.Command("git", "archive", "--format=tar", ref, "buf.yaml", "proto").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("git archive %s: %w: %s", ref, err, exit.Stderr)
		}
		return fmt.Errorf("git archive %s: %w", ref, err)
	}
	if err := untar(base, archive); err != nil {
		return fmt.Errorf("unpack proto/ at %s: %w", ref, err)
	}
	if err := writeDeps(filepath.Join(base, depsDir)); err != nil {
		return err
	}
	buf := exec.Command("go", "tool", "buf", "breaking", "--against", base)
	buf.Stdout, buf.Stderr = os.Stdout, os.Stderr
	return buf.Run()
}

// untar unpacks the files and folders of an archive below dir. A name that leads out of dir is an error of os.Root.
func untar(dir string, archive []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(strings.TrimSuffix(header.Name, "/"), 0o755)
		case tar.TypeReg:
			err = writeEntry(root, header.Name, r)
		}
		if err != nil {
			return err
		}
	}
}

func writeEntry(root *os.Root, name string, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return root.WriteFile(name, content, 0o644)
}
