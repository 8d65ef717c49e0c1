package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Amount is a sum of money in US cents. The US dollar is the only currency that
// the vendor is known to use (dossier 1.3). In JSON an Amount is a plain number
// in major units with two decimals, such as 4.20.
type Amount int64

// String prints major units with two decimals, without a currency.
func (a Amount) String() string {
	sign, cents := "", int64(a)
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}

// MarshalJSON prints the amount as a JSON number with two decimals.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a JSON number that is a whole number of cents.
func (a *Amount) UnmarshalJSON(data []byte) error {
	value, ok := exactNumber(data)
	if !ok {
		return errors.New("an amount must be a JSON number of at most 40 characters")
	}
	return a.set(value)
}

// set reads a value in major units. It fails if the value is not a whole number
// of cents.
func (a *Amount) set(value *big.Rat) error {
	cents := new(big.Rat).Mul(value, big.NewRat(100, 1))
	if !cents.IsInt() || !cents.Num().IsInt64() {
		return errors.New("an amount must be a whole number of cents")
	}
	*a = Amount(cents.Num().Int64())
	return nil
}

// equals compares by value: 9.990 equals 9.99, and 9.9900001 does not.
func (a Amount) equals(value *big.Rat) bool {
	return value.Cmp(big.NewRat(int64(a), 100)) == 0
}

// exactNumber reads the text of a JSON number without rounding. It limits
// length and exponent, because 1e999999999 is a short text for a huge number.
func exactNumber(text []byte) (*big.Rat, bool) {
	const maxLength, maxExponent = 40, 30
	if len(text) == 0 || len(text) > maxLength || text[0] == '"' {
		return nil, false
	}
	var number json.Number
	if json.Unmarshal(text, &number) != nil || number == "" {
		return nil, false
	}
	if _, exponent, found := strings.Cut(strings.ToLower(number.String()), "e"); found {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(number.String())
}
