package purchase

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"gigagate.internal/gigastore"
)

// Micros is an amount of money in millionths of a currency's unit. Journals add and compare such amounts exactly.
type Micros int64

const (
	microDigits = 6
	unitMicros  = 1_000_000
	// maxMicros is the highest price that [MicrosOf] converts: one billion units. Thousands of such prices can be
	// added before a sum overflows.
	maxMicros Micros = 1_000_000_000 * unitMicros
)

var maxAmount = maxMicros.Decimal()

var errMicros = errors.New("not an amount from 0 to 1000000000")

// MicrosOf converts a decimal amount. It rounds up if the amount has more than six decimals. The amount must be
// between 0 and one billion.
func MicrosOf(amount gigastore.Decimal) (Micros, error) {
	if amount.Sign() < 0 || amount.Cmp(maxAmount) > 0 {
		return 0, errMicros
	}
	whole, fraction, _ := strings.Cut(amount.String(), ".")
	more := len(fraction) > microDigits // a Decimal has no trailing zeros
	if more {
		fraction = fraction[:microDigits]
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", microDigits-len(fraction)), 10, 64)
	if more {
		n++
	}
	return Micros(n), err
}

// String returns the amount in plain decimal text, without trailing zeros: 4.2, 100.
func (m Micros) String() string {
	text := make([]byte, 0, 24)
	n := uint64(m) //nolint:gosec // negated below if m is negative
	if m < 0 {
		text, n = append(text, '-'), -n
	}
	text = strconv.AppendUint(text, n/unitMicros, 10)
	if fraction := n % unitMicros; fraction > 0 {
		point := len(text)
		text = strconv.AppendUint(text, unitMicros+fraction, 10) // a 1 before the six digits
		text[point] = '.'
		text = bytes.TrimRight(text, "0")
	}
	return string(text)
}

// Decimal returns the same amount as a decimal number.
func (m Micros) Decimal() gigastore.Decimal {
	d, _ := gigastore.ParseDecimal(m.String()) // it has at most 19 digits
	return d
}

// units returns the amount as a number of units, for metrics. Nothing compares or adds money by it.
func (m Micros) units() float64 { return float64(m) / unitMicros }
