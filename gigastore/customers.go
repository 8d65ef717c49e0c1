package gigastore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// Customer is a holder of packages and eSIM profiles (docs customers; dossier 3.5). A customer has one country set,
// which the first package fixes.
type Customer struct {
	UID        string         `json:"uid"`
	Email      string         `json:"email"`      // "" if null; the vendor may send null although it knows the e-mail
	ProfileURL string         `json:"profileUrl"` // treat as secret
	Unknown    UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (c *Customer) UnmarshalJSON(data []byte) error { return unmarshal(data, c) }

func (c *Customer) fill(o object) error {
	*c = Customer{}
	take(o, "uid", (*uid)(&c.UID))
	take(o, "email", &c.Email)
	take(o, "profileUrl", &c.ProfileURL)
	c.Unknown = o.rest()
	return nil
}

// LogValue returns the uid.
func (c Customer) LogValue() slog.Value { return slog.GroupValue(slog.String("uid", c.UID)) }

// Format writes what LogValue shows, for every verb.
func (c Customer) Format(f fmt.State, _ rune) { formatSafe(f, "Customer", c) }

// CustomerRecord is a customer with packages and profiles (docs customers; dossier 3.7). The two lists are
// independent: nothing says which package belongs to which profile.
type CustomerRecord struct {
	Customer Customer `json:"customer"`
	// It is unknown whether TotalAvailableBalance counts pending and expired packages.
	TotalAvailableBalance *Size           `json:"totalAvailableBalance"`
	ActivatedItems        []ActivatedItem `json:"activatedItems"`
	RelatedESIMs          []ESIMProfile   `json:"relatedEsims"`
	Unknown               UnknownMembers  `json:"-"`
}

// UnmarshalJSON fails if customer, activatedItems or relatedEsims is present but unreadable. A record that lacks a
// package must not look complete.
func (r *CustomerRecord) UnmarshalJSON(data []byte) error { return unmarshal(data, r) }

func (r *CustomerRecord) fill(o object) error {
	*r = CustomerRecord{}
	if err := must(o, "customer", &r.Customer); err != nil {
		return err
	}
	if err := must(o, "activatedItems", &r.ActivatedItems); err != nil {
		return err
	}
	if err := must(o, "relatedEsims", &r.RelatedESIMs); err != nil {
		return err
	}
	take(o, "totalAvailableBalance", &r.TotalAvailableBalance)
	r.Unknown = o.rest()
	return nil
}

// LogValue returns the uid and the number of packages and profiles. Without it, slog's JSON handler would marshal
// every field.
func (r CustomerRecord) LogValue() slog.Value {
	return slog.GroupValue(slog.String("customer_uid", r.Customer.UID),
		slog.Int("activated_items", len(r.ActivatedItems)), slog.Int("related_esims", len(r.RelatedESIMs)))
}

// HasESIM reports whether the record shows the eSIM with this ICCID.
func (r CustomerRecord) HasESIM(iccid string) bool {
	return slices.ContainsFunc(r.RelatedESIMs, func(e ESIMProfile) bool { return e.ICCID == iccid })
}

// onlyActiveProfiles is always sent. The server's default is unknown, and a hidden profile looks like a lost one.
const onlyActiveProfiles = "only_active_profiles"

// Customer reads one customer.
//
// GET /gigastore/activations/customers/{uid}, docs customers; dossier 2.11.
func (c *Client) Customer(ctx context.Context, uid string) (*CustomerRecord, error) {
	if err := checkSegment("customer uid", uid); err != nil {
		return nil, notSent(OpCustomer, err)
	}
	var record CustomerRecord
	err := c.readJSON(ctx, OpCustomer, uid, url.Values{onlyActiveProfiles: {"false"}}, record.UnmarshalJSON)
	if err != nil {
		return nil, err
	}
	return &record, nil
}

// defaultPageSize is what one known client asks for. The server's own default and maximum are unknown.
const defaultPageSize = 50

// CustomersQuery selects a page. The last page is short or empty. The vendor sends no total.
type CustomersQuery struct {
	PageSize  int // 0: 50
	PageIndex int // from 0
}

// Customers reads one page of all customers.
//
// GET /gigastore/activations/customers, docs customers; query observed (dossier 2.10).
func (c *Client) Customers(ctx context.Context, q CustomersQuery) ([]CustomerRecord, error) {
	size, err := pageSize(q.PageSize, q.PageIndex)
	if err != nil {
		return nil, notSent(OpCustomers, err)
	}
	var records []CustomerRecord
	err = c.readJSON(ctx, OpCustomers, "", url.Values{
		"page_size":        {strconv.Itoa(size)},
		"page_index":       {strconv.Itoa(q.PageIndex)},
		onlyActiveProfiles: {"false"},
	}, intoList("customers", &records))
	return records, err
}

// SearchKey is the field that SearchCustomers compares (observed). The vendor has no search by metatag.
type SearchKey string

// The search keys of dossier 2.13.
const (
	SearchEmail SearchKey = "EMAIL"
	SearchUID   SearchKey = "UID"
	SearchICCID SearchKey = "ICCID"
)

// SearchMode is how SearchCustomers compares (observed).
type SearchMode string

// The search modes of dossier 2.13.
const (
	SearchExact      SearchMode = "isExact"
	SearchStartsWith SearchMode = "startsWith"
	SearchContains   SearchMode = "contains"
)

// SearchCustomersQuery selects one page of the customers that match. PageSize and PageIndex are those of
// [CustomersQuery].
type SearchCustomersQuery struct {
	Key       SearchKey
	Query     string     // must not be empty
	Mode      SearchMode // "": SearchExact
	PageSize  int
	PageIndex int
}

// LogValue returns everything but the query.
func (q SearchCustomersQuery) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key", string(q.Key)), slog.String("mode", string(q.Mode)),
		slog.Int("page_size", q.PageSize), slog.Int("page_index", q.PageIndex))
}

