package purchase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/gigastore"
)

// Journal is the durable memory of purchases. Its methods stand in the order of a purchase's life.
//
// What a method reports as done is on disk, and survives the process and the machine. Every method
// that changes a purchase follows [Next] and keeps an [Entry] of it in the same transaction. Times
// are those of the journal's own clock, kept to the microsecond, in UTC.
type Journal interface {
	// Lookup finds a purchase by its key.
	Lookup(ctx context.Context, key Key) (Purchase, error)
	// Claim writes a new purchase in Sending, with its first permit; or finds that the key is taken,
	// changes nothing, and returns the purchase that has it. It reports whether that is the claim's own,
	// written now or by the same claim before. Of racing claims one wins. An error whose chain has
	// ErrNotWritten is the promise that nothing was written; after any other error the claim may be
	// there, and claiming again with the same purchase id tells.
	Claim(ctx context.Context, claim Claim) (Purchase, bool, error)
	// ConfirmPermit returns nil if the permit of an attempt stands: the purchase is in Sending, in this
	// attempt, and the permit has not run out by the journal's own clock. Otherwise it returns
	// ErrPermitOver. A journal that only one process can have open returns nil without a read, because
	// nobody else can have given the purchase up.
	ConfirmPermit(ctx context.Context, id string, attempt int) error
	// Record applies one event as [Purchase.After] decides. It returns the purchase as it is now, and
	// what the event meant; ErrIllegal where it meant nothing. Recording the same answer of the same
	// attempt again changes nothing and adds nothing to the history.
	Record(ctx context.Context, id string, change Change) (Purchase, Verdict, error)
	// TakeLapsed takes up to limit purchases whose lease is over, the longest over first. By the event Lost it makes a
	// Sending Uncertain. It takes over an Accepted by renewing its lease. It returns them, as lists are returned: see
	// Watched.
	TakeLapsed(ctx context.Context, lease time.Duration, limit int) ([]Purchase, error)

	// Get finds a purchase by its id.
	Get(ctx context.Context, id string) (Purchase, error)
	// History lists what happened to a purchase, oldest first. It is read whole: the send window bounds the attempts, an
	// attempt moves a purchase a few times, and what does not move it is kept once for each attempt.
	History(ctx context.Context, id string) ([]Entry, error)
	// Secrets reads what List and History never carry.
	Secrets(ctx context.Context, id string) (Secrets, error)
	// List pages through purchases, newest claim first.
	List(ctx context.Context, filter Filter, page Page) ([]Purchase, error)
	// Watched lists the purchases that a read of the vendor's records is compared with. Those are all in
	// Uncertain and NeedsOperator, and those that were called absent less than absentFor ago. It reads in
	// pages. A purchase that changes state meanwhile may be listed twice. If a later version wrote some of
	// the orders, the others are returned beside an error whose chain has ErrUnreadableOrder: a release
	// that was rolled back still settles what it can read.
	Watched(ctx context.Context, absentFor time.Duration) ([]Purchase, error)
	// Witnesses lists up to limit succeeded purchases of one account, kind and effective mode whose
	// newest permit was given inside the span, the nearest to its inner end first; like Watched.
	Witnesses(ctx context.Context, like Likeness, span Span, limit int) ([]Purchase, error)

	// Ping reports whether the journal can write.
	Ping(ctx context.Context) error
	// Close ends its use. What was reported as done stays done.
	Close() error
}

// Errors of a Journal.
var (
	// ErrPermitOver: the permit ran out, or the purchase has moved on without its owner.
	ErrPermitOver = errors.New("the permit does not stand any more")
	// ErrNotFound: there is no such purchase.
	ErrNotFound = errors.New("no such purchase")
	// ErrNotWritten: nothing was written, for certain.
	ErrNotWritten = errors.New("not written")
	// ErrQueueFull: the journal takes no more claims at present. It is an ErrNotWritten.
	ErrQueueFull = errors.New("the journal's queue is full")
	// ErrIllegal: the event cannot happen in the purchase's state, or speaks of another attempt.
	ErrIllegal = errors.New("illegal event for this purchase")
	// ErrUnreadableOrder: an order is kept in a form that this version does not know.
	ErrUnreadableOrder = errors.New("the order that is kept was written by a later version")
	// ErrItemTaken: the package is bound to another purchase of the account, or of an alias.
	ErrItemTaken = errors.New("the activated item is bound to another purchase")
)

// Readable decodes the rows of a list as Watched returns it: what can be read, beside an error that
// tells of one of the others and of their number. It is logged at each pass, and they can be many.
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
	Personal Personal
	// PermitLife is how long after the transaction began the first byte may leave.
	PermitLife time.Duration
	// Lease is how long after it the owner counts as alive.
	Lease time.Duration
}

// Change is one event and what comes with it.
type Change struct {
	Event Event
	// Attempt is the send it speaks of. Permitted names the attempt that had no effect, and makes
	// the next. Found, PresumedAbsent, BeyondEvidence and the operator's events name the newest.
	Attempt  int
	Reason   Reason
	Evidence Evidence
	By       Actor
	// SuccessSeen is kept for ever once true.
	SuccessSeen bool
	// Anomaly counts the event as one, also where it moves the purchase: it is true, and a human
	// has to be told.
	Anomaly bool
	// ItemUID, CustomerUID and Sale are what a positive event found. Sale is JSON, a secret: the vendor's
	// answer as it came, or what the vendor's records tell of it.
	ItemUID     string
	CustomerUID string
	Sale        []byte
	// Aliases are further names of the account in which ItemUID is. A purchase does not move to Succeeded
	// with a package that is bound under one of them: see ErrItemTaken.
	Aliases []string
	// sold is what Sale is the text of, for those who wait in this process; nil where it is not at hand.
	sold *gigastore.Sale
	// PermitLife and Lease are those of the new permit, or of Accepted.
	PermitLife time.Duration
	Lease      time.Duration
}

// Secrets is what a journal keeps apart of a purchase.
type Secrets struct {
	Personal Personal
	Sale     []byte // nil until there is one
	Purged   bool
}

// Filter narrows List; zero fields do not.
type Filter struct {
	Caller      string
	RequestID   string
	CustomerUID string
	States      []State
	From, To    time.Time // claimed at or after, claimed before
}

// Page is a part of a list: at most Size purchases claimed before the one named After, which is
// empty for the first page. Ids sort by the time they were made, so pages have no gaps.
type Page struct {
	Size  int
	After string
}

// Likeness is what makes a purchase a witness for another: they would show, and hide, in the
// vendor's records alike.
type Likeness struct {
	Account string
	Kind    Kind
	Mode    string // effective
}

// Span is a time span. Zero ends are open.
type Span struct {
	From, To time.Time
}
