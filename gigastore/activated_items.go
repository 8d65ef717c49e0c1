package gigastore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// ActivatedItemRecord is a sold package as a read returns it, with the customer and the eSIMs that the answer holds
// beside it. Customer and ESIMs are zero if the answer holds the item alone.
type ActivatedItemRecord struct {
	ActivatedItem ActivatedItem
	Customer      Customer
	ESIMs         []ESIMProfile
	Unknown       UnknownMembers
}

// LogValue returns only the uids. Without it, slog's JSON handler would marshal every field.
func (r ActivatedItemRecord) LogValue() slog.Value {
	return slog.GroupValue(slog.String("item_uid", r.ActivatedItem.UID), slog.String("customer_uid", r.Customer.UID))
}

var errNoItem = errors.New("no activated item")

// UnmarshalJSON reads a bare item, or an object with the members activatedItem, customer and relatedEsims. Which of
// the two the vendor sends is unknown (dossier 2.5, 2.6). It fails if there is no item uid.
func (r *ActivatedItemRecord) UnmarshalJSON(data []byte) error { return unmarshal(data, r) }

func (r *ActivatedItemRecord) fill(o object) error {
	*r = ActivatedItemRecord{}
	if o.last("activatedItem") >= 0 {
		if err := must(o, "activatedItem", &r.ActivatedItem); err != nil {
			return err
		}
	} else {
		r.ActivatedItem = activatedItemFrom(o)
	}
	if r.ActivatedItem.UID == "" {
		return errNoItem
	}
	take(o, "customer", &r.Customer)
	take(o, "relatedEsims", &r.ESIMs)
	var profile *ESIMProfile
	take(o, "esimProfile", &profile)
	if profile != nil {
		r.ESIMs = append(r.ESIMs, *profile)
	}
	r.Unknown = o.rest()
	return nil
}

// ActivatedItem reads one sold package. It fails if the answer holds another package.
//
// GET /gigastore/activations/activated-items/{uid}, observed; dossier 2.6.
func (c *Client) ActivatedItem(ctx context.Context, uid string) (*ActivatedItemRecord, error) {
	if err := checkSegment("item uid", uid); err != nil {
		return nil, notSent(OpActivatedItem, err)
	}
	var record ActivatedItemRecord
	err := c.readJSON(ctx, OpActivatedItem, uid, url.Values{onlyActiveProfiles: {"false"}}, record.UnmarshalJSON)
	if err != nil {
		return nil, err
	}
	if record.ActivatedItem.UID != uid {
		return nil, &Error{Operation: OpActivatedItem, Status: http.StatusOK, Err: errOtherItem}
	}
	return &record, nil
}

// ActivatedItemsQuery selects sold packages. Zero fields are not sent. What the vendor assumes for them is unknown.
type ActivatedItemsQuery struct {
	// From and To bound a date. Which date they bound, and whether the bounds are inclusive, is unknown. They are sent
	// as RFC 3339 in UTC. That the vendor reads this form is assumed.
	From, To time.Time
	SortBy   string // DATE, NAME, VOLUME, VALIDITY, PRICE, RETAILPRICE or SALESCHANNEL (observed)
	SortDir  string // ASC or DESC (observed)
}

func (q ActivatedItemsQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string, present bool) {
		if present {
			v.Set(name, value)
		}
	}
	set("from", q.From.UTC().Format(time.RFC3339), !q.From.IsZero())
	set("to", q.To.UTC().Format(time.RFC3339), !q.To.IsZero())
	set("sort_by", q.SortBy, q.SortBy != "")
	set("sort_dir", q.SortDir, q.SortDir != "")
	return v
}

// ActivatedItems reads the list of sold packages as a stream, with one element in memory at a time. An element may
// have 1 MiB, and the whole list 256 MiB. The sequence ends with an error if the list is cut off or too long, or if
// an element cannot be read. Only a sequence without an error is complete. [Config.Timeout] bounds the whole
// iteration, including the caller's own work between elements. The vendor has no filter by metatag and no paging.
// Whether it caps the list is unknown.
//
// GET /gigastore/activations/activated-items, observed; dossier 2.5.
func (c *Client) ActivatedItems(ctx context.Context, q ActivatedItemsQuery) iter.Seq2[ActivatedItemRecord, error] {
	return func(yield func(ActivatedItemRecord, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		resp, err := c.openList(ctx, call{operation: OpActivatedItems, query: q.values()})
		if err != nil {
			yield(ActivatedItemRecord{}, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()

		stopped, err := eachElement(resp.Body, func(record ActivatedItemRecord) bool { return yield(record, nil) })
		if err != nil && !stopped {
			yield(ActivatedItemRecord{}, &Error{Operation: OpActivatedItems, Status: resp.StatusCode, Err: err})
		}
	}
}

// openList sends k and returns a 2xx answer with its body unread.
func (c *Client) openList(ctx context.Context, k call) (*http.Response, error) {
	var resp *http.Response
	var renewed bool
	_, err := c.tryRead(ctx, func() answer {
		return c.authorized(ctx, k.operation, &renewed, func(bearer Secret) answer {
			k.bearer = bearer
			began := time.Now()
			opened, sending, err := c.open(ctx, &k)
			a := answer{operation: k.operation, err: err}
			if opened != nil {
				a = answerHead(k.operation, opened)
				if a.status >= 200 && a.status <= 299 {
					resp, a.whole = opened, true // the caller reads the elements
				} else {
					a.body, a.whole, a.err = readBody(opened, maxErrorBody)
					_ = opened.Body.Close()
				}
			}
			a.evidence = sending.evidence(a.status)
			a.took = since(began) // to the head of the list: the caller takes its time with the elements
			return a
		})
	})
	return resp, err
}

// eachElement reads a JSON array from r and passes each element to handle, until handle returns false. It returns an
// error unless the array is complete and only white space follows it.
func eachElement(r io.Reader, handle func(ActivatedItemRecord) bool) (stopped bool, err error) {
	limited := &limitedReader{r: r, total: maxListAnswer, element: maxListElement}
	d := json.NewDecoder(bufio.NewReaderSize(limited, listBuffer))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return false, limited.cause(errMalformed)
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return false, limited.cause(errListIncomplete)
		}
		limited.element = maxListElement
		var record ActivatedItemRecord
		if err := record.UnmarshalJSON(raw); err != nil {
			return false, errMalformed
		}
		if !handle(record) {
			return true, nil
		}
	}
	if _, err := d.Token(); err != nil {
		return false, limited.cause(errListIncomplete)
	}
	if _, err := d.Token(); err != io.EOF {
		return false, limited.cause(errMalformed)
	}
	return false, nil
}

// limitedReader limits how many bytes are read in total, and how many for one element. Its user resets element after each
// element, so that a decoder cannot buffer more than that.
type limitedReader struct {
	r              io.Reader
	total, element int64
	err            error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.total <= 0 || l.element <= 0 {
		l.err = errTooLong
		return 0, errTooLong
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.total, l.element)])
	l.total -= int64(n)
	l.element -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// cause returns the error that ended the reading. If there was none, it returns otherwise.
func (l *limitedReader) cause(otherwise error) error {
	if l.err != nil {
		return l.err
	}
	return otherwise
}
