package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/clients/go/client"
)

const secret = "gg_7f3kq2ab_secret"

func TestKeyNeedsTLS(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]credentials.PerRPCCredentials{"key": client.Key(secret), "file": client.KeyFile("shop.key")} {
		conn, err := client.New("127.0.0.1:9090", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(key))
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: a connection without TLS has a key", name)
		}
	}
}

func TestKeyFileIsReadAtEveryCall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.key")
	key := client.KeyFile(path)
	for _, text := range []string{"gg_first", "gg_second"} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		header, err := key.GetRequestMetadata(t.Context())
		if got := header["authorization"]; err != nil || got != "Bearer "+text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := key.GetRequestMetadata(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func TestKeyIsNotTold(t *testing.T) {
	t.Parallel()
	key := client.Key(secret)
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v", key, key), fmt.Sprintf("%+v", grpc.WithPerRPCCredentials(key))} {
		if strings.Contains(text, "secret") {
			t.Errorf("the key is in %q", text)
		}
	}
	for _, broken := range []string{"", secret + "\n", "se cret", secret + "é"} {
		_, err := client.Key(broken).GetRequestMetadata(t.Context())
		if err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: %v", broken, err)
		}
	}
}
