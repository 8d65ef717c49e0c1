// Package sealed encrypts the personal data and the sales in a journal. Each text is encrypted alone and is bound to its
// purchase and its column. The journal below stores the texts and knows no key.
//
// A journal can hold texts in plain, from before it had a key, and texts of several keys. All of them can be read.
// [Journal.Rotate] seals them with the newest key.
//
// What this does not hide: how long a text is, and everything else in the journal. It holds ids, prices, times and the
// caller's own metatag, but nothing about the end user. Somebody who can write to the journal can delete a text, or
// replace it by one in plain.
package sealed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"gigagate.internal/purchase"
)

// batch is how many rows are read, and sealed again, in one transaction. Other writes wait for one batch at most.
const batch = 64

// Journal is a [purchase.Journal] that seals what it gives to another one, and opens what it gets back.
type Journal struct {
	purchase.Journal
	keys   *Keyring
	logger *slog.Logger
}

// New returns a journal on top of another one. If the keyring has no key, new texts are stored in plain. It returns a
// MissingKeyError if the keyring lacks a key that an open purchase needs, because its send needs the end user's data.
func New(ctx context.Context, journal purchase.Journal, keys *Keyring, logger *slog.Logger) (*Journal, error) {
	j := &Journal{journal, keys, logger}
	missing := map[string]error{}
	for after := ""; ; {
		last, err := journal.RewriteSecrets(ctx, purchase.OpenSecrets, after, batch, func(rows []purchase.SecretsRow) []purchase.SecretsRow {
			for _, row := range rows {
				_, err := j.keys.Open(row)
				if absent, ok := errors.AsType[*MissingKeyError](err); ok {
					missing[absent.ID] = err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if last == "" {
			break
		}
		after = last
	}
	if len(missing) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(missing)))
		return nil, fmt.Errorf("open purchases need %d keys that are missing: %w", len(missing), missing[first])
	}
	return j, nil
}

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	if newest, ok := j.keys.newest(); ok {
		claim.Personal = seal(newest, place{claim.ID, columnPersonal}, claim.Personal)
	}
	return j.Journal.Claim(ctx, claim)
}

// Write implements [purchase.Journal].
func (j *Journal) Write(ctx context.Context, step purchase.Step) (purchase.Purchase, error) {
	if newest, ok := j.keys.newest(); ok && step.Transition.Sale != nil {
		step.Transition.Sale = seal(newest, place{step.Before.ID, columnSale}, step.Transition.Sale)
	}
	return j.Journal.Write(ctx, step)
}

// Secrets implements [purchase.Journal].
func (j *Journal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	secrets, err := j.Journal.Secrets(ctx, id)
	if err != nil || secrets.Purged {
		return secrets, err
	}
	row := purchase.SecretsRow{ID: id, Personal: secrets.Personal, Sale: secrets.Sale}
	if row, err = j.keys.Open(row); err != nil {
		j.logger.ErrorContext(ctx, "the data of a purchase cannot be read", "purchase_id", id, "error", err.Error())
		return purchase.Secrets{}, err
	}
	return purchase.Secrets{Personal: row.Personal, Sale: row.Sale}, nil
}

// Rotation is what [Journal.Rotate] did.
type Rotation struct {
	Key    string // the id of the key that all rows are sealed with now, but those in Unreadable
	Rows   int    // the rows that were read
	Sealed int    // those that were sealed again
	// Unreadable counts the rows that could not be opened, and so were left as they are. First says why, for the first.
	Unreadable int
	First      error
}

func (r *Rotation) add(part Rotation) {
	r.Rows += part.Rows
	r.Sealed += part.Sealed
	r.Unreadable += part.Unreadable
	r.First = cmp.Or(r.First, part.First)
}

// Rotate reads the key file again, and seals every row with its first key, in batches. Purchases go on meanwhile. If
// it is interrupted, the next call does the rest. Other replicas seal with the key that they know, so the last call has
// to be made when all replicas have the new file.
func (j *Journal) Rotate(ctx context.Context) (Rotation, error) {
	if err := j.keys.Reread(); err != nil {
		return Rotation{}, err
	}
	newest, ok := j.keys.newest()
	if !ok {
		return Rotation{}, errors.New("there is no key to seal with")
	}
	total := Rotation{Key: newest.id}
	// A purchase that settles meanwhile moves its row from the open ones to the settled ones, so these come last.
	for _, kind := range []purchase.SecretsKind{purchase.OpenSecrets, purchase.SettledSecrets} {
		if err := j.rotate(ctx, kind, newest, &total); err != nil {
			return total, err
		}
	}
	// The files still hold the former texts.
	return total, j.Scrub(ctx)
}

func (j *Journal) rotate(ctx context.Context, kind purchase.SecretsKind, newest key, total *Rotation) error {
	for after := ""; ; {
		var part Rotation
		last, err := j.RewriteSecrets(ctx, kind, after, batch, func(rows []purchase.SecretsRow) (changed []purchase.SecretsRow) {
			changed, part = j.sealAgain(rows, newest)
			return changed
		})
		if err != nil || last == "" {
			return err
		}
		total.add(part)
		after = last
	}
}

// sealAgain returns those of the rows that are not sealed with the newest key, sealed with it.
func (j *Journal) sealAgain(rows []purchase.SecretsRow, newest key) (changed []purchase.SecretsRow, part Rotation) {
	part.Rows = len(rows)
	for _, row := range rows {
		text, err := j.keys.Open(row) // also of a row that stays as it is: this finds what was changed
		switch {
		case err != nil:
			part.add(Rotation{Unreadable: 1, First: err})
		case !isSealedWith(newest, row.Personal) || row.Sale != nil && !isSealedWith(newest, row.Sale):
			row.Personal = seal(newest, place{row.ID, columnPersonal}, text.Personal)
			if row.Sale != nil {
				row.Sale = seal(newest, place{row.ID, columnSale}, text.Sale)
			}
			changed = append(changed, row)
		}
	}
	part.Sealed = len(changed)
	return changed, part
}

func isSealedWith(k key, text []byte) bool {
	id, err := keyID(text)
	return err == nil && id == k.id
}
