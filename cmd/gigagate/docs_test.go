package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// printedJournal is the URL of the PostgreSQL server on the pages.
const printedJournal = "postgres://gigagate@127.0.0.1:5432/gigagate?sslmode=disable"

// TestDocsWorkAsPasted runs every command of every page in docs/. A page starts what it needs. Each page has
// its own loopback address, so that the ports printed on it are free.
func TestDocsWorkAsPasted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs whole pages")
	}
	pages, err := fs.Glob(os.DirFS(repository), "docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for i, page := range pages {
		if len(commands(t, page)) == 0 {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			needTools(t, "sh", "curl", "openssl", "sqlite3", "psql", "pg_dump")
			loopback := ownLoopback(t, i)
			journal := ""
			if strings.Contains(readPage(t, page), printedJournal) {
				journal = postgrestest.New(t).URL
			}
			session{
				folder: t.TempDir(),
				environment: append(os.Environ(),
					"PATH="+filepath.Dir(build(t))+string(filepath.ListSeparator)+os.Getenv("PATH"),
					"GIGAGATE_GRPC_LISTEN="+loopback+":9090", "GIGAGATE_HTTP_LISTEN="+loopback+":8080",
					"GIGAGATE_ADMIN_LISTEN="+loopback+":9464", "GIGAGATE_SANDBOX_LISTEN="+loopback+":8089",
					"GIGAGATE_ADDRESS="+loopback+":9090", "GIGAGATE_SANDBOX_ADDRESS="+loopback+":8089",
					"GIGAGATE_ADMIN_ADDRESS="+loopback+":9464"),
				instead: strings.NewReplacer(
					printedJournal, journal,
					"127.0.0.1", loopback),
			}.paste(t, page)
		})
	}
}

// ownLoopback is a loopback address that no other test uses. On Linux, all of 127.0.0.0/8 is loopback.
func ownLoopback(t *testing.T, number int) string {
	t.Helper()
	pid := os.Getpid()
	address := fmt.Sprintf("127.%d.%d.%d", 1+pid>>8&0x7f, pid&0xff, 1+number)
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Skip("this system has one loopback address: ", err)
	}
	_ = listener.Close()
	return address
}
