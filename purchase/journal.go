package purchase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/gigastore"
)

// Journal is the durable memory of purchases. Its methods are in the order of a purchase's life. Package
// journaltest tests these rules.
//
// Rules for every journal:
//
//   - What a method reports as done is on disk. It survives the process and the machine.
//   - [Decide] decides what happens to a purchase. A journal only compares revisions and writes.
//   - Times are those of the journal's own clock, in UTC, with microseconds. The clock may be set back. The
//     journal refuses nothing because of that.
//   - An error with ErrNotWritten in its chain promises that the call wrote nothing. After any other error of a
//     write, except those that the method names, the change may have been written.
type Journal interface {
	// Lookup returns the purchase with the given key.
	Lookup(ctx context.Context, key Key) (Purchase, error)
	// Claim writes a new purchase in Sending, with its first permit. If the key is taken, Claim changes nothing
	// and returns the purchase that has the key. The returned purchase is the claim's own if it has the claim's
	// id. Then this call wrote it, or an earlier call with the same id did. The state of the purchase says what
	// may still be done.
	//
	// If the key is free and one of [Claim.Targets] is frozen, Claim returns a FrozenError and writes nothing.
	// If the claim has a budget, Claim reserves the amount in the same transaction, see [Claim.Check]. A claim that
	// exceeds its budget changes nothing. Its error has a [BudgetError] in its chain. A key that is taken reserves
	// nothing, and needs no budget.
	//
	// If claims race, one wins. After an error without ErrNotWritten, claiming again with the same purchase id
	// shows whether the claim was written.
	Claim(ctx context.Context, claim Claim) (Purchase, error)
	// ConfirmPermit returns nil if the permit of an attempt stands. That is so if the purchase is in Sending
	// and in this attempt, and if the permit has not expired by the journal's own clock. Otherwise it returns
	// ErrPermitOver. If only one process can open the journal, it returns nil without a read, because nobody
	// else can have taken the purchase over.
	ConfirmPermit(ctx context.Context, id string, attempt int) error
	// Write writes a step, if the purchase still has the revision of Step.Before. It returns the purchase after
	// the step, see [Step.At], and adds [Step.Entry] to its history in the same transaction. If the purchase has
	// another revision, or there is no such purchase, Write returns ErrStale and changes nothing.
	//
	// Write changes the totals of the caller's budget by [Step.Posting] in the same transaction. No limit refuses that.
	//
	// A step that moves the purchase to Succeeded stores the sale. No later step replaces it. Write returns
	// ErrItemTaken and changes nothing if the package of such a step is bound to another purchase. A step with the
	// event Erased deletes the secrets.
	//
	// The engine writes with [Record].
	Write(ctx context.Context, step Step) (Purchase, error)
	// Lapsed returns up to limit purchases in Sending or Accepted whose leases have expired, the earliest first.
	// It skips orders of a later version, and handles them as Watched does.
	Lapsed(ctx context.Context, limit int) ([]Purchase, error)

	// Get returns the purchase with the given id.
	Get(ctx context.Context, id string) (Purchase, error)
	// History returns the whole history of a purchase, oldest entry first. A history is short: the send window
	// limits the attempts and how often a purchase is taken over, an attempt moves a purchase only a few times,
	// and an event that moves nothing is stored once for each attempt.
	History(ctx context.Context, id string) ([]HistoryEntry, error)
	// Secrets returns what List and History never return.
	Secrets(ctx context.Context, id string) (Secrets, error)
	// RewriteSecrets passes up to limit rows of secrets to rewrite, and stores the rows that it returns. The rows are
	// those of one kind with ids above after, the lowest first. It returns the id of the last one, or "" if there was
	// none. Nobody else changes the rows meanwhile. If the transaction is repeated, rewrite is called again.
	RewriteSecrets(ctx context.Context, kind SecretsKind, after string, limit int, rewrite func([]SecretsRow) []SecretsRow) (last string, err error)
	// Scrub makes sure that nothing which was deleted or replaced is left in the files that the journal itself writes.
	Scrub(ctx context.Context) error
	// List returns one page of purchases, those with the highest ids first. List examines at most [MaxExamined]
	// purchases. It returns Page.After for the next page, or "" if there is none. A page can have fewer purchases
	// than asked for, or none, although there is another page. For a filter by caller, but not by customer, it
	// examines only purchases of that caller.
	List(ctx context.Context, filter Filter, page Page) (list []Purchase, next string, err error)
	// OfItem returns the purchase that sold the package with the given uid. Accounts are the names of the vendor
	// account that has the package.
	OfItem(ctx context.Context, uid string, accounts []string) (Purchase, error)
	// Watched returns the purchases to look for in the vendor's records. These are all purchases in Uncertain
	// and NeedsOperator, and those that were called absent less than absentFor ago. It reads in pages, so a
	// purchase that changes state meanwhile may be returned twice. If a later version wrote some of the orders,
	// Watched returns the other purchases and an error with ErrUnreadableOrder in its chain. So a release that
	// was rolled back still settles what it can read.
	Watched(ctx context.Context, absentFor time.Duration) ([]Purchase, error)
	// Witnesses returns up to limit succeeded purchases of one account, kind and effective mode. Their newest
	// permit was given inside the span. Those nearest to the span's inner end come first. Orders of a later
	// version are handled as in Watched.
	Witnesses(ctx context.Context, like Likeness, span Span, limit int) ([]Purchase, error)

	// Freeze makes Claim refuse new purchases of the target, and writes the record in the same transaction. Once it has
	// returned, no claim of the target commits, also not through another replica. If the target is frozen already,
	// Freeze changes nothing and returns the freeze that is there. The returned freeze is the call's own if it has the
	// record's id.
	Freeze(ctx context.Context, target FreezeTarget, record AuditRecord) (Freeze, error)
	// Thaw ends a freeze, and writes the record in the same transaction. It returns ErrNotFrozen, which is also an
	// ErrNotWritten, if the target is not frozen. It returns the record with its time.
	Thaw(ctx context.Context, target FreezeTarget, record AuditRecord) (AuditRecord, error)
	// Freezes returns what is frozen, in the order of scope and name.
	Freezes(ctx context.Context) ([]Freeze, error)
	// Audit writes a record. It returns the record with its time.
	Audit(ctx context.Context, record AuditRecord) (AuditRecord, error)
	// AuditRecords returns up to page.Size records with ids below page.After, those with the highest ids first. It
	// returns Page.After for the next page, or "" if there is none.
	AuditRecords(ctx context.Context, filter AuditFilter, page Page) (list []AuditRecord, next string, err error)
	// BudgetTotals returns the totals of a caller, or of all callers if caller is empty. It returns those of the periods
	// that [CurrentPeriods] names at the time of the journal's clock, without those that are zero. They are ordered by
	// caller, currency and period. There are at most [MaxBudgetTotals].
	BudgetTotals(ctx context.Context, caller string) ([]BudgetTotal, error)

	// MayReport reports whether the replica is the one that reports figures about the whole journal. It is, if it was
	// before, or if the lease of the one before is over. Its own lease begins anew then. Replicas are told apart by the
	// name that each of them chooses. A journal that only one process can open always returns true.
	MayReport(ctx context.Context, replica string, lease time.Duration) (bool, error)
	// Ping reports whether the journal can write.
	Ping(ctx context.Context) error
	// Close ends the use of the journal. What was reported as done stays done.
	Close() error
}

