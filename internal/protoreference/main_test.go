package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// contractIn returns the contract below folder.
func contractIn(t *testing.T, folder string) contract {
	t.Helper()
	files, err := compile(t.Context(), filepath.Join(folder, "proto"))
	if err != nil {
		t.Fatal(err)
	}
	return describe(files)
}

// TestPagesAreCurrent fails if a page was not generated from the current contract.
func TestPagesAreCurrent(t *testing.T) {
	t.Parallel()
	c := contractIn(t, root)
	for name, write := range pages {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := write(c, got)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s does not match proto/: run go generate ./internal/protoreference", name)
		}
	}
}

// TestTableOfErrorsIsReplaced checks that the text around the table stays. A page without a place for the table is an
// error.
func TestTableOfErrorsIsReplaced(t *testing.T) {
	t.Parallel()
	c := contract{Enums: []enum{{Values: []value{{Name: "A_UNSPECIFIED"}, {Error: &answer{
		Reason: "GONE", Code: "NOT_FOUND", Status: 404, Effect: "`NONE`", Sentence: "it is|gone",
	}}}}}}
	page, err := withErrors(c, []byte("before\n"+tableStart+"old\n"+tableEnd+"after\n"))
	want := "before\n" + tableStart + "| reason | message | gRPC | REST | effect |\n|---|---|---|---|---|\n" +
		"| `GONE` | it is\\|gone | `NOT_FOUND` | 404 | `NONE` |\n" + tableEnd + "after\n"
	if err != nil || string(page) != want {
		t.Errorf("%v: %s", err, page)
	}
	if _, err := withErrors(c, []byte("before\n"+tableStart)); err == nil {
		t.Error("the end of the table is missing, but there is no error")
	}
}

// TestReferenceHasEveryKindOfFact checks the page of a small contract that has every kind of fact.
func TestReferenceHasEveryKindOfFact(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	name := filepath.Join(folder, "proto", "gigagate", "v1", "example.proto")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := reference(contractIn(t, folder), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| [Shop.Buy](#buy) | `POST /v1/buy/{id}` | Buy buys. |\n",
		"takes [BuyRequest](#buyrequest) and answers with [BuyResponse](#buyresponse).\n\nBuy buys. Twice.\n\nNever more.\n",
		"| `id` | string | One &lt;id&gt; over two lines.<br>And a paragraph. | pattern `^(a\\|b)$`; required |\n",
		"| `email` | string | Who. | optional; email; never logged |\n",
		"| `token` | string | Ours. | must not be ours |\n",
		"| `colours` | list of [Colour](#colour) | Which. |  |\n",
		"| `wait` | google.protobuf.Duration | How long. | one of `how`; gte 0.5s; lte 60s |\n",
		"| `no` | bool | Not. | one of `how`; const `true` |\n",
		"| <a id=\"colour_unspecified\"></a>`COLOUR_UNSPECIFIED` | 0 | None. |\n| <a id=\"colour_red\"></a>`COLOUR_RED` | 3 | Red. |\n",
		"| <a id=\"error_reason_unspecified\"></a>`ERROR_REASON_UNSPECIFIED` | 0 | None. | | | | | |\n",
		"| <a id=\"error_reason_gone\"></a>`ERROR_REASON_GONE` | 4 | It is gone. | `NOT_FOUND` | 404 | `APPLIED` (or not) | 5s | it\\|gone |\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(string(page), "ErrorSpec") {
		t.Error("the page has the message of an option")
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

const example = `syntax = "proto3";
package gigagate.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/descriptor.proto";
import "google/protobuf/duration.proto";
import "google/rpc/code.proto";

// Colour is a colour.
enum Colour {
  // None.
  COLOUR_UNSPECIFIED = 0;
  // Red.
  COLOUR_RED = 3;
}

// ErrorReason tells what is wrong.
enum ErrorReason {
  // None.
  ERROR_REASON_UNSPECIFIED = 0;
  // It is gone.
  ERROR_REASON_GONE = 4 [(error_spec) = {
    code: NOT_FOUND
    http_status: 404
    effect: EFFECT_APPLIED
    other_effect: "or not"
    retry_delay: {seconds: 5}
    sentence: "it|gone"
  }];
}

// Effect is an effect.
enum Effect {
  // None.
  EFFECT_UNSPECIFIED = 0;
  // All.
  EFFECT_APPLIED = 3;
}

extend google.protobuf.EnumValueOptions {
  // An option.
  ErrorSpec error_spec = 50001;
}

// ErrorSpec is not told.
message ErrorSpec {
  // A code.
  google.rpc.Code code = 1;
  // A status.
  int32 http_status = 2;
  // An effect.
  Effect effect = 3;
  // Another.
  string other_effect = 4;
  // A delay.
  google.protobuf.Duration retry_delay = 5;
  // A sentence.
  string sentence = 6;
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
