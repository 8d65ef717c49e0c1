package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// watchedWorld is a gateway with its vendor, and a Prometheus that watches it.
type watchedWorld struct {
	shop    *shop
	replica *replica
	monitor *monitor
	tls     tlsFolder
	servers *authority
	callers string // the callers file
	key     string // of the caller in it
	secret  string // the file with the vendor's secret
	disk    string // the folder of a small file system of the gateway

	database *postgrestest.Server
}

// alarm raises an alert. also are other alerts that the cause may raise.
type alarm struct {
	alert   string
	also    []string
	flags   []string
	prepare func(*testing.T, *watchedWorld) // before the gateway starts
	cause   func(*testing.T, *watchedWorld)
}

var alarms = []alarm{
	{alert: "GigagateDown", cause: func(_ *testing.T, w *watchedWorld) { w.replica.kill() }},
	{alert: "GigagateJournalProblem", prepare: smallDisk, cause: fillDisk, also: []string{"GigagateUnknownAnswers"}},
	{alert: "GigagateVendorProblem", flags: []string{"--send-window=30s"}, cause: killVendor},
	{alert: "GigagateCreditUsedUp", cause: func(t *testing.T, w *watchedWorld) {
		w.shop.inject(t, registerPath, "refuse", 1, map[string]any{"reason": "insufficientCredits"})
		w.fail(t, "order-1")
	}},
	{alert: "GigagateUnknownAnswers", cause: func(t *testing.T, w *watchedWorld) {
		w.shop.inject(t, registerPath, "commit_then_reset", 3, nil)
		for n := range 3 {
			w.sell(t, fmt.Sprintf("order-%d", n))
		}
	}},
	{alert: "GigagateOwnersNearLimit", flags: []string{"--gigastore-timeout=60s"}, cause: makeManyPurchases, also: []string{"GigagateUnknownAnswers"}},
	{alert: "GigagateNeedsOperator", flags: []string{"--reconcile-give-up=3s"}, cause: unreadableList, also: []string{"GigagateUnknownAnswers"}},
	{
		alert: "GigagateAnomaly", flags: []string{"--reconcile-settle-delay=1h"}, cause: contradict,
		also: []string{"GigagateUnknownAnswers", "GigagateNeedsOperator"},
	},
	{alert: "GigagateUncertainTooLong", flags: []string{"--reconcile-settle-delay=1h"}, cause: hiddenSale, also: []string{"GigagateUnknownAnswers"}},
	{alert: "GigagateNoScan", flags: []string{"--reconcile-give-up=1h"}, cause: unreadableList, also: []string{"GigagateUnknownAnswers"}},
	{alert: "GigagateOpenUnknown", prepare: onPostgreSQL, cause: func(t *testing.T, w *watchedWorld) {
		inDatabase(t, w.database, "ALTER TABLE gigagate.reporter RENAME TO lost")
	}},
	{alert: "GigagateLost", cause: dieWhileSending, also: []string{"GigagateDown", "GigagateUnknownAnswers"}},
	{alert: "GigagateJournalSlow", cause: slowDisk, also: []string{"GigagateUnknownAnswers"}},
	{alert: "GigagateBudgetNearlyUsed", prepare: callersFile, cause: func(t *testing.T, w *watchedWorld) {
		for n := range 10 {
			w.sell(t, fmt.Sprintf("order-%d", n))
		}
	}},
	{alert: "GigagateVendorSecretUnreadable", prepare: secretFile, cause: func(t *testing.T, w *watchedWorld) {
		if err := os.Remove(w.secret); err != nil {
			t.Fatal(err)
		}
		w.shop.inject(t, registerPath, "unauthorized", 1, nil) // so that the gateway asks for a new token
		w.sell(t, "order-1")
	}},
	{alert: "GigagateAccessProblem", prepare: callersFile, cause: func(t *testing.T, w *watchedWorld) {
		if err := os.WriteFile(w.callers, []byte("callers: [{nobody: knows}]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{alert: "GigagateCertificateEnds", prepare: certificates, cause: func(t *testing.T, w *watchedWorld) {
		w.replaceCertificate(t, time.Now().Add(6*24*time.Hour))
	}},
	{alert: "GigagateTLSProblem", prepare: certificates, cause: func(t *testing.T, w *watchedWorld) {
		w.replaceCertificate(t, time.Now().Add(-time.Minute))
	}},
}

// sell buys and wants a sale. A gateway that speaks TLS is not called.
func (w *watchedWorld) sell(t *testing.T, requestID string) {
	t.Helper()
	if w.tls != "" {
		return
	}
	if a := w.buy(t, requestID, soon); a.sold == nil {
		t.Fatalf("%s: %s", requestID, a)
	}
}

// fail buys and wants no sale.
func (w *watchedWorld) fail(t *testing.T, requestID string) told {
	t.Helper()
	a := w.buy(t, requestID, 3*time.Second)
	if a.sold != nil {
		t.Fatalf("%s: %s", requestID, a)
	}
	return a
}

func (w *watchedWorld) buy(t *testing.T, requestID string, d time.Duration) told {
	t.Helper()
	conn, err := w.replica.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newRegister(requestID).buyWithin(w.as(t), conn, d)
}

// as is the context of the caller's calls.
func (w *watchedWorld) as(t *testing.T) context.Context {
	t.Helper()
	if w.key == "" {
		return t.Context()
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+w.key)
}

// during runs work beside the test, and waits for its end at the end of the test.
func during(t *testing.T, work func(context.Context)) {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() { work(t.Context()) })
	t.Cleanup(running.Wait)
}

// killVendor: after five connections that cannot be made, the vendor is down.
func killVendor(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.shop.kill()
	conn, err := w.replica.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		during(t, func(ctx context.Context) { newRegister(fmt.Sprintf("order-%d", n)).buyWithin(ctx, conn, soon) })
	}
}

