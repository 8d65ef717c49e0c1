package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const sharedCode = `package shop

import (
	"runtime"
	"strings"
)

const most = 3

func mayBuy(n int) bool { return n <= most }

func mayReturn(n int) bool { return n > 0 }

func caller() string {
	pc, _, _, _ := runtime.Caller(0)
	return runtime.FuncForPC(pc).Name()
}

func isNamed() bool { return strings.HasSuffix(caller(), ".caller") }

func hasLabel(n int) bool {
again:
	if n > 0 {
		n--
		goto again
	}
	return n == 0
}
`

const sharedTests = `package shop

import "testing"

func check(t *testing.T, ok bool) {
	if !ok {
		t.Fatal("no")
	}
}

func TestBuy(t *testing.T) { check(t, mayBuy(3) && !mayBuy(4)) }

func TestReturn(t *testing.T) { check(t, mayReturn(1)) }

func TestCaller(t *testing.T) { check(t, isNamed()) }

func TestLabel(t *testing.T) { check(t, hasLabel(2)) }
`

const clientCode = `package client

import "shared.internal/shop"

func Buys(n int) bool { return shop.MayBuy(n) }
`

// TestTryAll tries sabotages of a small module, and checks what it says of each.
func TestTryAll(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{
		"go.mod":                "module shared.internal\n\ngo 1.26\n",
		"shop/shop.go":          sharedCode + "\nfunc MayBuy(n int) bool { return mayBuy(n) }\n",
		"shop/shop_test.go":     sharedTests,
		"client/client.go":      clientCode,
		"client/client_test.go": "package client\n\nimport \"testing\"\n\nfunc TestBuys(t *testing.T) {\n\tif Buys(4) {\n\t\tt.Fatal()\n\t}\n}\n",
	})
	of := func(name, place, rule, without, test string) sabotage {
		return sabotage{name, []edit{{place, rule, without}}, "./shop", test}
	}
	inClient := of("in another package", "shop.mayBuy", "n <= most", always, "TestBuys")
	inClient.pkg = "./client"
	list := []sabotage{
		of("caught", "shop.mayBuy", "n <= most", always, "TestBuy"),
		inClient,
		of("missed", "shop.mayReturn", "n > 0", always, "TestReturn"),
		of("labelled", "shop.hasLabel", "n == 0", never, "TestLabel"),
		of("no such test", "shop.mayBuy", "n <= most", never, "TestSell"),
		of("no such rule", "shop.mayBuy", "n < most", never, "TestBuy"),
		of("a constant", "shop.most", "3", "4", "TestBuy"),
		of("no compilation", "shop.mayReturn", "n > 0", "n > true", "TestReturn"),
		of("no compilation, twice", "shop.mayReturn", "n > 0", "n + 1", "TestReturn"),
		of("its test fails always", "shop.caller", "runtime.Caller(0)", "runtime.Caller(1)", "TestCaller"),
	}
	var said strings.Builder
	caught, err := tryAll(t.Context(), newModule(folder), list, 1, &said)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range regexp.MustCompile(`(?m)^(caught|MISSED|BROKEN|flaky \S+) +\S+s  (.*)$`).FindAllStringSubmatch(said.String(), -1) {
		got = append(got, line[1]+" "+line[2])
	}
	slices.Sort(got)
	want := []string{
		"BROKEN no compilation", "BROKEN no compilation, twice", "BROKEN no such rule", "BROKEN no such test", "MISSED missed",
		"caught a constant", "caught caught", "caught in another package", "caught its test fails always", "caught labelled",
	}
	if caught != 5 || !slices.Equal(got, want) {
		t.Errorf("%d caught: %q, want %q\n%s", caught, got, want, said.String())
	}
	for reason, n := range map[string]int{
		"it changes code outside of functions": 1, "it does not compile beside others": 2, "it does not fit the code": 1,
		"TestCaller fails in the shared build without a sabotage": 1,
	} {
		if !strings.Contains(said.String(), fmt.Sprintf("%d with a build of its own: %s\n", n, reason)) {
			t.Errorf("%q is not said of %d sabotages:\n%s", reason, n, said.String())
		}
	}
}