// Errors of a Journal.
var (
	// ErrPermitOver: the permit expired, or somebody else moved the purchase on.
	ErrPermitOver = errors.New("the permit is no longer valid")
	// ErrNotFound: there is no such purchase.
	ErrNotFound = errors.New("no such purchase")
	// ErrNotWritten: it is certain that nothing was written.
	ErrNotWritten = errors.New("not written")
	// ErrQueueFull: the journal takes no more claims at present. It is also an ErrNotWritten.
	ErrQueueFull = errors.New("the journal's queue is full")
	// ErrStale: the purchase has another revision than the step was decided for. Nothing was written.
	ErrStale = errors.New("the purchase has changed since the step was decided")
	// ErrIllegal: the event cannot happen in the purchase's state, or names another attempt.
	ErrIllegal = errors.New("illegal event for this purchase")
	// ErrUnreadableOrder: the order is stored in a form that this version does not know.
	ErrUnreadableOrder = errors.New("the stored order was written by a later version")
	// ErrItemTaken: the package is bound to another purchase of the same account, under this name of the
	// account or another.
	ErrItemTaken = errors.New("the activated item is bound to another purchase")
)

// Readable decodes the rows of a list, as Watched returns it. It returns the rows that can be read. Its error
// names one of the others and their number, but not all of them: there can be many, and every pass logs the
// error.
func Readable[R any](rows []R, decode func(R) (Purchase, error)) ([]Purchase, error) {
	list := make([]Purchase, 0, len(rows))
	var first error
	unreadable := 0
	for _, row := range rows {
		p, err := decode(row)
		if err != nil {
			unreadable++
			first = cmp.Or(first, err)
			continue
		}
		list = append(list, p)
	}
	if unreadable > 1 {
		return list, fmt.Errorf("%d of them, the first: %w", unreadable, first)
	}
	return list, first
}

