package gigastore

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that must not be shown. Every way to print or encode it gives [redacted]. string(s) gives the
// text.
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

// UnknownMembers are the members of a vendor's JSON object that this package does not know or could not decode, by
// name and as received. Their contents are never printed, because nobody knows what they hold.
type UnknownMembers map[string]json.RawMessage

// LogValue returns how many members there are.
func (u UnknownMembers) LogValue() slog.Value { return slog.IntValue(len(u)) }

// Format writes how many members there are, for every verb.
func (u UnknownMembers) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%d unknown", len(u)) }

// formatSafe prints what v's LogValue returns, so that fmt and slog share one list of what is safe.
func formatSafe(f fmt.State, name string, v slog.LogValuer) {
	_, _ = fmt.Fprintf(f, "%s%s", name, v.LogValue())
}
