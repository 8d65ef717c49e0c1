package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// LimitSettings are what the callers file says about the number of a caller's calls. The zero value allows everything.
type LimitSettings struct {
	PerSecond float64 // 0: any rate, and Burst is unused
	Burst     int     // how many calls may come at the same moment
	AtOnce    int     // how many calls may be under way; 0: any number
}

// Limits count the calls of a caller. They count on when the callers file is read again. A nil *Limits allows everything.
type Limits struct {
	mu       sync.Mutex
	settings LimitSettings
	rate     *rate.Limiter // nil: any rate
	running  int
}

// NewLimits returns the limits of a caller that has made no call.
func NewLimits(s LimitSettings) *Limits {
	l := &Limits{}
	l.set(s, time.Now())
	return l
}

// set puts settings in force for the next call.
func (l *Limits) set(s LimitSettings, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settings = s
	switch {
	case s.PerSecond == 0:
		l.rate = nil
	case l.rate == nil:
		l.rate = rate.NewLimiter(rate.Limit(s.PerSecond), s.Burst)
	default:
		l.rate.SetLimitAt(now, rate.Limit(s.PerSecond))
		l.rate.SetBurstAt(now, s.Burst)
	}
}

// Settings are the settings in force.
func (l *Limits) Settings() LimitSettings {
	if l == nil {
		return LimitSettings{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settings
}

// Excess says which limit a call is beyond.
type Excess uint8

// The limits that a call can be beyond.
const (
	NoExcess Excess = iota
	TooFast
	TooManyAtOnce
)

// Begin counts a call. After NoExcess, End must follow. With TooFast, wait is how long until one more call is allowed.
func (l *Limits) Begin(now time.Time) (excess Excess, wait time.Duration) {
	if l == nil {
		return NoExcess, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settings.AtOnce > 0 && l.running >= l.settings.AtOnce {
		return TooManyAtOnce, 0
	}
	if l.rate != nil {
		place := l.rate.ReserveN(now, 1)
		if wait = place.DelayFrom(now); wait > 0 {
			place.CancelAt(now)
			return TooFast, wait
		}
	}
	l.running++
	return NoExcess, 0
}

// End ends a call that Begin has counted.
func (l *Limits) End() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
}
