package access

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Budget is what a caller may spend, in one currency.
type Budget struct {
	Currency string
	// The limits are in millionths of the currency's unit. 0 means that there is no limit of this kind.
	PerPurchase, PerDay, PerMonth, Total int64
	// Zone says when a day and a month begin.
	Zone *time.Location
}

// budgetDecimals is how many decimals a limit may have.
const budgetDecimals = 6

var (
	validCurrency = regexp.MustCompile(`^[A-Z]{3}$`)
	validAmount   = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$`)
	// Short names such as CET are left out: PostgreSQL has other meanings for some of them.
	validZone = regexp.MustCompile(`^(UTC|[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)+)$`)
)

// budget reads the budget of a caller. It is nil if the caller has none.
func (f field) budget() *Budget {
	if !f.given() {
		return nil
	}
	fields := f.mapping("currency", "per_purchase", "per_day", "per_month", "total", "time_zone")
	b := &Budget{
		Currency: fields["currency"].matching(validCurrency, "three capital letters of ISO 4217, such as USD"),
		Zone:     fields["time_zone"].zone(),
	}
	limited := false
	limit := func(name string) int64 {
		if !fields[name].given() {
			return 0
		}
		limited = true
		return fields[name].millionths()
	}
	b.PerPurchase, b.PerDay, b.PerMonth, b.Total = limit("per_purchase"), limit("per_day"), limit("per_month"), limit("total")
	if !limited {
		f.fail("it has no limit: give at least one of per_purchase, per_day, per_month and total")
	}
	return b
}

// millionths reads an amount that is more than zero. Zero is refused, because it could also be meant as no limit.
func (f field) millionths() int64 {
	text := f.matching(validAmount, "an amount such as 250 or 99.50, with up to 9 digits before the point and up to 6 after it")
	if f.doc.err != nil {
		return 0
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", budgetDecimals-len(fraction)), 10, 64)
	switch {
	case err != nil:
		f.fail("it cannot be read")
	case n == 0:
		f.fail("it must be more than zero: for no limit, leave the field out")
	}
	return n
}

// zone reads a time zone. A missing field is UTC.
func (f field) zone() *time.Location {
	if !f.given() {
		return time.UTC
	}
	name := f.matching(validZone, "a time zone such as Europe/Berlin, or UTC")
	if f.doc.err != nil {
		return nil
	}
	zone, err := zoneNamed(name, time.LoadLocation)
	if err != nil {
		f.fail("%w", err)
	}
	return zone
}

// zoneNamed loads a time zone.
func zoneNamed(name string, load func(string) (*time.Location, error)) (*time.Location, error) {
	if zone, err := load(name); err == nil {
		return zone, nil
	}
	if _, err := load("Etc/UTC"); err != nil {
		return nil, errors.New("this machine has no time zones: install tzdata, or set ZONEINFO to lib/time/zoneinfo.zip of a Go installation")
	}
	return nil, fmt.Errorf("%s is not a time zone, use a name such as Europe/Berlin", shown(name))
}
