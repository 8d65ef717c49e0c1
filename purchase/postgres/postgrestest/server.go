// Package postgrestest gives tests a PostgreSQL server. It starts a private server for one test binary with
// initdb, and removes it afterwards. If GIGAGATE_TEST_POSTGRES_URL is set, tests use that server instead.
//
// Each test case works in its own schema ([Server.Schema]). If there is neither a URL nor a PostgreSQL
// installation, tests are skipped. With CI=true they fail.
package postgrestest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// URLVariable names a server to test against. Tests write to its database, each in its own schema.
const URLVariable = "GIGAGATE_TEST_POSTGRES_URL"

// ErrNoServer means that no PostgreSQL server is available.
var ErrNoServer = errors.New("no initdb in PATH or /usr/lib/postgresql, and " + URLVariable + " is not set")

// Server is a PostgreSQL server.
type Server struct {
	// URL connects as the owner of the server's database.
	URL string

	// The fields below are set for a private server only.
	folder   string // holds the cluster; Stop removes it
	binaries string
	owner    *syscall.Credential // the user that runs the server; nil means the current user
	port     int
	options  []string

	process *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	warden  *exec.Cmd
	leash   io.Closer // the warden's standard input
}

// Start returns the server of URLVariable if options is empty and the variable is set. Otherwise it starts a
// private server on the loopback with the given server options ("-c", "x=y").
func Start(ctx context.Context, options ...string) (*Server, error) {
	if url := os.Getenv(URLVariable); url != "" && len(options) == 0 {
		if !strings.Contains(url, "?") {
			url += "?" // tests append parameters with &
		}
		return &Server{URL: url}, nil
	}
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	s := &Server{binaries: binaries, options: options}
	// initdb need not sync the new files, because no test survives a power failure. The server still syncs its own
	// writes.
	err = s.create(ctx, "initdb", "--username", "gigagate", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if err == nil {
		err = s.Restart(ctx)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Private reports whether this package started the server, so that a test may kill it.
func (s *Server) Private() bool { return s.folder != "" }

func findBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNoServer
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// version returns 15 for /usr/lib/postgresql/15/bin/initdb.
func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// create runs the program that makes the cluster's files, and starts the cluster's warden.
func (s *Server) create(ctx context.Context, program string, args ...string) error {
	var err error
	if s.folder, err = os.MkdirTemp("", "gigagate-postgres-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		// PostgreSQL refuses to run as root.
		if s.owner, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(s.folder, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	if err := s.run(ctx, program, args...); err != nil {
		return err
	}
	return s.leashWarden(ctx)
}

// run runs a PostgreSQL program on the cluster's files.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	command := s.command(context.WithoutCancel(ctx), program, append(args, "--pgdata", s.data())...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// unprivileged returns a user that PostgreSQL agrees to run as.
func unprivileged() (*syscall.Credential, error) {
	var found *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if found, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}, errors.Join(errUID, errGID)
}

// leashWarden starts a shell that waits for the end of its standard input. That comes when this process ends,
// even by a crash. The shell then stops the server and removes its files.
func (s *Server) leashWarden(ctx context.Context) error {
	s.warden = exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c",
		`cat >/dev/null
		 pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
		 while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
		 rm -rf "$1" "$2"`, "warden", s.data(), s.folder)
	s.warden.Dir = "/"
	s.warden.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal must not reach it
	leash, err := s.warden.StdinPipe()
	if err != nil {
		return err
	}
	s.leash = leash
	return s.warden.Start()
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// command returns a command that runs a PostgreSQL program as the owner of the cluster.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.binaries, name), args...)
	command.Dir = s.folder
	command.Env = []string{"PATH=" + s.binaries + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.owner}
	return command
}

// Restart starts the process of the private server and waits until it accepts connections. The port stays the
// same. After Kill, the server recovers from its write-ahead log.
func (s *Server) Restart(ctx context.Context) error {
	// Retry, because another process may have taken the free port, or a killed server may still be ending.
	var err error
	first := s.URL == ""
	for range 10 {
		if s.port == 0 {
			if s.port, err = freePort(ctx); err != nil {
				return err
			}
			s.URL = fmt.Sprintf("postgres://gigagate@127.0.0.1:%d/postgres?sslmode=disable", s.port)
		}
		var log string
		if log, err = s.launch(ctx); err == nil {
			return nil
		}
		err = fmt.Errorf("%w\n%s", err, log)
		if first && strings.Contains(log, "could not bind") {
			s.port = 0
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return err
}

// launch starts the server once. If that fails, it returns the server's log.
func (s *Server) launch(ctx context.Context) (log string, err error) {
	settings := append([]string{
		"-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.folder,
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "log_min_messages=log",
	}, s.options...)
	process := s.command(context.WithoutCancel(ctx), "postgres", settings...)
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", err
	}
	process.Stderr = writer
	if err := process.Start(); err != nil {
		return "", errors.Join(err, reader.Close(), writer.Close())
	}
	_ = writer.Close()
	ready := make(chan struct{})
	ended := make(chan string, 1)
	go readLog(reader, ready, ended)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = process.Wait()
	}()
	select {
	case <-ready:
		s.process, s.exited = process, exited
		return "", nil
	case <-exited:
		return <-ended, errors.New("the PostgreSQL server ended while it was starting")
	case <-ctx.Done():
		_ = process.Process.Signal(syscall.SIGQUIT)
		<-exited
		return <-ended, ctx.Err()
	}
}

// readLog reads the server's log until all its processes have ended. It closes ready when the log says that the
// server accepts connections.
func readLog(from io.ReadCloser, ready chan<- struct{}, ended chan<- string) {
	defer func() { _ = from.Close() }()
	var kept bytes.Buffer
	for lines := bufio.NewScanner(from); lines.Scan(); {
		if strings.Contains(lines.Text(), "database system is ready to accept") && ready != nil {
			close(ready)
			ready = nil
		}
		if kept.Len() < 1<<14 {
			kept.WriteString(lines.Text() + "\n")
		}
	}
	ended <- kept.String()
}

// Kill ends the private server like a crash, without a checkpoint. Commits that it acknowledged are in its
// write-ahead log. A server that was stopped with SIGSTOP ends, too.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.Process.Signal(syscall.SIGQUIT)
		_ = s.process.Process.Signal(syscall.SIGCONT)
		<-s.exited
		s.process = nil
	}
}

// Stop ends a private server and removes its files. It does nothing for another server.
func (s *Server) Stop() {
	s.Kill()
	if s.leash != nil {
		_ = s.leash.Close()
		_ = s.warden.Wait()
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, listener.Close()
}
