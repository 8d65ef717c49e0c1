package gigastore

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

const maxTimeText = 64 // bytes kept of an unreadable text

// timeLayouts are the forms of ISO 8601 that are read. The first is the vendor's own (docs first-package, top-up,
// customers), which has 0, 3 or 5 fraction digits. time.Parse takes any number of them after the seconds. The other
// layouts are there for leniency.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
}

// Time is a date-time of the vendor, in UTC. Digits beyond the nanosecond are dropped. A time without an offset is
// taken as UTC. null, "" and an absent member give the zero Time. The vendor shows an unset activatedAt as "empty",
// and which of the three that means is unknown (dossier 3.2). Text that cannot be read gives the zero Time as well,
// but keeps the text. It does not fail the answer around it.
type Time struct {
	time.Time
	text string
}

// ParseTime reads ISO 8601 as leniently as [Time] describes, and reports whether it succeeded. "" gives the zero Time
// and true.
func ParseTime(text string) (Time, bool) {
	if text == "" {
		return Time{}, true
	}
	kept := text[:min(len(text), maxTimeText)]
	if len(text) > maxTimeText {
		return Time{text: kept}, false
	}
	upper := strings.ToUpper(text) // "t" and "z" are allowed too (RFC 3339 section 5.6)
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, upper)
		if err != nil {
			continue
		}
		// An offset can move the year out of the range that MarshalJSON can write.
		if t = t.UTC(); t.Year() >= 0 && t.Year() <= 9999 {
			return Time{Time: t, text: kept}, true
		}
	}
	return Time{text: kept}, false
}

// Text returns what the vendor sent, at most 64 bytes, even if it could not be read. It returns "" if nothing was
// sent.
func (t Time) Text() string { return t.text }

// UnmarshalJSON never fails on a JSON value.
func (t *Time) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	text := string(data[:min(len(data), maxTimeText)])
	switch {
	case string(data) == "null":
		text = ""
	case len(data) > 0 && data[0] == '"':
		if s, err := decodeString(data); err == nil {
			text = s
		}
	}
	*t, _ = ParseTime(text)
	return nil
}

// MarshalJSON writes RFC 3339. It writes unreadable text as it was received, and the zero Time as null.
func (t Time) MarshalJSON() ([]byte, error) {
	switch {
	case !t.IsZero():
		return t.UTC().AppendFormat(nil, `"`+time.RFC3339Nano+`"`), nil
	case t.text != "":
		return json.Marshal(t.text)
	default:
		return []byte("null"), nil
	}
}
