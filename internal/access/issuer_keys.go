package access

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How often the keys of an issuer are fetched.
const (
	// refreshKeys is the age at which keys are fetched again, so that a key that the issuer has withdrawn ends.
	refreshKeys = 5 * time.Minute
	// betweenFetches is the shortest time between two fetches. So a new key works after this time at the latest, and tokens
	// with invented key ids cause no more fetches than that.
	betweenFetches = 10 * time.Second
	// keepKeys is how long keys are used while the issuer cannot be reached. An issuer that is down makes no tokens, and
	// most tokens expire within an hour.
	keepKeys = time.Hour

	fetchTimeout = 5 * time.Second
	// repeatWarning is how often the log has the same problem.
	repeatWarning = time.Minute
)

const (
	// mostWaiting is how many calls wait at once for a key that an issuer may have added. Anybody can invent a key id, so
	// while an issuer is slow, such calls must not hold the places of the gateway.
	mostWaiting     = 64
	mostSigningKeys = 100
	leastRSABits    = 2048
)

// keySet has the public keys of an issuer. It does not change.
type keySet struct{ keys []jose.JSONWebKey }

// withID returns the keys with an id. A token without a key id can only be checked if the issuer has a single key.
func (s *keySet) withID(id string) []jose.JSONWebKey {
	switch {
	case s == nil:
		return nil
	case id == "" && len(s.keys) == 1:
		return s.keys
	case id == "":
		return nil
	}
	var found []jose.JSONWebKey
	for _, key := range s.keys {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// What parseKeys does with a secret or a private key.
const (
	refuseSecretKeys = true
	skipSecretKeys   = false
)

// parseKeys reads the keys of a JWKS that check signatures. It skips keys of kinds that it does not know.
func parseKeys(text []byte, refuseSecret bool) (*keySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil { // its error may quote the text
		return nil, errors.New("it is not a JSON Web Key Set")
	}
	if len(set.Keys) > mostSigningKeys {
		return nil, fmt.Errorf("it has more than %d keys", mostSigningKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil {
			continue
		}
		if !key.IsPublic() {
			if refuseSecret {
				return nil, errors.New("it has a private or a symmetric key: give only public keys")
			}
			continue
		}
		public, isRSA := key.Key.(*rsa.PublicKey)
		if key.Use != "" && key.Use != "sig" || isRSA && public.N.BitLen() < leastRSABits {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key that can check a signature")
	}
	return &keySet{keys}, nil
}

// remoteKeys are the keys of an issuer that are found by OIDC discovery. They are fetched in the background.
type remoteKeys struct {
	issuer  string
	client  *http.Client
	ctx     context.Context // ends when the gateway stops
	running *sync.WaitGroup
	logger  *slog.Logger

	mu      sync.Mutex
	keys    *keySet
	fetched time.Time     // when keys came
	began   time.Time     // when the last fetch began
	done    chan struct{} // closed when the present fetch ends, nil without one
	waiting int           // calls that wait for the present fetch
	failing bool          // the last fetch has failed
	warned  time.Time     // when the log last said so
}

// find returns the keys of the issuer. If none has the id, the issuer may have a new key: find fetches the keys, or waits for
// the fetch that is under way. It gives up if the last fetch was a moment ago, or if too many calls wait.
func (r *remoteKeys) find(ctx context.Context, id string) *keySet {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.usable()
	if len(set.withID(id)) > 0 {
		return set
	}
	done := r.fetchUnlessRecent()
	if done == nil || set != nil && r.waiting >= mostWaiting {
		return set
	}
	r.waiting++
	r.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	r.mu.Lock()
	r.waiting--
	return r.usable()
}

// current returns the keys, if they are not too old.
func (r *remoteKeys) current() *keySet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.usable()
}

// usable is current with the lock held.
func (r *remoteKeys) usable() *keySet {
	if time.Since(r.fetched) > keepKeys {
		return nil
	}
	return r.keys
}

// refreshIfOld fetches the keys if they are old.
func (r *remoteKeys) refreshIfOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.fetched) >= refreshKeys {
		r.fetchUnlessRecent()
	}
}

// isFailing reports whether the last fetch has failed.
func (r *remoteKeys) isFailing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing
}

// fetchUnlessRecent starts a fetch, unless one has begun a moment ago. It returns a channel that is closed when the present
// fetch ends, or nil if there is none. The lock is held.
func (r *remoteKeys) fetchUnlessRecent() <-chan struct{} {
	if r.done != nil {
		return r.done
	}
	if time.Since(r.began) < betweenFetches || r.ctx.Err() != nil {
		return nil
	}
	done := make(chan struct{})
	r.began, r.done = time.Now(), done
	r.running.Go(func() {
		keys, err := r.fetch()
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			r.keys, r.fetched = keys, time.Now()
		} else if r.ctx.Err() == nil && time.Since(r.warned) >= repeatWarning {
			r.warned = time.Now()
			r.logger.WarnContext(r.ctx, "the keys of an issuer cannot be fetched", "issuer", r.issuer, "error", err)
		}
		r.failing, r.done = err != nil, nil
		close(done)
	})
	return done
}

// fetch asks the issuer for its keys.
func (r *remoteKeys) fetch() (*keySet, error) {
	ctx, cancel := context.WithTimeout(r.ctx, fetchTimeout)
	defer cancel()
	found, err := discover(ctx, r.client, r.issuer)
	if err != nil {
		return nil, err
	}
	if !IsSecureURL(found.Keys) {
		return nil, errors.New("the issuer's configuration has a jwks_uri that is not an https URL")
	}
	text, err := get(ctx, r.client, found.Keys)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text, skipSecretKeys)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	return keys, nil
}
