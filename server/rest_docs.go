package server

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/swaggest/swgui/v5/static"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gen/openapi"
)

const docsPath = "/docs/"

// docsPolicy lets the page load files only from this gateway, even if Swagger UI or the document names others.
const docsPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

//go:embed docs
var docsPage embed.FS

// docsFile is one file of the documentation.
type docsFile struct {
	contentType string
	content     []byte
	gzipped     bool
}

// docsFiles are the page's own files and the files of Swagger UI that the page uses, by their name below /docs/.
// Other files of Swagger UI are not served.
func docsFiles() (map[string]docsFile, error) {
	files := map[string]docsFile{"openapi.json": {contentType: "application/json", content: openapi.Document}}
	for _, f := range []struct {
		name, contentType string
		from              embed.FS
		source            string
	}{
		{"", "text/html; charset=utf-8", docsPage, "docs/index.html"},
		{"narrow.css", "text/css; charset=utf-8", docsPage, "docs/narrow.css"},
		{"start.js", "text/javascript; charset=utf-8", docsPage, "docs/start.js"},
		{"swagger-ui.css", "text/css; charset=utf-8", static.FS, "swagger-ui.css.gz"},
		{"swagger-ui-bundle.js", "text/javascript; charset=utf-8", static.FS, "swagger-ui-bundle.js.gz"},
		{"favicon-32x32.png", "image/png", static.FS, "favicon-32x32.png"},
	} {
		content, err := f.from.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		files[f.name] = docsFile{f.contentType, content, path.Ext(f.source) == ".gz"}
	}
	return files, nil
}

// isDocs reports whether a request is for the documentation. It is always false if the documentation is off.
func (s *Server) isDocs(r *http.Request) bool {
	return s.docs != nil && (strings.HasPrefix(r.URL.Path, docsPath) || r.URL.Path+"/" == docsPath)
}

// isRoot reports whether a request is for the page that says where everything is.
func isRoot(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// serveRoot redirects to the documentation. If that is off, it says where the calls are.
func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	if s.docs != nil {
		http.Redirect(w, r, docsPath, http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, `This is Gigagate, the gateway in front of DENT Gigastore.

The calls are under /v1/, for example GET /v1/inventory.
The documentation is at /docs/ where the gateway is started with --docs.
`)
}

// serveDocs serves the files of the documentation.
func (s *Server) serveDocs(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.refuseMethod(w, r, []string{http.MethodGet, http.MethodHead})
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, docsPath)
	if !ok {
		http.Redirect(w, r, docsPath, http.StatusPermanentRedirect)
		return
	}
	file, ok := s.docs[name]
	if !ok {
		s.refuse(w, r, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND})
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", docsPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", file.contentType)
	if !file.gzipped {
		_, _ = w.Write(file.content) // fails only if the client is gone
		return
	}
	header.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		_, _ = w.Write(file.content)
		return
	}
	if plain, err := gzip.NewReader(bytes.NewReader(file.content)); err == nil {
		_, _ = io.Copy(w, plain) //nolint:gosec // our own file
	}
}
