package gigastore

import (
	"context"
	"encoding/json"
)

// Version reads the vendor's version, a JSON object whose members are unknown. It needs no access token, so it is a
// cheap probe.
//
// GET /gigastore/version, observed; dossier 2.20.
func (c *Client) Version(ctx context.Context) (json.RawMessage, error) {
	body, err := c.read(ctx, call{operation: OpVersion})
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, &Error{Operation: OpVersion, Status: 200, Err: errMalformed}
	}
	return body, nil
}
