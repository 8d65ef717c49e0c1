package access

import (
	"crypto/sha256"
	"slices"
	"time"
)

// Directory is a callers file that was read. It does not change, except that it remembers tokens.
type Directory struct {
	entries      []*Entry
	names        map[string]bool
	budgeted     []*Principal // that have a budget, sorted by name
	heir         string       // the name of the caller with InheritsDefault
	keys         map[string]storedKey
	certificates map[string]*Principal // by URI or DNS name
	subjects     map[Subject]*Principal
	issuers      map[string]*issuer
	files        []fileRead // the callers file and the JWKS files
	verified     verifiedTokens
}

// Entry is a principal of the callers file, and how it can identify itself.
type Entry struct {
	*Principal
	Kind                         string // caller or operator
	Certificates, Keys, Subjects int
}

// Subject is who a JWT is about, or who signed in at an issuer.
type Subject struct{ Issuer, Name string }

func newDirectory() *Directory {
	return &Directory{
		names: map[string]bool{}, keys: map[string]storedKey{}, certificates: map[string]*Principal{},
		subjects: map[Subject]*Principal{}, issuers: map[string]*issuer{},
		verified: verifiedTokens{tokens: map[[sha256.Size]byte]verifiedToken{}},
	}
}

// countOn makes the callers of this file, which replaces another one, go on with the counts of their calls.
func (d *Directory) countOn(before *Directory, now time.Time) {
	counted := map[string]*Limits{}
	for _, e := range before.entries {
		counted[e.Name] = e.Limits
	}
	for _, e := range d.entries {
		if limits := counted[e.Name]; limits != nil && e.Limits != nil {
			limits.set(e.Limits.Settings(), now)
			e.Limits = limits
		}
	}
}

// Entries are the callers and operators, in the order of the file.
func (d *Directory) Entries() []*Entry { return slices.Clone(d.entries) }
