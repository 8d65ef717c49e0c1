package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
)

const (
	// scrubbedAtOnce is how many pages are scrubbed in one transaction. Other writes wait for one transaction at most.
	scrubbedAtOnce = 256
	// mostPages: the first byte of a page of a tree is 2 or more. Other pages begin with the number of a page, in four
	// bytes. In a file with fewer pages than this, such a number begins with a lower byte.
	mostPages = 0x02000000
)

// Scrub implements [purchase.Journal]. What was deleted can be in three more places. The pragma secure_delete overwrites
// a row that is deleted. But when SQLite moves rows between two pages, it leaves copies of them in the unused middle of
// a page. So Scrub overwrites the middle of all pages. Then it copies the WAL into the file and empties it.
func (j *Journal) Scrub(ctx context.Context) error {
	for first, over := 2, false; !over; first += scrubbedAtOnce { // the first page has the names of the tables
		var pages int // the writer may set it after this call has returned with an error
		if err := j.write(ctx, func(c *connection) error {
			var vacuum int
			if err := c.one("SELECT page_count, auto_vacuum FROM pragma_page_count, pragma_auto_vacuum", nil, func(r *reader) { pages, vacuum = r.int(), r.int() }); err != nil {
				return err
			}
			if pages >= mostPages || vacuum != 0 { // then a page may be something else than it looks like
				return notWritten(errors.New("the file is too large or has auto_vacuum on, so deleted data cannot be overwritten in it"))
			}
			return c.scrub(first, min(first+scrubbedAtOnce-1, pages))
		}, nil); err != nil {
			return err
		}
		over = first+scrubbedAtOnce > pages
	}
	return j.read(ctx, func(c *connection) error { return c.settleLog() })
}

// scrub overwrites the unused middle of the pages from first to last.
func (c *connection) scrub(first, last int) error {
	for number := first; number <= last; number++ {
		var page []byte
		if err := c.one("SELECT data FROM sqlite_dbpage WHERE pgno = ?", []any{number}, func(r *reader) { page = r.bytes() }); err != nil {
			return err
		}
		changed := false
		middle := unusedMiddle(page)
		for i := range middle {
			changed = changed || middle[i] != 0
			middle[i] = 0
		}
		if changed {
			if err := c.exec("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1", number, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// unusedMiddle returns the part of a page between the list of its cells and the first cell (SQLite, "Database File
// Format", 1.6). It returns nothing if the page is not one of a tree.
func unusedMiddle(page []byte) []byte {
	if len(page) < 12 {
		return nil
	}
	header := 8
	switch page[0] {
	case 2, 5: // inside a tree
		header = 12
	case 10, 13: // a leaf
	default:
		return nil
	}
	from := header + 2*int(binary.BigEndian.Uint16(page[3:]))
	to := int(binary.BigEndian.Uint16(page[5:]))
	if from > to || to > len(page) { // 0 stands for 65536, which is larger than our pages
		return nil
	}
	return page[from:to]
}
