package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// TestNewKeyFitsTheFile: what `keys new` prints can be pasted into the callers file, and the check accepts it.
func TestNewKeyFitsTheFile(t *testing.T) {
	t.Parallel()
	made := gigagate(t, "keys", "new", "--caller=shop")
	if made.status != 0 || !regexp.MustCompile(`^gg_[a-z0-9]{8}_[0-9A-Za-z]{49}\n$`).MatchString(made.out) {
		t.Fatalf("%+v", made)
	}
	_, lines, _ := strings.Cut(made.err, "\n\n")
	if secret := strings.TrimSpace(made.out); strings.Contains(made.err, secret[len(secret)-20:]) {
		t.Error("the key is on the standard error, too")
	}
	file := writeFile(t, "callers:\n  - name: shop\n"+lines+"    may:\n      methods: [Register]\n      activation_modes: [all]\n    rate: {per_second: 0.5, burst: 10}\n")
	if got := gigagate(t, "config", "check", "--callers-file="+file, "--output=json"); got.status != 0 || got.out != `{
  "principals": [
    {
      "name": "shop",
      "kind": "caller",
      "inheritsDefault": false,
      "certificates": 0,
      "keys": 1,
      "jwts": 0,
      "methods": [
        "Register"
      ],
      "activationModes": [
        "all"
      ],
      "inventoryItems": [],
      "countrySets": [],
      "countries": [],
      "secrets": false,
      "soldElsewhere": false,
      "perSecond": 0.5,
      "burst": 10,
      "atOnce": 0
    }
  ]
}
` {
		t.Errorf("%+v", got)
	}
	table := "NAME  KIND    CERTIFICATES  KEYS  JWTS  SECRETS  BUDGET  METHODS\nshop  caller  0             1     0     no       none    Register\n"
	if got := gigagate(t, "config", "check", "--callers-file="+file, "--output=table"); got != (command{0, table, ""}) {
		t.Errorf("%+v", got)
	}
}

// TestConfigCheckShowsBudgets: the check shows each limit as the gateway has read it.
func TestConfigCheckShowsBudgets(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "callers:\n- name: shop\n  budget: {currency: USD, per_purchase: 9.990, per_day: 0.5, per_month: 100, total: 20000, time_zone: Asia/Tokyo}\n")
	for output, want := range map[string]string{
		"json":  `"budget": { "currency": "USD", "perPurchase": "9.99", "perDay": "0.5", "perMonth": "100", "total": "20000", "timeZone": "Asia/Tokyo" }`,
		"table": "USD 9.99 a purchase, 0.5 a day, 100 a month, 20000 in total",
	} {
		got := gigagate(t, "config", "check", "--callers-file="+file, "--output="+output)
		if words := strings.Join(strings.Fields(got.out), " "); got.status != 0 || !strings.Contains(words, want) {
			t.Errorf("%+v", got)
		}
	}
}

func TestConfigCheckNamesTheMistake(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "operators:\n  - name: anna\n    may: [raed]\n")
	for _, test := range []struct {
		line string
		want command
	}{
		{"config check --callers-file=" + file, command{exitFailed, "", `gigagate: --callers-file: line 3: operators[0].may[0]: "raed" is not audit, freeze, read, resolve or secrets` + "\n"}},
		{"config check --callers-file=/nowhere", command{exitFailed, "", "gigagate: --callers-file: open /nowhere: no such file or directory\n"}},
		{"config check", command{exitUsage, "", "gigagate: missing flags: --callers-file=FILE\n"}},
		{"keys new", command{exitUsage, "", "gigagate: missing flags: --caller=NAME\n"}},
		{"keys new --caller=default", command{exitUsage, "", `gigagate: --caller: the name "default" is reserved` + "\n"}},
		{"keys new --caller=Shop", command{exitUsage, "", "gigagate: --caller: it must be 1 to 63 small letters, digits and -, and must not start with -\n"}},
	} {
		if got := gigagate(t, strings.Fields(test.line)...); got != test.want {
			t.Errorf("%s: %+v", test.line, got)
		}
	}
}

