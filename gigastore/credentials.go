package gigastore

import (
	"context"
	"sync"
)

// credentials are the client id and its secret. The secret may change while the process runs.
type credentials struct {
	id       string
	read     func() (Secret, error) // nil: the secret never changes
	problems *problems

	mu     sync.Mutex
	secret Secret
}

// current reads the secret again and returns it. If the new secret is unusable, somebody is probably just writing it.
// So the previous one stays.
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
