package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// GET and HEAD of the root say where the calls are. cmd/gigagate tests the root with the documentation on.
func TestRootSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, verb := range []string{"GET", "HEAD"} {
		r, err := http.NewRequestWithContext(t.Context(), verb, g.restURL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %v %v", verb, resp, err)
		}
		if verb == "GET" && (!strings.Contains(string(text), "/v1/inventory") || !strings.HasSuffix(string(text), "--docs.\n")) {
			t.Errorf("%s", text)
		}
	}
}
