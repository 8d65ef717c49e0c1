package sandbox

import (
	"bytes"
	"encoding/json"
	"time"
)

// storedAnswer is what the sandbox keeps of a paid call with an idempotency
// key.
type storedAnswer struct {
	answer answer
	body   []byte // compacted, for comparison with a later body
	at     time.Time
}

// idempotencyScope is the name under which the key of a call is stored. It is
// empty if the call has no key or if keys are ignored.
func (w *world) idempotencyScope(c *call) string {
	switch {
	case c.idempotencyKey == "" || w.settings.IdempotencyKey == KeyIgnored:
		return ""
	case w.settings.IdempotencyScope == KeyPerPath:
		return c.route.pattern + " " + c.idempotencyKey
	}
	return c.idempotencyKey
}

// reserve marks the key of a paid call as running when the call arrives, which
// may be long before it commits. ok is false if another call holds the key.
func (w *world) reserve(c *call) (scope string, ok bool) {
	scope = w.idempotencyScope(c)
	if scope == "" || w.known(scope) != nil { // a replay may run beside any other call
		return "", true
	}
	if w.running[scope] > 0 && w.settings.IdempotencyWhileRunning == RunningConflict {
		return "", false
	}
	c.keyUnknown = true
	w.running[scope]++
	return scope, true
}

func (w *world) release(scope string) {
	if scope == "" {
		return
	}
	if w.running[scope]--; w.running[scope] == 0 {
		delete(w.running, scope)
	}
}

// once sells, unless the call's key is known.
func (w *world) once(c *call) answer {
	scope := w.idempotencyScope(c)
	if scope == "" {
		return c.route.handle(w, c)
	}
	known := w.known(scope)
	if c.keyUnknown && w.settings.IdempotencyWhileRunning == RunningSells {
		known = nil // this call looked on arrival, and does not look again
	}
	sent := compacted(c.body)
	if known != nil {
		switch {
		case !bytes.Equal(known.body, sent) && w.settings.IdempotencyOtherBody == OtherBodyRefused:
			return w.refuse(c, w.settings.Statuses.KeyConflict, SentenceKeyOtherBody)
		case w.settings.IdempotencyKey == KeyRefusedWithConflict:
			return w.refuse(c, w.settings.Statuses.KeyConflict, SentenceKeyUsed)
		}
		return known.answer
	}
	done := c.route.handle(w, c)
	if done.committed || w.settings.IdempotencyStoresFailures {
		w.keys[scope] = &storedAnswer{done, sent, w.now}
	}
	return done
}

// known returns what is stored for a key. It returns nil if there is nothing,
// or if it was forgotten.
func (w *world) known(scope string) *storedAnswer {
	stored, retention := w.keys[scope], time.Duration(w.settings.IdempotencyForgottenAfter)
	if stored != nil && retention > 0 && w.now.Sub(stored.at) >= retention {
		delete(w.keys, scope)
		return nil
	}
	return stored
}

func compacted(data []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