// TestCallersFileKnowsEveryMethod: a method of the contract that no right allows could not be called any more.
func TestCallersFileKnowsEveryMethod(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	protoregistry.GlobalFiles.RangeFilesByPackage(gigagatev1.File_gigagate_v1_outcome_proto.Package(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				there[string(methods.Get(j).Name())] = true
			}
		}
		return true
	})
	known := access.Methods()
	slices.Sort(known)
	if all := slices.Sorted(maps.Keys(there)); !slices.Equal(all, known) {
		t.Errorf("the contract has %v, and the callers file %v", all, known)
	}
}

// TestCallersPageShowsAGoodFile: the file on the page is accepted.
func TestCallersPageShowsAGoodFile(t *testing.T) {
	t.Parallel()
	found := 0
	for _, b := range readBlocks(t, "docs/callers.md") {
		if b.language != "yaml" {
			continue
		}
		found++
		if got := gigagate(t, "config", "check", "--callers-file="+writeFile(t, b.text)); got.status != 0 {
			t.Errorf("line %d: %+v", b.line, got)
		}
	}
	if found != 1 {
		t.Errorf("%d files", found)
	}
}

// TestCallersPageNamesEveryRefusal: the page explains every value of the metric.
func TestCallersPageNamesEveryRefusal(t *testing.T) {
	t.Parallel()
	page := readPage(t, "docs/callers.md")
	for _, refusal := range inSources(t, `refusal += "([a-z_]+)"`) {
		if !regexp.MustCompile("(?m)^\\| .*`" + refusal + "`").MatchString(page) {
			t.Errorf("the page does not have %s", refusal)
		}
	}
}

// TestServeReadsTheCallersFile: only callers of the file may call, over gRPC and REST, and a changed file takes effect.
func TestServeReadsTheCallersFile(t *testing.T) {
	t.Parallel()
	key, id, sum := access.NewKey()
	text := fmt.Sprintf("callers:\n- name: shop\n  identities:\n  - key: {id: %s, sha256: %s}\n  may: {methods: [ListInventoryItems]}\n", id, sum)
	file := writeFile(t, text)
	g := startGateway(t, "--callers-file="+file)
	connection, err := grpc.NewClient(g.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	want := func(authorization string, code codes.Code, httpStatus int) {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization)
		_, err := gigagatev1.NewInventoryServiceClient(connection).ListInventoryItems(ctx, &gigagatev1.ListInventoryItemsRequest{})
		if status.Code(err) != code {
			t.Errorf("gRPC: %v", err)
		}
		request, err := http.NewRequest(http.MethodGet, "http://"+g.rest+"/v1/inventory", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", authorization)
		began := time.Now()
		answer, err := httpClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); httpStatus == http.StatusUnauthorized && took < 100*time.Millisecond {
			t.Errorf("a wrong credential is refused after %s", took)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != httpStatus {
			t.Errorf("REST: %s", answer.Status)
		}
	}
	want("Bearer "+key, codes.OK, http.StatusOK)
	want("Bearer "+key[:len(key)-1], codes.Unauthenticated, http.StatusUnauthorized)

	if err := os.WriteFile(file, []byte("callers:\n- name: shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.log.waitFor(t, g.ended, "callers file loaded")
	want("Bearer "+key, codes.Unauthenticated, http.StatusUnauthorized)
	if strings.Contains(g.log.String(), key[len(key)-20:]) {
		t.Error("the log has the key")
	}
	if got := gigagate(t, serveLine(t, "--sandbox", "--callers-file="+writeFile(t, "callers: 5"))...); got != (command{exitFailed, "", "gigagate: --callers-file: line 1: callers: it must be a list\n"}) {
		t.Errorf("a broken file at the start: %+v", got)
	}
}
