package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestReferenceIsCurrent keeps the page what the contract says.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := reference(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, output))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what proto/ says: run go generate ./internal/protoreference", output)
	}
}

// TestReferenceTells one of each kind of fact, from a contract that has them all.
func TestReferenceTells(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	name := filepath.Join(folder, "proto", "gigagate", "v1", "example.proto")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := reference(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| [Shop.Buy](#buy) | `POST /v1/buy/{id}` | Buy buys. |\n",
		"takes [BuyRequest](#buyrequest), answers [BuyResponse](#buyresponse).\n\nBuy buys. Twice.\n\nNever more.\n",
		"| `id` | string | One &lt;id&gt; over two lines.<br>And a paragraph. | pattern `^(a\\|b)$`; required |\n",
		"| `email` | string | Who. | optional; email; never logged |\n",
		"| `token` | string | Ours. | must not be ours |\n",
		"| `colours` | list of [Colour](#colour) | Which. |  |\n",
		"| `wait` | google.protobuf.Duration | How long. | one of `how`; gte 0.5s; lte 60s |\n",
		"| `no` | bool | Not. | one of `how`; const `true` |\n",
		"| `COLOUR_UNSPECIFIED` | 0 | None. |\n| `COLOUR_RED` | 3 | Red. |\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

const example = `syntax = "proto3";
package gigagate.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/duration.proto";

// Colour is a colour.
enum Colour {
  // None.
  COLOUR_UNSPECIFIED = 0;
  // Red.
  COLOUR_RED = 3;
}

// Shop sells.
service Shop {
  // Buy buys. Twice.
  //
  // Never more.
  rpc Buy(BuyRequest) returns (BuyResponse) {
    option (google.api.http) = {
      post: "/v1/buy/{id}"
      body: "*"
    };
  }
}

// BuyRequest asks.
message BuyRequest {
  // One <id> over
  // two lines.
  //
  // And a paragraph.
  string id = 1 [
    (buf.validate.field).required = true,
    (buf.validate.field).string.pattern = "^(a|b)$"
  ];
  // Who.
  optional string email = 2 [
    debug_redact = true,
    (buf.validate.field).string.email = true
  ];
  // Ours.
  string token = 3 [(buf.validate.field).cel = {
    id: "token"
    message: "must not be ours"
    expression: "this != 'ours'"
  }];
  // Which.
  repeated Colour colours = 4;
  // How.
  oneof how {
    // How long.
    google.protobuf.Duration wait = 5 [
      (buf.validate.field).duration.gte = {nanos: 500000000},
      (buf.validate.field).duration.lte = {seconds: 60}
    ];
    // Not.
    bool no = 6 [(buf.validate.field).bool.const = true];
  }
}

// BuyResponse answers.
message BuyResponse {}
`
