package server_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// callers knows principals by the bearer tokens of the same names. Every other call is that of nobody.
type callers struct {
	mu    sync.Mutex
	known map[string]*access.Principal
	// nobody is the principal of a call without a credential. By default there is none.
	nobody *access.Principal
}

func newCallers(principals ...*access.Principal) *callers {
	c := &callers{known: map[string]*access.Principal{}}
	for _, p := range principals {
		c.set(p)
	}
	return c
}

// set adds or replaces a principal.
func (c *callers) set(p *access.Principal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[p.Name] = p
}

func (c *callers) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, name)
}

// Identify implements server.Access.
func (c *callers) Identify(_ context.Context, presented access.Credentials) (*access.Principal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(presented.Authorization) == 0 && c.nobody != nil {
		return c.nobody, nil
	}
	if len(presented.Authorization) == 1 {
		switch name := presented.Authorization[0]; name {
		case "Bearer panics":
			panic("CANARY of a broken directory")
		case "Bearer nil":
			return nil, nil //nolint:nilnil // a broken directory
		case "Bearer both":
			return access.Open, errors.New("CANARY of a broken directory")
		default:
			if p, ok := c.known[name[len("Bearer "):]]; ok {
				return p, nil
			}
		}
	}
	return nil, access.ErrUnauthenticated
}

// Heir implements server.Access.
func (c *callers) Heir() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.known {
		if p.Rights.InheritsDefault {
			return p.Name
		}
	}
	return ""
}

// Budgeted implements server.Access.
func (c *callers) Budgeted() []*access.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*access.Principal
	for _, name := range slices.Sorted(maps.Keys(c.known)) {
		if c.known[name].Budget != nil {
			list = append(list, c.known[name])
		}
	}
	return list
}

// caller is a principal that may do everything that a caller can do, except to use what it did not buy.
func caller(name string, edits ...func(*access.Rights)) *access.Principal {
	p := &access.Principal{Name: name, Rights: access.Rights{
		Methods: access.Everything, Modes: access.Everything, Items: access.Everything,
		CountrySets: access.Everything, Countries: access.Everything, Secrets: true,
	}}
	for _, edit := range edits {
		edit(&p.Rights)
	}
	return p
}

// operator is a principal with all rights of an operator.
func operator(name string) *access.Principal {
	return caller(name, func(r *access.Rights) { r.All, r.SoldElsewhere = true, true })
}

// as makes the call with the credential of a caller. An empty name is no credential.
func (q question) as(name string) question {
	q.header = q.header.Clone()
	if q.header == nil {
		q.header = http.Header{}
	}
	if name != "" {
		q.header.Set("Authorization", "Bearer "+name)
	}
	return q
}

var (
	unidentified = want{codes.Unauthenticated, http.StatusUnauthorized, "UNAUTHENTICATED", "INDETERMINATE", nil}
	denied       = want{codes.PermissionDenied, http.StatusForbidden, "PERMISSION_DENIED", "NOT_STARTED", nil}
)

// paid is how many paid requests have reached the vendor.
func (g *gateway) paid() int { return len(g.box.Ledger().Sales) }

// openFor opens a gateway for callers. Its vendor sells at once.
func openFor(t *testing.T, known *callers, edits ...func(*setup)) *gateway {
	t.Helper()
	s := setup{access: known, settings: func(s *sandbox.Settings) { s.InitialCredit = 1_000_000_00 }}
	for _, edit := range edits {
		edit(&s)
	}
	return open(t, s)
}
