package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The tests of this file search gigagate's output at level debug for a secret. The secret contains each of these signs in
// turn, because they end or break the URL, header or file they are in.
var signs = []string{"", "%zz", "%40", "%", " ", "#", "?", "@", "/", ":", "&", "=", ",", ";", "'", `"`, `\`, "\n", "://", "@@", " @ ", " #:/?@%zz"}

// secretWith returns a secret that contains a sign.
func secretWith(sign string) string { return "Kq7Zr9Jx" + sign + "Xw2Mv5Gd" }

// checkUntold checks that a text contains no four bytes in a row of a secret, neither as it is nor decoded from a URL.
func checkUntold(t *testing.T, secret, text string) {
	t.Helper()
	forms := []string{secret}
	if plain, err := url.PathUnescape(secret); err == nil {
		forms = append(forms, plain)
	}
	for _, form := range forms {
		for i := range len(form) - 3 {
			if strings.Contains(text, form[i:i+4]) {
				t.Errorf("%q of the secret %q is in\n%s", form[i:i+4], secret, text)
				return
			}
		}
	}
}

// started runs a command line until it serves or ends, and returns all that it printed.
func started(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, log, ended := newWatched(), newWatched(), make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx, args, console{out: out, err: log})
	}()
	out.waitForOrEnd(ended, "A purchase:")
	cancel()
	<-ended
	return out.String() + log.String()
}

// waitForOrEnd waits for a text, or for the end of the process that writes it.
func (w *watched) waitForOrEnd(ended <-chan struct{}, text string) {
	for {
		w.mu.Lock()
		there, changed := strings.Contains(w.text.String(), text), w.changed
		w.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-ended:
			return
		}
	}
}

// fitLine returns a command line with which a gateway can start, except for the flag without, which is left out.
func fitLine(t *testing.T, without string) []string {
	t.Helper()
	line := append([]string{"serve", "--log-level=debug"}, anyPort...)
	for _, fit := range []string{
		"--journal=sqlite:" + filepath.Join(t.TempDir(), "gigagate.db"), "--gigastore-url=http://127.0.0.1:1",
		"--gigastore-client-id=shop", "--gigastore-client-secret-file=" + writeFile(t, "another"),
	} {
		if flag, _, _ := strings.Cut(fit, "="); !strings.HasPrefix(flag, without) {
			line = append(line, fit)
		}
	}
	return slices.Clip(line)
}

// TestStartTellsNoSecret passes a secret to each flag and variable that could get one by mistake.
func TestStartTellsNoSecret(t *testing.T) {
	const database, vendor = "--journal", "--gigastore-url"
	for _, test := range []struct{ flag, value string }{
		{database, "postgres://gigagate:SECRET@127.0.0.1:1/db?sslmode=disable"},
		{database, "postgresql://gigagate:SECRET@127.0.0.1:1/db?sslmode=never"},
		{database, "postgres://gigagate:SECRET@127.0.0.1:port/db"},
		{database, "postgres://gigagate:SECRET/db"},
		{database, "postgres://:SECRET@127.0.0.1:1"},
		{database, "postgres://gigagate%3ASECRET@127.0.0.1:1/db?sslmode=disable"},
		{database, "postgres://127.0.0.1:1/gigagate:SECRET"},
		{database, "postgres:///gigagate:SECRET@127.0.0.1:1/db"},
		{database, "postgres://127.0.0.1:1/db?sslmode=disable&user=gigagate&password=SECRET"},
		{database, "postgres:gigagate:SECRET@127.0.0.1:1/db"},
		{database, "postgresql:/gigagate:SECRET@127.0.0.1:1/db"},
		{database, " postgres://gigagate:SECRET@127.0.0.1:1/db"},
		{database, "Postgres://gigagate:SECRET@127.0.0.1:1/db"},
		{database, "gigagate:SECRET@127.0.0.1:1/db"},
		{database, "host=127.0.0.1 port=1 user=gigagate password=SECRET dbname=db"},
		{database, "host=127.0.0.1 port=1 user=gigagate password='SECRET"},
		{database, "postgres://host=127.0.0.1 port=1 password=SECRET"},
		{database, "sqlite:postgres://gigagate:SECRET@127.0.0.1:1/db"},
		{database, "sqlite://gigagate:SECRET@127.0.0.1:1/db"},
		{database, "sqlite:/nowhere/gigagate:SECRET@127.0.0.1"},
		{database, "sqlite:/nowhere/host=127.0.0.1 Password = SECRET"},
		{vendor, "https://shop:SECRET@127.0.0.1:1"},
		{vendor, "http://shop:SECRET@127.0.0.1:1"},
		{vendor, "https://shop:SECRET"},
		{vendor, "https:shop:SECRET@127.0.0.1:1"},
		{vendor, "shop:SECRET@127.0.0.1:1"},
		{vendor, "https://127.0.0.1:1/SECRET"},
		{vendor, "https://127.0.0.1:1/?key=SECRET"},
		{vendor, "https://127.0.0.1:1#SECRET"},
		{"--gigastore-client-id", "shop:SECRET"},
		{"--gigastore-client-id", "SECRET"},
		{"--gigastore-client-secret-file", "SECRET"},
		{"--gigastore-client-secret-file", "-SECRET"},
		{"--gigastore-client-secret", "SECRET"},
	} {
		// Each value is tried as a flag and in the environment. A variable applies to the whole process, so the tests with variables
		// run alone. The parallel ones, with flags, begin after them.
		t.Run(test.flag+" "+test.value, func(t *testing.T) {
			t.Parallel()
			line := fitLine(t, test.flag)
			for _, sign := range lastUnderRace(signs) {
				secret := secretWith(sign)
				value := strings.ReplaceAll(test.value, "SECRET", secret)
				checkUntold(t, secret, started(t, append(line, test.flag+"="+value)...))
				checkUntold(t, secret, started(t, append(line, test.flag, value)...))
				if words := strings.Fields(value); len(words) > 1 { // without quotes, the shell would have split the value
					checkUntold(t, secret, started(t, append(line, append([]string{test.flag}, words...)...)...))
				}
			}
		})
		variable := "GIGAGATE_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(test.flag, "--"), "-", "_"))
		t.Run(variable+" "+test.value, func(t *testing.T) {
			line := fitLine(t, test.flag)
			for _, sign := range lastUnderRace(signs) {
				secret := secretWith(sign)
				t.Setenv(variable, strings.ReplaceAll(test.value, "SECRET", secret))
				checkUntold(t, secret, started(t, line...))
				checkUntold(t, secret, started(t, "serve", "--help"))
			}
		})
	}
}

// TestSecretFileTellsNoSecret: errors about the secret's file do not contain the secret, whatever signs are in it.
func TestSecretFileTellsNoSecret(t *testing.T) {
	t.Parallel()
	for _, sign := range lastUnderRace(signs) {
		secret := secretWith(sign)
		for _, text := range []string{secret, "secret: " + secret, "\xff" + secret, secret + "\n" + secret} {
			line := append(fitLine(t, "--gigastore-client-secret-file"), "--gigastore-client-secret-file="+writeFile(t, text))
			checkUntold(t, secret, started(t, line...))
		}
	}
}

// TestVendorTellsNoSecret: the vendor repeats the secret as text, as JSON and in a header. It reaches neither the log nor a
// caller.
func TestVendorTellsNoSecret(t *testing.T) {
	t.Parallel()
	for _, authenticates := range []bool{true, false} {
		for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError} {
			t.Run(fmt.Sprint(authenticates, status), func(t *testing.T) {
				t.Parallel()
				secret, token := secretWith("-"), "Tn3Yb8Wc-Lp6Hs4Fe"
				vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					if authenticates && r.URL.Path == "/reseller/authenticate" {
						fmt.Fprintf(w, `{"accessToken":%q,"expiresIn":3600}`, token)
						return
					}
					_, basic, _ := r.BasicAuth()
					text := r.Header.Get("Authorization") + basic
					w.Header().Set("Location", "/"+text)
					w.Header().Set("WWW-Authenticate", text)
					w.WriteHeader(status)
					fmt.Fprintf(w, `{"message":%q,"error":{"message":%[1]q},"uid":%[1]q}%[1]s`, text)
				}))
				defer vendor.Close()
				g := startServe(t, append(fitLine(t, "--gigastore-")[1:], "--gigastore-timeout=300ms", "--send-window=300ms", "--gigastore-url="+vendor.URL,
					"--gigastore-client-id=shop", "--gigastore-client-secret-file="+writeFile(t, secret))...)
				told := get(t, "http://"+g.rest+"/v1/inventory").body
				told += post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", "")).body
				told += get(t, "http://"+g.admin+"/metrics").body
				g.exit()
				told += g.out.String() + g.log.String()
				checkUntold(t, secret, told)
				checkUntold(t, token, told)
				checkUntold(t, base64.StdEncoding.EncodeToString([]byte("shop:"+secret)), told)
			})
		}
	}
}

// TestTelemetryTellsNoSecret passes a secret in OpenTelemetry's variables and in a proxy's variable, and makes the export fail.
func TestTelemetryTellsNoSecret(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, r.Header)
	}))
	t.Cleanup(refuses.Close)
	for i, variables := range [][]string{
		{"OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT=" + refuses.URL},
		{"OTEL_EXPORTER_OTLP_HEADERS=SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT=" + refuses.URL},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS=SECRET=a,SECRET", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=a=SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:SECRET@127.0.0.1:1"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:SECRET@127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=u:SECRET@127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=https://127.0.0.1:1/SECRET"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=" + refuses.URL + "/SECRET"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=SECRET"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.invalid", "HTTP_PROXY=http://u:SECRET@127.0.0.1:1"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.invalid", "https_proxy=u:SECRET@127.0.0.1:1"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.invalid", "HTTPS_PROXY=http://u:SECRET", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=SECRET", "OTEL_EXPORTER_OTLP_PROTOCOL=SECRET", "OTEL_RESOURCE_ATTRIBUTES=SECRET", "OTEL_TRACES_SAMPLER=SECRET"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_CERTIFICATE=SECRET", "OTEL_EXPORTER_OTLP_CLIENT_KEY=SECRET", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=SECRET"},
	} {
		t.Run(fmt.Sprint(i, variables), func(t *testing.T) {
			t.Parallel()
			for _, sign := range lastUnderRace([]string{"", " ", "%zz", "@", "/", ",", `"`, " #:/?@%zz"}) {
				secret := secretWith(sign)
				environment := []string{"OTEL_EXPORTER_OTLP_TIMEOUT=50", "GRPC_GO_LOG_SEVERITY_LEVEL=info"}
				for _, variable := range variables {
					environment = append(environment, strings.ReplaceAll(variable, "SECRET", secret))
				}
				p := startProcess(t, environment, serveLine(t, "--sandbox", "--log-level=debug")...)
				p.out.waitFor(t, p.ended, `A purchase:`)
				_ = p.Process.Signal(syscall.SIGTERM)
				<-p.ended
				checkUntold(t, secret, p.out.String()+p.log.String())
			}
		})
	}
}
