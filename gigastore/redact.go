package gigastore

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that must not be shown: every way of printing or encoding it says [redacted].
// string(s) gives the text.
type Secret string

// String returns [redacted].
func (Secret) String() string { return redacted }

// GoString returns [redacted].
func (Secret) GoString() string { return redacted }

// Format writes [redacted] for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted].
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnknownMembers are the members of a vendor's JSON object that this package does not know, or that it knows and could
// not decode, by name and as received. Their contents are never printed: nobody can say what they hold.
type UnknownMembers map[string]json.RawMessage

// LogValue returns how many members there are.
func (u UnknownMembers) LogValue() slog.Value { return slog.IntValue(len(u)) }

// Format writes how many members there are, for every verb.
func (u UnknownMembers) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%d unknown", len(u)) }

// formatSafe writes the members that v's LogValue chose to show, so that fmt and slog share one list of what is safe.
func formatSafe(f fmt.State, name string, v slog.LogValuer) {
	_, _ = fmt.Fprintf(f, "%s%s", name, v.LogValue())
}