// Claim is a new purchase.
type Claim struct {
	ID       string
	Key      Key
	Account  string
	Order    Order
	Personal []byte // from Personal.Encode; sealed, if the operator gave a key
	Origin   Origin
	// Budget is the caller's budget, or nil. Amount is what the purchase reserves in it.
	Budget *Budget
	Amount Micros
	// PermitLife is how long after the start of the transaction the first byte may leave.
	PermitLife time.Duration
	// Lease is how long after the start of the transaction the owner counts as alive.
	Lease time.Duration
}

// Transition is one event and its details.
type Transition struct {
	Event Event
	// Attempt is the send that the event is about. Permitted names the attempt that had no effect, and starts
	// the next one. Found, PresumedAbsent, BeyondEvidence and the operator's events name the newest attempt.
	Attempt  int
	Reason   Reason
	Evidence Evidence
	By       Actor
	// SuccessSeen: the vendor reported a success. It is stored for ever.
	SuccessSeen bool
	// Anomaly counts the event as an anomaly even if it moves the purchase. The event is true, and a human must
	// look at it.
	Anomaly bool
	// ItemUID, CustomerUID and Sale are what a positive event found. Sale is JSON and secret. It is the
	// vendor's answer as it came, or what the vendor's records say.
	ItemUID     string
	CustomerUID string
	Sale        []byte
	// Paid is what the sale cost the reseller. It is nil if the vendor did not say.
	Paid *gigastore.Price
	// Aliases are other names of the account that has ItemUID. A purchase does not move to Succeeded if its
	// package is bound under one of them: see ErrItemTaken.
	Aliases []string
	// sold is the decoded Sale, for the calls that wait in this process. It is nil if it is not available.
	sold *gigastore.Sale
	// PermitLife and Lease are those of the new permit. Accepted needs Lease, too.
	PermitLife time.Duration
	Lease      time.Duration
}

// Secrets is what a journal stores apart from the purchase. A journal does not look into the texts.
type Secrets struct {
	Personal []byte // as in the claim
	Sale     []byte // nil until there is a sale
	Purged   bool
}

// SecretsRow is a stored row of secrets.
type SecretsRow struct {
	ID       string // of the purchase
	Personal []byte
	Sale     []byte // nil if there is none
}

// SecretsKind says which rows of secrets [Journal.RewriteSecrets] reads. A row can move from open to settled, and never back.
type SecretsKind bool

// The kinds of rows.
const (
	OpenSecrets    SecretsKind = false // of purchases that are not settled
	SettledSecrets SecretsKind = true
)

// Filter narrows List. A zero field does not.
type Filter struct {
	Caller    string
	RequestID string
	// CustomerUID is the customer that the package was sold to. If the purchase has sold nothing yet, or the vendor's answer
	// names no customer, CustomerUID is the customer that the order names.
	CustomerUID string
	// ItemUID is the package that was sold. Each journal has an index for it, so that List always finds it on the first page.
	ItemUID string
	// The next four have no index. Metatag is the caller's own text. TraceID is that of the origin, see [Origin.Trace].
	Kind            Kind
	InventoryItemID string
	Metatag         string
	TraceID         string
	States          []State
	// WithAnomalies selects the purchases that have anomalies. They are few, and each journal has an index for them.
	WithAnomalies bool
	// From and To bound the time in the purchase's id: at or after From, before To. It is the time at which the
	// gateway made the id, in milliseconds.
	From, To time.Time
}

// IDs returns the bounds of the ids that the filter's times allow: at or above from, and below to. An empty bound
// is open.
func (f Filter) IDs() (from, to string) { return firstID(f.From), firstID(f.To) }

// IsSalesToCustomer reports whether the filter asks for the sales to one customer. Each journal has an index for them, so that
// the guard of a top-up reads one purchase, even if the customer has thousands that are not settled.
func (f Filter) IsSalesToCustomer() bool {
	return f.CustomerUID != "" && len(f.States) == 1 && f.States[0] == Succeeded
}

// MaxExamined is how many purchases List examines for one page. A row that the database has not read before can take 0.1 ms, and
// SQLite writes nothing meanwhile.
const MaxExamined = 400

// Page is a part of a list: at most Size purchases with ids below After. After is empty for the first page. Ids
// sort by the time they were made, so pages have no gaps.
type Page struct {
	Size  int
	After string
}

// Likeness is what makes one purchase a witness for another. The vendor's records would show both or hide both.
type Likeness struct {
	Account string
	Kind    Kind
	Mode    string // the effective mode
}

// Span is a time span. A zero end is open.
type Span struct {
	From, To time.Time
}
