package purchase

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// firstPause and longestPause bound the pause between retries.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// pauses returns the pauses of a loop. Each is twice the one before, up to longest. They are not random, so that a
// simulation can be replayed.
func pauses(first, longest time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: first, Multiplier: 2, MaxInterval: longest}
}

// retry calls try until it succeeds, until isFinal accepts its error, or until ctx ends. It calls try at least once,
// even if ctx has ended. It returns the result of the last call.
func retry[T any](ctx context.Context, try func() (T, error), isFinal func(error) bool) (T, error) {
	var last error
	result, _ := backoff.Retry(ctx, func() (T, error) {
		var result T
		if result, last = try(); last != nil && isFinal(last) {
			return result, backoff.Permanent(last)
		}
		return result, last
	}, backoff.WithBackOff(pauses(firstPause, longestPause)), backoff.WithMaxElapsedTime(0)) // 0: no other limit than ctx
	return result, last
}

// sleep waits for d. It reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
