package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gigagate.internal/internal/access"
)

const (
	// maxSessions is the most sessions. When one more begins, the one that was used the longest time ago ends.
	maxSessions = 100
	// sessionIdle is how long a session lasts without a request. An open page makes no requests of its own.
	sessionIdle = 30 * time.Minute
	// sessionLength is the longest session.
	sessionLength = 8 * time.Hour
	// issuerSessionLength is the longest session of an operator who signed in at an issuer. The gateway does not hear that the
	// issuer has locked an account, so the operator has to sign in there again.
	issuerSessionLength = time.Hour
)

// session is an operator who signed in. What the operator presented stays in memory, because the callers file of each moment
// decides what it is worth.
type session struct {
	presented   access.Credentials
	length      time.Duration
	begun, used time.Time
}

// sessions are the sessions of this process, by the SHA-256 of their random ids. After a restart, operators sign in again.
type sessions struct {
	now func() time.Time

	mu sync.Mutex
	by map[[sha256.Size]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, by: map[[sha256.Size]byte]*session{}}
}

// cookieName is the name of the cookie with the session's id. Under TLS, the prefix makes browsers refuse it from any other
// host and without Secure.
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-" + withPort(r, "gigagate-console")
	}
	return withPort(r, "gigagate-console")
}

// withPort adds the port that the browser asked to the name of a cookie. Browsers send a cookie to all ports of a host, so two
// consoles on one machine would overwrite each other's.
func withPort(r *http.Request, name string) string {
	_, port, _ := net.SplitHostPort(r.Host)
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return name
	}
	return name + "-" + port
}

// begin makes a session and tells the browser its id. It ends the session that the browser had before.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, presented access.Credentials, length time.Duration) {
	s.end(r)
	id := rand.Text() // 128 random bits
	now := s.now()
	s.mu.Lock()
	s.forget(now)
	s.by[sha256.Sum256([]byte(id))] = &session{presented: presented, length: length, begun: now, used: now}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it has all attributes, and a port without TLS cannot have Secure
		Name: cookieName(r), Value: id, Path: "/", MaxAge: int(length.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
}

// of returns what the operator of the request's session presented.
func (s *sessions) of(r *http.Request) (presented access.Credentials, ok bool) {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return access.Credentials{}, false
	}
	now, id := s.now(), sha256.Sum256([]byte(cookie.Value))
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.by[id]
	if found == nil {
		return access.Credentials{}, false
	}
	if found.isOver(now) {
		delete(s.by, id)
		return access.Credentials{}, false
	}
	if !isStream(r) { // a page that moves by itself does not keep its session
		found.used = now
	}
	return found.presented, true
}

// end ends the request's session.
func (s *sessions) end(r *http.Request) {
	if cookie, err := r.Cookie(cookieName(r)); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.by, sha256.Sum256([]byte(cookie.Value)))
	}
}

func (s *session) isOver(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.begun) >= s.length
}

// forget makes room for one more session. The lock is held.
func (s *sessions) forget(now time.Time) {
	for id, one := range s.by {
		if one.isOver(now) {
			delete(s.by, id)
		}
	}
	for len(s.by) >= maxSessions {
		var oldest [sha256.Size]byte
		for id, one := range s.by {
			if s.by[oldest] == nil || one.used.Before(s.by[oldest].used) {
				oldest = id
			}
		}
		delete(s.by, oldest)
	}
}
