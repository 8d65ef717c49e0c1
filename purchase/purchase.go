package purchase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
)

// Kind says which of the vendor's paid calls a purchase makes.
type Kind string

// The kinds of purchases.
const (
	Register         Kind = "register"
	TopUp            Kind = "top_up"
	TopUpWithProfile Kind = "top_up_with_profile"
)

// Reason says why a purchase failed, or why it needs an operator. If the vendor refused the purchase, it is the
// reason of the vendor client ([gigastore.Reason]).
type Reason string

// The gateway's own reasons. [ReasonMeanings] explains each of them.
const (
	NeverSent            Reason = "NEVER_SENT"
	ReasonPresumedAbsent Reason = "PRESUMED_ABSENT"
	ReasonOperator       Reason = "RESOLVED_BY_OPERATOR"
	SeveralFound         Reason = "SEVERAL_FOUND"
	OtherFound           Reason = "OTHER_PACKAGE_FOUND"
	ItemTaken            Reason = "ITEM_BOUND_TO_OTHER_PURCHASE"
	SuccessSeen          Reason = "SUCCESS_SEEN_BUT_NOT_FOUND"
	NoWitness            Reason = "NO_OLDER_WITNESS"
	Unexplained          Reason = "UNEXPLAINED_PACKAGE_FOUND"
	Unreadable           Reason = "RECORDS_UNREADABLE"
	OtherAccount         Reason = "OTHER_ACCOUNT"
)

// ReasonMeaning explains one of the gateway's own reasons, for the documentation. Of is the state that has the
// reason.
type ReasonMeaning struct {
	Reason  Reason
	Of      State
	Meaning string
}

// ReasonMeanings explains all of the gateway's own reasons.
func ReasonMeanings() []ReasonMeaning {
	return []ReasonMeaning{
		{NeverSent, Failed, "No send had an effect. The send window is over, or another send would have changed nothing."},
		{ReasonPresumedAbsent, Failed, "The vendor's records do not show the package. Several reads were shown to be complete around the attempt."},
		{ReasonOperator, Failed, "An operator said that nothing was sold."},
		{SeveralFound, NeedsOperator, "The vendor's records show more than one package with the mark."},
		{OtherFound, NeedsOperator, "The package found is not the one ordered."},
		{ItemTaken, NeedsOperator, "The package is already bound to another purchase."},
		{SuccessSeen, NeedsOperator, "The vendor once answered success, but its records do not show the package."},
		{NoWitness, NeedsOperator, "The records show no older purchase of ours, so a missing package proves nothing."},
		{Unexplained, NeedsOperator, "The records show a package of that time without a mark. It may be this purchase's."},
		{Unreadable, NeedsOperator, "The records could not be read for too long."},
		{OtherAccount, NeedsOperator, "The purchase was made with another client id. The records that the present client id can read do not show it."},
	}
}

// Reasons returns the gateway's own reasons: those of failed purchases, those of purchases that need an
// operator, and those of the guards.
func Reasons() (failed, operator, guards []Reason) {
	for _, known := range ReasonMeanings() {
		if known.Of == Failed {
			failed = append(failed, known.Reason)
		} else {
			operator = append(operator, known.Reason)
		}
	}
	return failed, operator, []Reason{AbovePriceLimit, PriceUnreadable}
}

// unread reports whether the reason is that the vendor's records could not be read. The purchase can still be
// settled once they can be read.
func (r Reason) unread() bool { return r == Unreadable || r == OtherAccount }

// Key identifies a purchase: the caller's stable name, and the request id that the caller chose. Both are
// compared byte for byte.
type Key struct {
	Caller    string
	RequestID string
}

// Price is an amount in a currency, compared by value.
type Price struct {
	Amount   gigastore.Decimal `json:"amount"`
	Currency string            `json:"currency_code"`
}

// forVendor converts a price; nil stays nil.
func (p *Price) forVendor() *gigastore.Price {
	if p == nil {
		return nil
	}
	return &gigastore.Price{Value: p.Amount, Currency: p.Currency}
}

// Order is what the caller asked for, without the end user's personal data. Its JSON names are the contract's
// field names. A journal stores it for as long as the key.
type Order struct {
	Kind                    Kind                     `json:"kind"`
	InventoryItemID         string                   `json:"inventory_item_id"`
	Metatag                 string                   `json:"metatag"` // the caller's own text, without the mark
	CustomerUID             string                   `json:"customer_uid,omitempty"`
	UserCountry             string                   `json:"user_country,omitempty"`
	ExpectedPrice           *Price                   `json:"expected_price,omitempty"`
	MaxPurchasePrice        *Price                   `json:"max_purchase_price,omitempty"`
	ActivationMode          gigastore.ActivationMode `json:"activation_mode,omitempty"` // empty means the vendor's default
	Dedicated               *bool                    `json:"dedicated,omitempty"`
	CustomerProfileDomainID string                   `json:"customer_profile_domain_id,omitempty"`
}

// EffectiveMode is ActivationMode, or the mode that the vendor uses if the order names none.
func (o Order) EffectiveMode() gigastore.ActivationMode {
	if o.ActivationMode == "" {
		return gigastore.ModeNow
	}
	return o.ActivationMode
}

// Personal is the end user's data in an order. A send needs it. It can be purged afterwards.
type Personal struct {
	CustomerEmail string `json:"customer_email,omitempty"`
	UserIP        string `json:"user_ip,omitempty"`
}

