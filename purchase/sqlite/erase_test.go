package sqlite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gigagate.internal/purchase"
)

// TestErasedIsInNoFile: when Scrub returns, nothing that was erased is in the database file, its free pages, the unused
// parts of its pages, or the WAL. The texts are in plain, so that each can be searched for.
func TestErasedIsInNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	random := rand.New(rand.NewPCG(1, 2))
	var all []purchase.Purchase
	for range 600 {
		claim := newClaim()
		claim.Personal = []byte("<personal " + claim.ID + ">")
		p, err := j.Claim(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		sale := sold(p)
		// A page of the file holds several short sales. SQLite moves them when others are deleted. A long sale needs several pages.
		size := random.IntN(600)
		if size%50 == 0 {
			size = 20_000
		}
		sale.Sale = fmt.Appendf(nil, "<sale %s>%*s<end %[1]s>", p.ID, size, "")
		if p, _, err = purchase.Record(t.Context(), j, p, sale); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for erased := range slices.Chunk(all[:550], 50) {
		for _, p := range erased {
			if _, _, err := purchase.Record(t.Context(), j, p, purchase.Transition{Event: purchase.Erased, Attempt: p.Attempt, By: purchase.ByOperator("somebody")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(path + "-wal")
		if err != nil || !bytes.Contains(text, []byte("<sale "+all[550].ID+">")) {
			t.Fatalf("the test does not find what is there: %v", err)
		}
		for _, p := range erased {
			for _, word := range []string{"<personal ", "<sale ", "<end "} {
				if bytes.Contains(text, []byte(word+p.ID)) || bytes.Contains(log, []byte(word+p.ID)) {
					t.Fatalf("a file still holds %s%s>", word, p.ID)
				}
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if n, problems, err := file.Check(t.Context()); n != len(all) || len(problems) > 0 || err != nil {
		t.Errorf("the check of %d purchases: %v, %v", n, problems, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnusedMiddle: only the unused part of a tree's page is overwritten, whatever the page holds.
func TestUnusedMiddle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page []byte
		want int
	}{
		"a leaf":                  {[]byte{13, 0, 0, 0, 1, 0, 14, 0, 0, 14, 9, 9, 9, 9, 1, 1}, 4},
		"inside a tree":           {[]byte{5, 0, 0, 0, 1, 0, 15, 0, 1, 1, 1, 1, 1, 1, 9, 1}, 1},
		"a page of long text":     {[]byte{0, 0, 0, 13, 0, 1, 0, 15, 1, 1, 1, 1, 1, 1, 1, 1}, 0},
		"cells that overlap":      {[]byte{13, 0, 0, 0, 4, 0, 14, 0, 1, 1, 1, 1, 1, 1, 1, 1}, 0},
		"cells behind the page":   {[]byte{13, 0, 0, 0, 1, 1, 14, 0, 1, 1, 1, 1, 1, 1, 1, 1}, 0},
		"too short to have cells": {[]byte{13, 0, 0}, 0},
	} {
		if got := unusedMiddle(test.page); len(got) != test.want || bytes.ContainsFunc(got, func(r rune) bool { return r != 9 }) {
			t.Errorf("%s: %v, want %d bytes", name, got, test.want)
		}
	}
}
