package access

import (
	"crypto/sha256"
	"slices"
)

// Directory is a callers file that was read. It does not change, except that it remembers tokens.
type Directory struct {
	entries      []*Entry
	names        map[string]bool
	heir         string // the name of the caller with InheritsDefault
	keys         map[string]storedKey
	certificates map[string]*Principal // by URI or DNS name
	subjects     map[subject]*Principal
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

// subject is who a JWT is about.
type subject struct{ issuer, name string }

func newDirectory() *Directory {
	return &Directory{
		names: map[string]bool{}, keys: map[string]storedKey{}, certificates: map[string]*Principal{},
		subjects: map[subject]*Principal{}, issuers: map[string]*issuer{},
		verified: verifiedTokens{tokens: map[[sha256.Size]byte]verifiedToken{}},
	}
}

// Entries are the callers and operators, in the order of the file.
func (d *Directory) Entries() []*Entry { return slices.Clone(d.entries) }
