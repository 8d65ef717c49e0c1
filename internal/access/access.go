// Package access says who makes a call, and what this caller may do.
//
// Where things are:
//
//	access.go       a principal and its rights, and the principal of a call
//	live.go         the callers file of a running gateway: start here
//	identify.go     who a call is from, and the one error for wrong credentials
//	directory.go    a callers file that was read: who has which credential
//	file.go         the fields of the callers file
//	yaml.go         strict YAML: an error names its line and field
//	rights.go       what the words of the callers file allow
//	limits.go       how many calls a caller may make
//	budget.go       what a caller may spend
//	key.go          API keys
//	token.go        JWTs
//	issuer_keys.go  the keys with which issuers sign JWTs
//	issuer_client.go  how issuers are asked
//	sign_in.go      how people sign in at an issuer
//	otel.go         metrics
//	authorities.go  the authorities of client certificates
package access

import (
	"context"
	"slices"
)

// Principal is an entry of the callers file: a service that buys, or a person who operates the gateway.
type Principal struct {
	// Name is the entry's stable name. It does not change when credentials do.
	Name   string
	Rights Rights
	// Limits bound its calls. nil allows any number.
	Limits *Limits
	// Budget limits what the principal may spend. Without it, nothing does.
	Budget *Budget
}

// Key is the name under which the journal keeps the principal's purchases. The principal that inherits DefaultCaller keeps
// that name for ever. Under another name, a retry of an old request would miss its purchase and buy again.
func (p *Principal) Key() string {
	if p.Rights.InheritsDefault {
		return DefaultCaller
	}
	return p.Name
}

// Rights are what a principal may do. The zero value allows nothing.
type Rights struct {
	// Methods are the calls that the principal may make, by their names in the contract without the service: "Register".
	// Operators have the methods of their rights here, too.
	Methods Set
	// Modes, Items, CountrySets and Countries narrow what the principal may buy. A mode is "NOW", "FIRST_USE" or "ON_DEMAND".
	Modes, Items, CountrySets, Countries Set
	// Secrets: answers show activation codes and install links. Without it they only show that there are some.
	Secrets bool
	// SoldElsewhere: the principal may use packages and customers that the gateway did not sell, for example in the portal.
	SoldElsewhere bool
	// All: the principal sees the purchases of all callers. Operators have this right.
	All bool
	// InheritsDefault: purchases that were made before there were callers belong to this principal. At most one has it.
	InheritsDefault bool
}

// Set is a set of names. The zero value is empty.
type Set struct {
	all   bool
	names []string
}

// Everything has every name.
var Everything = Set{all: true}

// SetOf returns the set of the given names.
func SetOf(names ...string) Set { return Set{names: names} }

// Has reports whether the set has the name.
func (s Set) Has(name string) bool { return s.all || slices.Contains(s.names, name) }

// Names are the names in the set. Those of Everything are only "all".
func (s Set) Names() []string {
	if s.all {
		return []string{"all"}
	}
	return append([]string{}, s.names...)
}

// IsEverything reports whether the set has every name.
func (s Set) IsEverything() bool { return s.all }

// DefaultCaller is the name under which purchases are kept while there are no callers.
const DefaultCaller = "default"

// Open is the principal of every call while there is no callers file. It may do everything.
var Open = &Principal{Name: DefaultCaller, Rights: Rights{
	Methods: Everything, Modes: Everything, Items: Everything, CountrySets: Everything, Countries: Everything,
	Secrets: true, SoldElsewhere: true, All: true, InheritsDefault: true,
}}

type principalKey struct{}

// With returns a context with the principal of the call.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// Of returns the principal of the call. It is nil if nobody has set one. Then nothing is allowed.
func Of(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

type reasonKey struct{}

// WithReason returns a context with the words in which a person says why the call is made. They go into the audit record.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey{}, reason)
}

// ReasonOf returns the reason of the call. It is empty if nobody has given one.
func ReasonOf(ctx context.Context) string {
	reason, _ := ctx.Value(reasonKey{}).(string)
	return reason
}