// Format writes what LogValue shows, for every verb.
func (q SearchCustomersQuery) Format(f fmt.State, _ rune) { formatSafe(f, "SearchCustomersQuery", q) }

// SearchCustomers reads one page of the customers that match q.
//
// POST /gigastore/activations/search-customers, named by docs customers; body observed (dossier 2.13).
func (c *Client) SearchCustomers(ctx context.Context, q SearchCustomersQuery) ([]CustomerRecord, error) {
	size, err := pageSize(q.PageSize, q.PageIndex)
	switch {
	case err != nil:
		return nil, notSent(OpSearchCustomers, err)
	case q.Key != SearchEmail && q.Key != SearchUID && q.Key != SearchICCID:
		return nil, notSent(OpSearchCustomers, &inputError{"search key", "must be EMAIL, UID or ICCID"})
	case q.Query == "":
		return nil, notSent(OpSearchCustomers, &inputError{"search query", "must not be empty"})
	case q.Mode == "":
		q.Mode = SearchExact
	case q.Mode != SearchExact && q.Mode != SearchStartsWith && q.Mode != SearchContains:
		return nil, notSent(OpSearchCustomers, &inputError{"search mode", "must be isExact, startsWith or contains"})
	}
	body, err := json.Marshal(struct {
		PageSize           int        `json:"pageSize"`
		PageIndex          int        `json:"pageIndex"`
		SearchKey          SearchKey  `json:"searchKey"`
		SearchQuery        string     `json:"searchQuery"`
		SearchMode         SearchMode `json:"searchMode"`
		OnlyActiveProfiles bool       `json:"onlyActiveProfiles"`
	}{size, q.PageIndex, q.Key, q.Query, q.Mode, false})
	if err != nil {
		return nil, notSent(OpSearchCustomers, &inputError{"search query", "cannot be written as JSON"})
	}
	answer, err := c.readAuthorized(ctx, call{operation: OpSearchCustomers, body: body})
	if err != nil {
		return nil, err
	}
	var records []CustomerRecord
	err = decoded(OpSearchCustomers, answer, intoList("customers", &records))
	return records, err
}

// CustomerOfESIM finds the customer who has an eSIM. The vendor's pages do not say how it searches. So a customer counts only if
// its record shows the eSIM. An answer that names customers is wrong unless it shows the eSIM at exactly one of them.
func (c *Client) CustomerOfESIM(ctx context.Context, iccid string) (record CustomerRecord, found bool, err error) {
	records, err := c.SearchCustomers(ctx, SearchCustomersQuery{Key: SearchICCID, Query: iccid})
	if err != nil || len(records) == 0 {
		return CustomerRecord{}, false, err
	}
	for _, r := range records {
		switch {
		case !r.HasESIM(iccid), found && r.Customer.UID == record.Customer.UID:
			continue
		case found, r.Customer.UID == "":
			return CustomerRecord{}, false, errWrongSearch
		}
		record, found = r, true
	}
	if !found {
		return CustomerRecord{}, false, errWrongSearch
	}
	return record, true, nil
}

var errWrongSearch = &Error{Operation: OpSearchCustomers, Status: http.StatusOK, Err: errMalformed}

func pageSize(size, index int) (int, error) {
	switch {
	case size < 0:
		return 0, &inputError{"page size", "must not be negative"}
	case index < 0:
		return 0, &inputError{"page index", "must not be negative"}
	case size == 0:
		return defaultPageSize, nil
	}
	return size, nil
}

// intoList returns a decoder of a list. The list is an array, or an object that holds the array under name. Absent or
// null in that object means empty. The vendor's pages show both forms for the same call (dossier 7.2-f).
func intoList[T any](name string, into *[]T) func([]byte) error {
	return func(data []byte) error {
		o, err := readObject(data)
		if err != nil {
			return json.Unmarshal(data, into)
		}
		return must(o, name, into)
	}
}
