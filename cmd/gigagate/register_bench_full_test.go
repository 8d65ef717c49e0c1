package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// fill makes the full journals that the variants need. Each run uses them again, and adds a few thousand purchases.
func (s *benchSuite) fill(b *testing.B, variants []benchVariant) {
	b.Helper()
	s.full = map[string]benchServer{}
	for _, v := range variants {
		if !v.full {
			continue
		}
		journal := v.server
		args := []string{"-purchases", fmt.Sprint(*benchPurchases)}
		if journal.Kind == "sqlite" {
			journal.Journal = filepath.Join(b.TempDir(), "full.db")
			args = append(args, "-journal", "sqlite:"+journal.Journal)
		} else {
			journal.Journal, journal.Schema = s.database.URL, s.database.Schema(b)
			args = append(args, "-schema", journal.Schema, "-journal", journal.Journal)
		}
		program, err := goBuild(b, "../../internal/filljournal")
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(os.Stderr, "%s: filling the journal with %d purchases\n", v.name, *benchPurchases)
		command := exec.CommandContext(b.Context(), program, args...)
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			b.Fatalf("fill: %v", err)
		}
		if journal.Kind == "postgres" {
			if err := s.database.Vacuum(b.Context()); err != nil { // else PostgreSQL does it while a run is measured
				b.Fatal(err)
			}
		}
		s.full[journal.Kind] = journal
	}
}

// goBuild builds the program in a folder.
func goBuild(b *testing.B, folder string) (string, error) {
	b.Helper()
	program := filepath.Join(b.TempDir(), filepath.Base(folder))
	said, err := exec.CommandContext(b.Context(), "go", "-C", folder, "build", "-buildvcs=false", "-o", program, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
	}
	return program, nil
}

// benchLists are lists of a full journal. In most of them little or nothing matches.
var benchLists = map[string]*gigagatev1.ListPurchasesRequest{
	"all":                 {},
	"SENDING":             {State: gigagatev1.PurchaseState_PURCHASE_STATE_SENDING},
	"ACCEPTED":            {State: gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED},
	"UNCERTAIN":           {State: gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN},
	"NEEDS_OPERATOR":      {State: gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR},
	"SUCCEEDED":           {State: gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED},
	"FAILED":              {State: gigagatev1.PurchaseState_PURCHASE_STATE_FAILED},
	"FAILED, of an hour":  {State: gigagatev1.PurchaseState_PURCHASE_STATE_FAILED, FromTime: ago(2 * time.Hour), ToTime: ago(time.Hour)},
	"until 100 years ago": {ToTime: ago(100 * 365 * 24 * time.Hour)},
	"unknown request id":  {RequestId: "unknown"},
	"unknown customer":    {CustomerUid: "unknown"},
}

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-d)) }

// list adds to r how long the first page of the slowest list takes.
func (r benchRun) list(b *testing.B, server *benchProcess) {
	b.Helper()
	conn, err := dial(server.address, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := gigagatev1.NewPurchaseServiceClient(conn)
	page := func(name string) float64 {
		began := time.Now()
		if _, err := client.ListPurchases(b.Context(), benchLists[name]); err != nil {
			b.Fatalf("%s: list %s: %v", server.run, name, err)
		}
		return milliseconds(time.Since(began))
	}
	page("all") // connects
	slowest := ""
	for name := range benchLists {
		if server.Kind == "sqlite" && forget(b.Context(), server.Journal) {
			r[coldList] = max(r[coldList], page(name))
		}
		if took := median([]float64{page(name), page(name), page(name)}); took > r[warmList] {
			r[warmList], slowest = took, name
		}
	}
	fmt.Fprintf(os.Stderr, "%s: the slowest list is %q: %.1f ms\n", server.run, slowest, r[warmList])
}

// forget makes the system drop a file from its memory. It returns false if that is not possible.
func forget(ctx context.Context, file string) bool {
	// With these flags GNU dd reads nothing and calls posix_fadvise for the whole file.
	return exec.CommandContext(ctx, "dd", "if="+file, "of=/dev/null", "iflag=nocache", "count=0", "status=none").Run() == nil
}

// remember reads a file, so that the system has it in memory. It reads single pages, as SQLite does. If Linux reads ahead, it
// keeps the file in large parts, and every checkpoint costs more.
func remember(b *testing.B, name string) {
	b.Helper()
	const page, readers = 4096, 32
	file, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	if err := adviseRandom(file); err != nil {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	for reader := range int64(readers) {
		group.Go(func() {
			buffer := make([]byte, page)
			for at := reader * page; at < info.Size(); at += readers * page {
				if _, err := file.ReadAt(buffer, at); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// median returns the middle value, or the mean of the two middle values.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
