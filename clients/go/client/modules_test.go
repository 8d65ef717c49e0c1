package client_test

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestCallersDownloadFewModules: a service that uses this package and the stubs downloads these modules and no others, above
// all none of the gateway's journals, telemetry and tools. See "One Go module" in docs/decisions.md.
func TestCallersDownloadFewModules(t *testing.T) {
	t.Parallel()
	const format = "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"
	packages, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, ".", "../../../gen/go/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for module := range strings.FieldsSeq(string(packages)) {
		modules[module] = true
	}
	want := []string{
		"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go",
		"github.com/grpc-ecosystem/grpc-gateway/v2",
		"golang.org/x/net",
		"golang.org/x/sys",
		"golang.org/x/text",
		"google.golang.org/genproto/googleapis/api",
		"google.golang.org/genproto/googleapis/rpc",
		"google.golang.org/grpc",
		"google.golang.org/protobuf",
	}
	if got := slices.Sorted(maps.Keys(modules)); !slices.Equal(got, want) {
		t.Errorf("callers download\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