// unreadableList: the vendor sold, but gave no answer, and its list cannot be read.
func unreadableList(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.shop.inject(t, "/gigastore/*", "list_fail", 100000, nil)
	w.shop.inject(t, registerPath, "commit_then_reset", 1, nil)
	w.fail(t, "order-1")
}

// hiddenSale: the vendor sold, but gave no answer, and its list does not show the sale.
func hiddenSale(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.shop.inject(t, "/gigastore/*", "list_lag", 100000, map[string]any{"duration": "24h"})
	w.shop.inject(t, registerPath, "commit_then_reset", 1, nil)
	w.fail(t, "order-1")
}

// contradict: an operator says that nothing was sold, and then the sale shows up.
func contradict(t *testing.T, w *watchedWorld) {
	t.Helper()
	hiddenSale(t, w)
	page, err := w.replica.purchases(t).ListPurchases(t.Context(), &gigagatev1.ListPurchasesRequest{RequestId: "order-1"})
	if err != nil || len(page.GetPurchases()) != 1 {
		t.Fatal(page, err)
	}
	if _, err := w.replica.purchases(t).ResolvePurchase(t.Context(), &gigagatev1.ResolvePurchaseRequest{
		Id: page.GetPurchases()[0].GetId(), Resolution: &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true},
		Operator: "maria", Note: "the portal shows nothing", Force: true,
	}); err != nil {
		t.Fatal(newCallError(err))
	}
	w.shop.disarm(t)
	w.shop.inject(t, registerPath, "commit_then_reset", 1, nil) // so that the list is read again
	w.sell(t, "order-2")
}

// dieWhileSending kills the gateway while the vendor has a request. The next process finds the purchase when its lease ends.
func dieWhileSending(t *testing.T, w *watchedWorld) {
	t.Helper()
	startHeld(t, w.shop, w.replica, "order-1", 8*time.Second)
	w.replica.kill()
	w.replica.start(t)
	w.monitor.scrape(t, w.replica.admin)
}

// makeManyPurchases makes more than 80 % of the purchases that a gateway runs at once. One client may make half of them, and a
// connection carries 500 calls.
func makeManyPurchases(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.shop.inject(t, registerPath, "hang", 2000, map[string]any{"duration": "30s"})
	open, err := w.replica.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for client := range 4 {
		conn, err := grpc.NewClient(open.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+client%2))}
				return (&net.Dialer{LocalAddr: from}).DialContext(ctx, "tcp", address)
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		for n := range 430 {
			during(t, func(ctx context.Context) {
				newRegister(fmt.Sprintf("order-%d-%d", client, n)).buyWithin(ctx, conn, soon)
			})
		}
	}
}

// slowDisk makes every sync take longer, while a caller buys.
func slowDisk(t *testing.T, w *watchedWorld) {
	t.Helper()
	if text, err := exec.CommandContext(t.Context(), "strace", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("needs strace, and the right to use it: %v %s", err, text)
	}
	slow := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-o", os.DevNull, "-p", strconv.Itoa(w.replica.process().command.Process.Pid),
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=400000")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slow.Wait() })
	conn, err := w.replica.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	during(t, func(ctx context.Context) {
		for n := 0; ctx.Err() == nil; n++ {
			newRegister(fmt.Sprintf("order-%d", n)).buyWithin(ctx, conn, soon)
		}
	})
}

// smallDisk puts the journal on a small file system that only the gateway sees.
func smallDisk(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.disk = t.TempDir()
	w.replica.wrapper = []string{
		"unshare", "--map-root-user", "--mount", "/bin/sh", "-c", `mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"`, w.disk,
	}
	w.replica.flags = append(w.replica.flags, "--journal=sqlite:"+filepath.Join(w.disk, "journal.db"))
}

// onPostgreSQL makes a PostgreSQL server for the journal.
func onPostgreSQL(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.database = postgrestest.New(t)
	w.replica.flags = append(w.replica.flags, "--journal="+w.database.URL)
}

func fillDisk(t *testing.T, w *watchedWorld) {
	t.Helper()
	keepFull(t, fmt.Sprintf("/proc/%d/root%s", w.replica.process().command.Process.Pid, filepath.Join(w.disk, "filler")))
	useUp(t, w.replica, "filling")
}

// callersFile makes a callers file with one caller and its budget for a bit more than ten sales.
func callersFile(t *testing.T, w *watchedWorld) {
	t.Helper()
	key, id, sum := access.NewKey()
	w.key = key
	w.callers = writeFile(t, fmt.Sprintf(`callers:
- name: shop
  identities: [key: {id: %s, sha256: %s}]
  may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all]}
  budget: {currency: USD, total: 50}
`, id, sum))
	w.replica.flags = append(w.replica.flags, "--callers-file="+w.callers)
}

func secretFile(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.secret = writeFile(t, "a-client-secret")
	w.replica.wrapper = []string{"env", "-u", secretVariable}
	w.replica.flags = append(w.replica.flags, secretFileFlag+"="+w.secret)
}

func certificates(t *testing.T, w *watchedWorld) {
	t.Helper()
	w.servers = newAuthority(t, "servers")
	w.tls = newTLSFolder(t, w.servers, newAuthority(t, "callers"))
	w.replica.flags = append(w.replica.flags, w.tls.flags()...)
}

func (w *watchedWorld) replaceCertificate(t *testing.T, end time.Time) {
	t.Helper()
	w.tls.put(t, w.servers.issue(t, func(c *x509.Certificate) { c.NotAfter = end }))
}

var errNotYet = errors.New("not yet")
