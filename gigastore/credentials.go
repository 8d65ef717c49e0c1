package gigastore

import (
	"context"
	"sync"
)

// credentials are the client id, and its secret, which may change.
type credentials struct {
	id       string
	read     func() (Secret, error) // nil: the secret stays
	problems *problems

	mu     sync.Mutex
	secret Secret
}

// current reads the secret again. One that cannot be used is most likely just being written: the one before stays.
func (c *credentials) current(ctx context.Context) Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read == nil {
		return c.secret
	}
	secret, err := c.read()
	if err == nil && !isUsable(secret) {
		err = phrase("the client secret is not visible ASCII text")
	}
	if err != nil {
		c.problems.found(ctx, problemSecret, err.Error())
		return c.secret
	}
	c.problems.over(ctx, problemSecret)
	c.secret = secret
	return secret
}

func isUsable(secret Secret) bool { return secret != "" && isVisible(string(secret)) }
