package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// longestDuration limits every duration from outside, and how far the clock can
// be moved in all. Go counts nanoseconds in 63 bits, which is 292 years.
const longestDuration = 100 * 365 * 24 * time.Hour

// Duration is a time.Duration that JSON writes as text. The text is what Go
// prints and reads ("2160h0m0s", "1.5s"). It may also have days: "91d" or
// "1d12h".
type Duration time.Duration

// String prints the duration as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText prints the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration from zero to 100 years.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(string(text))
	if err == nil {
		*d = Duration(parsed)
	}
	return err
}

func parseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration from 0s to 36500d, such as \"2s\", \"2184h\", \"91d\" or \"1d12h\"", text)
	rest, total := text, time.Duration(0)
	if days, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > uint64(longestDuration/(24*time.Hour)) {
			return 0, wrong
		}
		rest, total = after, time.Duration(n)*24*time.Hour
		if rest == "" {
			return total, nil
		}
	}
	parsed, err := time.ParseDuration(rest)
	if err != nil || parsed < 0 || parsed > longestDuration-total {
		return 0, wrong
	}
	return total + parsed, nil
}
