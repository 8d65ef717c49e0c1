package sealed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"go.uber.org/goleak"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
	"gigagate.internal/purchase/memory"
	"gigagate.internal/purchase/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestJournal: a sealed journal keeps all rules of a journal.
func TestJournal(t *testing.T) {
	t.Parallel()
	keys := read(t, keyFile(t, named("a")))
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) journaltest.Harness {
		t.Helper()
		return journaltest.Harness{Journal: over(t, memory.Open(clock.Now), keys), Sealed: true}
	})
}

func over(t testing.TB, journal purchase.Journal, keys *Keyring) *Journal {
	t.Helper()
	j, err := New(context.Background(), journal, keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func openFile(t testing.TB) *sqlite.Journal {
	t.Helper()
	file, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "journal.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return file
}

func claim(t testing.TB, j purchase.Journal) purchase.Purchase {
	t.Helper()
	id := ulid.Make().String()
	p, err := j.Claim(context.Background(), purchase.Claim{
		ID: id, Key: purchase.Key{Caller: "default", RequestID: id}, Account: "account",
		Order:    purchase.Order{Kind: purchase.Register, InventoryItemID: "item", Metatag: "m"},
		Personal: purchase.Personal{CustomerEmail: "someone@canary.invalid", UserIP: "203.0.113.7"}.Encode(), PermitLife: time.Second, Lease: time.Minute,
	})
	if err != nil {
		t.Error(err)
	}
	return p
}

// sale is as long as the vendor's answers.
var sale = fmt.Sprintf(`{"code":%q,"more":%q}`, secret, strings.Repeat("x", 1400))

func settle(t testing.TB, j purchase.Journal, p purchase.Purchase) {
	t.Helper()
	_, _, err := purchase.Record(context.Background(), j, p, purchase.Transition{
		Event: purchase.AnsweredApplied, Attempt: 1, By: purchase.ByGateway, ItemUID: "item-" + p.ID, CustomerUID: "customer", Sale: []byte(sale),
	})
	if err != nil {
		t.Error(err)
	}
}

// readable checks that the secrets of a purchase can be read.
func readable(t testing.TB, j purchase.Journal, id string, sold bool) {
	t.Helper()
	secrets, err := j.Secrets(context.Background(), id)
	if err != nil || !strings.Contains(string(secrets.Personal), "someone@canary.invalid") || sold && string(secrets.Sale) != sale || !sold && secrets.Sale != nil {
		t.Errorf("%s: %s %.20q, err = %v", id, secrets.Personal, secrets.Sale, err)
	}
}

// stored returns the stored rows.
func stored(t testing.TB, j purchase.Journal) map[string]purchase.SecretsRow {
	t.Helper()
	all := map[string]purchase.SecretsRow{}
	for _, kind := range []purchase.SecretsKind{purchase.OpenSecrets, purchase.SettledSecrets} {
		if _, err := j.RewriteSecrets(context.Background(), kind, "", 1_000_000, func(rows []purchase.SecretsRow) []purchase.SecretsRow {
			for _, row := range rows {
				all[row.ID] = row
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestRotate: rows in plain, and rows that are sealed with an earlier key, are sealed with the newest key, and all of
// them can be read afterwards without the earlier key.
func TestRotate(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	a, b := named("a"), named("b")
	path := keyFile(t, a)
	var open, settled []string
	for _, j := range []*Journal{over(t, file, &Keyring{}), over(t, file, read(t, path))} {
		for range batch {
			p := claim(t, j)
			open = append(open, p.ID)
			p = claim(t, j)
			settle(t, j, p)
			settled = append(settled, p.ID)
		}
	}
	j := over(t, file, read(t, path))
	write(t, path, b, a)
	rotate := func(want int) {
		t.Helper()
		done, err := j.Rotate(t.Context())
		if err != nil || done.Key != "b" || done.Rows != 4*batch || done.Sealed != want || done.Unreadable != 0 {
			t.Errorf("%+v, %v, want %d", done, err, want)
		}
	}
	rotate(4 * batch)
	rotate(0)
	write(t, path, b)
	j = over(t, file, read(t, path))
	for i := range open {
		readable(t, j, open[i], false)
		readable(t, j, settled[i], true)
	}
	for id, row := range stored(t, j) {
		for _, text := range [][]byte{row.Personal, row.Sale} {
			if text != nil && !isSealedWith(first(t, j.keys), text) {
				t.Fatalf("%s holds %.20q", id, text)
			}
		}
	}
}

// settling is a journal in which something happens when a rotation has read all rows of a kind.
type settling struct {
	purchase.Journal
	then func()
}

func (s *settling) RewriteSecrets(
	ctx context.Context, kind purchase.SecretsKind, after string, limit int, rewrite func([]purchase.SecretsRow) []purchase.SecretsRow,
) (string, error) {
	last, err := s.Journal.RewriteSecrets(ctx, kind, after, limit, rewrite)
	if last == "" {
		s.then()
		s.then = func() {}
	}
	return last, err
}

// TestSettledDuringARotation: a rotation does not miss a row that moves from the open ones to the settled ones.
func TestSettledDuringARotation(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	a, b := named("a"), named("b")
	path := keyFile(t, a)
	before := over(t, file, read(t, path))
	p := claim(t, before)
	between := &settling{file, func() {}}
	j := over(t, between, read(t, path))
	between.then = func() { settle(t, before, p) }
	write(t, path, b, a)
	if _, err := j.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, path, b)
	readable(t, over(t, file, read(t, path)), p.ID, true)
}

// TestRotateWhileSelling: purchases go on during a rotation, and lose nothing.
func TestRotateWhileSelling(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	a := named("a")
	path := keyFile(t, a)
	j := over(t, file, read(t, path))
	for range 3 * batch {
		settle(t, j, claim(t, j))
	}
	var mu sync.Mutex
	var sold []string
	var callers sync.WaitGroup
	enough := make(chan struct{})
	for range 16 {
		callers.Go(func() {
			for {
				p := claim(t, j)
				settle(t, j, p)
				mu.Lock()
				sold = append(sold, p.ID)
				mu.Unlock()
				select {
				case <-enough:
					return
				default:
				}
			}
		})
	}
	var newest string
	for i := range 5 {
		newest = named(fmt.Sprint("b", i))
		write(t, path, newest, a)
		a = newest
		if done, err := j.Rotate(t.Context()); err != nil || done.Sealed < 3*batch || done.Unreadable != 0 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	close(enough)
	callers.Wait()
	// A call that had sealed with the former key before it was replaced may have been written after the last page.
	if done, err := j.Rotate(t.Context()); err != nil || done.Rows != 3*batch+len(sold) || done.Unreadable != 0 {
		t.Errorf("%+v, %v, want %d rows", done, err, 3*batch+len(sold))
	}
	write(t, path, newest)
	j = over(t, file, read(t, path))
	for _, id := range sold {
		readable(t, j, id, true)
	}
}

// TestRowsThatAreSwapped: the text of one purchase is not taken for another's. A rotation leaves such rows as they are
// and says so, and the other rows are sealed.
func TestRowsThatAreSwapped(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	a := named("a")
	path := keyFile(t, a)
	j := over(t, file, read(t, path))
	one, two, other := claim(t, j), claim(t, j), claim(t, j)
	for _, p := range []purchase.Purchase{one, two, other} {
		settle(t, j, p)
	}
	if _, err := file.RewriteSecrets(t.Context(), purchase.SettledSecrets, "", 9, func(rows []purchase.SecretsRow) []purchase.SecretsRow {
		rows[0].Sale, rows[1].Sale = rows[1].Sale, rows[0].Sale
		return rows[:2]
	}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []purchase.Purchase{one, two} {
		if secrets, err := j.Secrets(t.Context(), p.ID); err == nil || !strings.Contains(err.Error(), "the sale column of purchase "+p.ID) || strings.Contains(err.Error(), "canary") || secrets.Sale != nil {
			t.Errorf("%s, %v", secrets.Sale, err)
		}
	}
	write(t, path, named("b"), a)
	if done, err := j.Rotate(t.Context()); err != nil || done.Unreadable != 2 || done.Sealed != 1 || !strings.Contains(fmt.Sprint(done.First), one.ID) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestMissingKey: without the key of settled purchases, their secrets cannot be read, and new purchases go on. Without
// the key of an open purchase, the journal is not opened.
func TestMissingKey(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	path := keyFile(t, named("a"))
	j := over(t, file, read(t, path))
	p := claim(t, j)
	for what, keys := range map[string]*Keyring{"no file": {}, "another key": read(t, keyFile(t, named("b")))} {
		_, err := New(t.Context(), file, keys, slog.New(slog.DiscardHandler))
		if missing, ok := errors.AsType[*MissingKeyError](err); !ok || missing.ID != "a" {
			t.Errorf("%s: %v", what, err)
		}
	}
	settle(t, j, p)
	other := over(t, file, read(t, keyFile(t, named("b"))))
	if _, err := other.Secrets(t.Context(), p.ID); err == nil || !strings.Contains(err.Error(), `the key "a"`) {
		t.Error(err)
	}
	next := claim(t, other)
	settle(t, other, next)
	readable(t, other, next.ID, true)
	if done, err := other.Rotate(t.Context()); err != nil || done.Unreadable != 1 || done.Rows != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := over(t, file, &Keyring{}).Rotate(t.Context()); err == nil {
		t.Error("a rotation without a key file")
	}
}

// cpu returns the CPU time of this process in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// BenchmarkPurchase compares the cost of a purchase with and without a key.
func BenchmarkPurchase(b *testing.B) {
	for name, keys := range map[string]*Keyring{"plain": {}, "sealed": read(b, keyFile(b, named("a")))} {
		b.Run(name, func(b *testing.B) {
			j := over(b, openFile(b), keys)
			b.SetParallelism(64)
			b.ReportAllocs()
			before := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					settle(b, j, claim(b, j))
				}
			})
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
