package gigastore

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// Bounds of a Decimal. No amount of this API comes near them. They keep 1e999999999 from filling the memory.
const (
	maxDecimalText     = 96 // bytes read
	maxDecimalInteger  = 40 // digits before the point
	maxDecimalFraction = 40 // digits after the point
)

var errDecimal = errors.New("not a decimal number, or one with too many digits")

// Decimal is an exact decimal number in canonical form, without an exponent and without trailing zeros: 4.20 is kept
// as 4.2. So == compares by value, and a Decimal can be a map key. The zero value is 0.
type Decimal struct{ text string } // "" is 0

// ParseDecimal reads a number in JSON's grammar (RFC 8259 section 6): -?digits[.digits][e±digits], without leading
// zeros. Written without its exponent, the number may have at most 40 digits on each side of the point. The error
// does not repeat s.
func ParseDecimal(s string) (Decimal, error) {
	if len(s) > maxDecimalText {
		return Decimal{}, errDecimal
	}
	s, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		digits := strings.TrimLeft(s[i+1:], "+-")
		n, err := strconv.Atoi(digits)
		if err != nil || !isDigits(digits) || len(s[i+1:])-len(digits) > 1 || n > maxDecimalText {
			return Decimal{}, errDecimal
		}
		if s[i+1] == '-' {
			n = -n
		}
		exponent = n
	}
	whole, fraction, hasPoint := strings.Cut(mantissa, ".")
	if !isDigits(whole) || hasPoint && !isDigits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return Decimal{}, errDecimal
	}

	digits := whole + fraction
	point := len(whole) + exponent // the decimal point stands before digits[point]
	significant := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(significant)
	significant = strings.TrimRight(significant, "0")
	if significant == "" {
		return Decimal{}, nil
	}
	if point > maxDecimalInteger || len(significant)-point > maxDecimalFraction {
		return Decimal{}, errDecimal
	}

	var text string
	switch {
	case point <= 0:
		text = "0." + strings.Repeat("0", -point) + significant
	case point >= len(significant):
		text = significant + strings.Repeat("0", point-len(significant))
	default:
		text = significant[:point] + "." + significant[point:]
	}
	if negative {
		text = "-" + text
	}
	return Decimal{text}, nil
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// String returns the number in plain canonical text, without exponent: 4.2, -0.05, 100.
func (d Decimal) String() string {
	if d.text == "" {
		return "0"
	}
	return d.text
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.text == "":
		return 0
	case d.text[0] == '-':
		return -1
	default:
		return 1
	}
}

// IsZero reports whether d is 0.
func (d Decimal) IsZero() bool { return d.text == "" }

// Equal reports whether d and e are the same number.
func (d Decimal) Equal(e Decimal) bool { return d == e }

// Cmp returns -1, 0 or 1 as d is less than, equal to or greater than e.
func (d Decimal) Cmp(e Decimal) int {
	if a, b := d.Sign(), e.Sign(); a != b {
		return cmp.Compare(a, b)
	}
	aWhole, aFraction, _ := strings.Cut(strings.TrimPrefix(d.text, "-"), ".")
	bWhole, bFraction, _ := strings.Cut(strings.TrimPrefix(e.text, "-"), ".")
	c := cmp.Compare(len(aWhole), len(bWhole))
	if c == 0 {
		c = strings.Compare(aWhole, bWhole)
	}
	if c == 0 {
		c = strings.Compare(aFraction, bFraction)
	}
	return c * d.Sign()
}

// MarshalJSON writes a JSON number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads a JSON number, or a JSON string that holds one. It ignores null.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if string(data) == "null" {
		return nil
	}
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		var err error
		if text, err = decodeString(data); err != nil {
			return errDecimal
		}
	}
	parsed, err := ParseDecimal(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