// Encode returns the JSON text of the data, as journals store it.
func (p Personal) Encode() []byte {
	text, _ := json.Marshal(p) // text fields can always be encoded
	return text
}

// EncodeOrder returns the JSON text of an order, as journals store it.
func EncodeOrder(order Order) ([]byte, error) { return json.Marshal(order) }

// DecodeOrder reads a stored order, or fails with ErrUnreadableOrder. It refuses fields and kinds that this
// version does not know. Without them, the order would be a different one.
func DecodeOrder(text []byte) (Order, error) {
	var order Order
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrUnreadableOrder, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Order{}, fmt.Errorf("%w: more text follows it", ErrUnreadableOrder)
	}
	switch order.Kind {
	case Register, TopUp, TopUpWithProfile:
		return order, nil
	}
	return Order{}, fmt.Errorf("%w: its kind is unknown", ErrUnreadableOrder)
}

// Differences returns the fields in which two orders differ, under the contract's names. It does not compare
// the user's IP address, because phones roam. It does not compare an e-mail address that was purged.
func Differences(recorded, asked Order, recordedPersonal, askedPersonal Personal, purged bool) []string {
	var fields []string
	differ := func(field string, different bool) {
		if different {
			fields = append(fields, field)
		}
	}
	differ("inventory_item_id", recorded.InventoryItemID != asked.InventoryItemID)
	differ("metatag", recorded.Metatag != asked.Metatag)
	differ("customer_uid", recorded.CustomerUID != asked.CustomerUID)
	differ("customer_email", !purged && recordedPersonal.CustomerEmail != askedPersonal.CustomerEmail)
	differ("expected_price", !samePrice(recorded.ExpectedPrice, asked.ExpectedPrice))
	differ("max_purchase_price", !samePrice(recorded.MaxPurchasePrice, asked.MaxPurchasePrice))
	differ("activation_mode", recorded.ActivationMode != asked.ActivationMode)
	if recorded.Kind != asked.Kind {
		return append(fields, kindDifference(recorded.Kind, asked.Kind))
	}
	inProfile := ""
	if recorded.Kind == TopUpWithProfile {
		inProfile = "new_profile."
	}
	differ(inProfile+"user_country", recorded.UserCountry != asked.UserCountry)
	differ(inProfile+"dedicated", !sameBool(recorded.Dedicated, asked.Dedicated))
	differ(inProfile+"customer_profile_domain_id", recorded.CustomerProfileDomainID != asked.CustomerProfileDomainID)
	return fields
}

// kindDifference returns the field that tells two kinds apart. Two methods of the contract may differ in no
// field, so "method" stands for the method itself.
func kindDifference(recorded, asked Kind) string {
	if recorded == Register || asked == Register {
		return "method"
	}
	return "new_profile"
}

func samePrice(a, b *Price) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Currency == b.Currency && a.Amount.Equal(b.Amount)
}

func sameBool(a, b *bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Purchase is one intended sale.
type Purchase struct {
	ID      string // a ULID; the mark is "gg" and this id
	Key     Key
	Account string // the vendor account, named by the client id that every send uses: see gigastore.Client.Account
	Order   Order
	Origin  Origin

	State  State
	Reason Reason // set in Failed and NeedsOperator only
	// Attempt is the number of permits given so far. It is 1 after the claim.
	Attempt int
	// Revision is the number of entries in the history. It is 1 after the claim. See [Journal.Write].
	Revision int
	// ClaimedAt is when the claim's transaction began.
	ClaimedAt time.Time
	// PermittedAt is when the newest permit's transaction began. SendNotAfter is the last moment at which the
	// first byte of that send may leave.
	PermittedAt  time.Time
	SendNotAfter time.Time
	// LeaseUntil is when the lease of the owner expires. Another process may then take the purchase over. It is
	// zero unless the purchase is in Sending or Accepted.
	LeaseUntil time.Time
	// SuccessSeen is true once an answer was a 2xx with the success word or an item uid, even if it settled
	// nothing. Such a purchase is never presumed absent.
	SuccessSeen bool
	// Anomalies is the number of anomalies in the history.
	Anomalies int

	// Reservation is what the claim reserved in its caller's budget. It never changes. It is nil without a budget.
	Reservation *Reservation
	// Charge is what the sale took from the budget. It is nil until a sale is seen. It never changes then.
	Charge *Micros

	// ItemUID and CustomerUID name what was sold. They are set only in Succeeded.
	ItemUID     string
	CustomerUID string
	UpdatedAt   time.Time
	SettledAt   time.Time // zero until settled
}

// MarkPrefix and the id of a purchase make its mark.
const MarkPrefix = "gg"

// Mark is the first word of the metatag that is sent to the vendor. The mark identifies our sales in
// the vendor's records.
func (p *Purchase) Mark() string { return MarkPrefix + p.ID }

// metatag is the metatag that is sent to the vendor.
func (p *Purchase) metatag() string { return p.Mark() + " " + p.Order.Metatag }

// SplitMetatag separates the mark, which is the first word of a metatag, from the caller's own text. It returns
// the id of the purchase that the mark names. Without a mark, the id is empty and the text is the whole
// metatag.
func SplitMetatag(metatag string) (id, text string) {
	word, text, _ := strings.Cut(metatag, " ")
	id, ok := strings.CutPrefix(word, MarkPrefix)
	if !ok || len(id) != ulid.EncodedSize || id[0] > '7' || strings.Trim(id, ulid.Encoding) != "" {
		return "", metatag
	}
	return id, text
}
