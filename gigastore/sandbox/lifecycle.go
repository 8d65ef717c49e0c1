package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Mode says when a package starts (dossier 4.1).
type Mode string

// The vendor's activation modes.
const (
	ModeNow      Mode = "NOW"       // at the sale
	ModeFirstUse Mode = "FIRST_USE" // at the first connection inside its coverage
	ModeOnDemand Mode = "ON_DEMAND" // at the activate call
)

// Cause says what started a package.
type Cause string

// The causes of an activation.
const (
	CauseSale     Cause = "sale"     // mode NOW
	CauseCall     Cause = "call"     // the activate call
	CauseConnect  Cause = "connect"  // an eSIM connected to a network
	CauseDeadline Cause = "deadline" // nobody started it in time
)

// item is a sold package. The vendor calls it an activated item.
type item struct {
	uid, metatag string
	kind         Kind
	mode         Mode
	product      product // as it was at the sale
	customer     *customer
	domain       string
	sold         time.Time
	activatedAt  time.Time // zero while pending
	expiresAt    time.Time // the deadline of a pending package, later the end of validity
	left         int64     // bytes that can still be used
	refunded     bool
}

func (it *item) started() bool { return !it.activatedAt.IsZero() }

// ended reports whether the package can never be used again.
func (it *item) ended(now time.Time) bool {
	return it.refunded || it.started() && (it.left == 0 || now.After(it.expiresAt))
}

// usable reports whether the package has started and has data and time left.
func (it *item) usable(now time.Time) bool { return it.started() && !it.ended(now) }

// start begins the validity of a pending package.
func (w *world) start(it *item, at time.Time, cause Cause) {
	it.activatedAt = at
	it.expiresAt = at.AddDate(0, 0, it.product.validityDays)
	w.truth.activations = append(w.truth.activations, Activation{it.uid, at, cause})
}

// startOverdue starts the packages that nobody started before their deadline.
// They start at the deadline; they do not lapse (dossier 4.1). The waiting list
// is in order of deadlines, because the clock never goes back and all packages
// wait equally long.
func (w *world) startOverdue() {
	for len(w.waiting) > 0 {
		it := w.waiting[0]
		if !it.started() && !it.refunded {
			if w.now.Before(it.expiresAt) {
				return
			}
			w.start(it, it.expiresAt, CauseDeadline)
		}
		w.waiting[0] = nil
		w.waiting = w.waiting[1:]
	}
}

// connect connects an eSIM to a network. It starts at most one FIRST_USE package,
// by the rules of dossier 4.2.
func (w *world) connect(iccid, country string) error {
	p := w.profiles[iccid]
	if p == nil {
		return errors.New("no eSIM has this iccid")
	}
	covered := countrySets[p.customer.countrySet]
	if country == "" {
		country = covered[0]
	}
	if !isCountryCode(country) {
		return errors.New("country must be two capital letters (ISO 3166-1), or empty for a country inside the coverage")
	}
	if !p.installed() {
		p.activatedAt = w.now
	}
	p.lastSeen, p.country = w.now, country
	if !slices.Contains(covered, country) {
		return nil // outside the coverage no package starts
	}
	if w.settings.FirstUseWaits && w.nextToUse(p) != nil {
		return nil
	}
	w.startNextFirstUse(p)
	return nil
}

// startNextFirstUse starts the pending FIRST_USE package with the nearest
// deadline. It returns false if there is none.
func (w *world) startNextFirstUse(p *profile) bool {
	var next *item
	for _, it := range p.customer.items {
		if it.domain != p.domain || it.mode != ModeFirstUse || it.started() || it.refunded {
			continue
		}
		if next == nil || it.expiresAt.Before(next.expiresAt) {
			next = it
		}
	}
	if next == nil {
		return false
	}
	w.start(next, w.now, CauseConnect)
	return true
}

// nextToUse returns the package that an eSIM takes its data from: the usable
// one with the shortest remaining validity. It returns nil if none is usable.
func (w *world) nextToUse(p *profile) *item {
	var next *item
	for _, it := range p.customer.items {
		if it.domain != p.domain || !it.usable(w.now) {
			continue
		}
		if next == nil || it.expiresAt.Before(next.expiresAt) {
			next = it
		}
	}
	return next
}

// useItem takes bytes from one package, up to what it has left.
func (w *world) useItem(uid string, bytes int64) error {
	it := w.itemByUID[uid]
	switch {
	case it == nil:
		return errors.New("no package has this uid")
	case !it.started():
		return errors.New("the package has not started")
	case !it.usable(w.now):
		return errors.New("the package has no data or no time left")
	}
	it.left -= min(it.left, bytes)
	return nil
}

// useProfile connects an eSIM and takes bytes from its packages. When one is
// used up, the next pending FIRST_USE package starts.
func (w *world) useProfile(iccid string, bytes int64) error {
	if err := w.connect(iccid, ""); err != nil {
		return err
	}
	p, used := w.profiles[iccid], false
	for bytes > 0 {
		it := w.nextToUse(p)
		if it == nil {
			if !w.startNextFirstUse(p) {
				break
			}
			continue
		}
		taken := min(it.left, bytes)
		it.left, bytes, used = it.left-taken, bytes-taken, true
	}
	if !used {
		return errors.New("no package of this eSIM has data and time left")
	}
	return nil
}

// move moves the clock forward. It fails for a negative step, and for one that
// exceeds the limit of all steps together.
func (w *world) move(by time.Duration) error {
	if by < 0 {
		return errors.New("the clock only moves forward")
	}
	if by > longestDuration-w.offset {
		return fmt.Errorf("the clock moves at most %v from its start", Duration(longestDuration))
	}
	w.offset += by
	return nil
}

func isCountryCode(text string) bool {
	return len(text) == 2 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z'
}
