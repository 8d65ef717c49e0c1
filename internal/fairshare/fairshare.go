// Package fairshare shares a limited resource fairly between clients, for example the calls that a server handles at once.
//
// Start with [New]. It makes a [Limit] with a number of places. A caller takes a place with Take, or waits for one with
// Wait, and gives it back with Release. One client gets at most half of the places.
package fairshare

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
)

// Limit gives out places. One client gets at most half of them, so that it cannot keep all others out. The client "" is
// the gateway itself. It may have all places.
type Limit struct {
	most, each int

	mu      sync.Mutex
	taken   int
	by      map[string]int
	waiting list.List // of *waiter; the first has waited longest
}

// ClientOf returns the client of a network address: the IP address without the port. An IPv6 address counts as its /64
// network, because one machine can use all addresses of it. All machines behind one proxy are one client.
func ClientOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	network, _ := ip.WithZone("").Prefix(64) // every IPv6 address has one
	return network.String()
}

// waiter is a call that waits for a place.
type waiter struct {
	client string
	most   int
	given  chan struct{} // closed once it has the place
}

// New makes a Limit with most places.
func New(most int) *Limit {
	return &Limit{most: most, each: max(1, most/2), by: map[string]int{}}
}

// Most returns the number of places.
func (l *Limit) Most() int { return l.most }

// Taken returns how many places are taken. Hold can take more than there are.
func (l *Limit) Taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// Take takes a place for the client. It returns false if there is none for this client. Release gives the place back.
func (l *Limit) Take(client string) bool { return l.TakeUpTo(client, l.each) }

// TakeUpTo is Take for a client that gets at most a number of places, if that is less than half of them.
func (l *Limit) TakeUpTo(client string, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(client, most)
}

func (l *Limit) take(client string, most int) bool {
	if l.taken >= l.most || client != "" && l.by[client] >= min(most, l.each) {
		return false
	}
	l.taken++
	l.by[client]++
	return true
}

// Of returns how many places the client has.
func (l *Limit) Of(client string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by[client]
}

// Hold takes a place even if there is none, for work that cannot be refused. Release gives the place back.
func (l *Limit) Hold(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	l.by[client]++
}

// Wait is like Take, but waits for a place. It returns the error of ctx if ctx ends first.
func (l *Limit) Wait(ctx context.Context, client string) error {
	return l.WaitUpTo(ctx, client, l.each)
}

// WaitUpTo is like TakeUpTo, but waits for a place. It returns the error of ctx if ctx ends first.
func (l *Limit) WaitUpTo(ctx context.Context, client string, most int) error {
	l.mu.Lock()
	if l.take(client, most) {
		l.mu.Unlock()
		return nil
	}
	w := &waiter{client: client, most: most, given: make(chan struct{})}
	place := l.waiting.PushBack(w)
	l.mu.Unlock()
	select {
	case <-w.given:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.given: // another call gave the place before this one got the lock
		return nil
	default:
		l.waiting.Remove(place)
		return ctx.Err()
	}
}

// Release gives a client's place back. The place goes to the call that has waited longest among those whose client may
// have another place.
func (l *Limit) Release(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	if l.by[client]--; l.by[client] == 0 {
		delete(l.by, client)
	}
	for place := l.waiting.Front(); place != nil; place = place.Next() {
		if w, ok := place.Value.(*waiter); ok && l.take(w.client, w.most) {
			l.waiting.Remove(place)
			close(w.given)
			return
		}
	}
}
