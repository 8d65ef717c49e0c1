package main

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hosts are the names by which callers may address an HTTP port. They protect against DNS rebinding: a web page can make
// its own name resolve to this machine, and its scripts can then call a port on loopback as if it were the page's own
// server. The browser still sends the page's name as the Host, so unknown names are refused.
type hosts []string

// knows reports whether a Host header is an IP address, a name of loopback, or one of h. An IP address is safe: nobody
// looks it up, so nobody can rebind it.
func (h hosts) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h, host)
}

// knownHosts returns the allowed names and the host name of the address to listen on.
func knownHosts(allowed []string, listen listenAddress) hosts {
	var h hosts
	for _, name := range allowed {
		h = append(h, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if name, _, err := net.SplitHostPort(string(listen)); err == nil && name != "" {
		h = append(h, strings.ToLower(name))
	}
	return h
}

// only serves requests that name a known host, and refuses the others.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.knows(r.Host) {
			http.Error(w, "this host name is not known here: --allowed-hosts adds names", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
