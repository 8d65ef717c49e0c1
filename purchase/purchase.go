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

// Kind is which of the vendor's paid calls a purchase makes.
type Kind string

// The kinds of purchases.
const (
	Register         Kind = "register"
	TopUp            Kind = "top_up"
	TopUpWithProfile Kind = "top_up_with_profile"
)

// Reason says why a purchase failed, or why it needs an operator. A refusal of the vendor has the
// vendor client's reason ([gigastore.Reason]).
type Reason string

// The reasons of our own. [ReasonMeanings] says what each is.
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

// ReasonMeaning is a reason of our own, the state that it is a reason for, and what it means, for documentation.
type ReasonMeaning struct {
	Reason  Reason
	Of      State
	Meaning string
}

// ReasonMeanings has every reason of our own.
func ReasonMeanings() []ReasonMeaning {
	return []ReasonMeaning{
		{NeverSent, Failed, "no send could have had an effect, and the send window passed, or another send would have changed nothing."},
		{ReasonPresumedAbsent, Failed, "the vendor's records lack it, in reads shown to be complete around it."},
		{ReasonOperator, Failed, "an operator said that nothing was sold."},
		{SeveralFound, NeedsOperator, "the vendor's records show more than one package under the token."},
		{OtherFound, NeedsOperator, "the package found is not the one ordered."},
		{ItemTaken, NeedsOperator, "the package is bound to another purchase already."},
		{SuccessSeen, NeedsOperator, "the vendor once answered success, and its records do not show the package."},
		{NoWitness, NeedsOperator, "the records show no older purchase of ours, so an absence in them proves nothing."},
		{Unexplained, NeedsOperator, "the records show a package of that time that bears no token, and may be it."},
		{Unreadable, NeedsOperator, "the records could not be read for too long."},
		{OtherAccount, NeedsOperator, "it was bought with another client id, and the records shown to the present one lack it."},
	}
}

// Reasons returns the reasons of our own: those that a purchase fails for, those that it needs an operator
// for, and those of guards.
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

// unread reports whether the reason is that the vendor's records could not be had. Once they can be,
// they may still settle the purchase.
func (r Reason) unread() bool { return r == Unreadable || r == OtherAccount }

// Key identifies a purchase by who asked for it: the caller's stable name and the caller's own id.
// Both are compared byte for byte.
type Key struct {
	Caller    string
	RequestID string
}

// Price is an amount in a currency, compared by value.
type Price struct {
	Amount   gigastore.Decimal `json:"amount"`
	Currency string            `json:"currency_code"`
}

// Order is what the caller asked for, without the end user's personal data, under the contract's
// own field names. It is kept for as long as the key.
type Order struct {
	Kind                    Kind                     `json:"kind"`
	InventoryItemID         string                   `json:"inventory_item_id"`
	Metatag                 string                   `json:"metatag"` // the caller's own text, without the token
	CustomerUID             string                   `json:"customer_uid,omitempty"`
	UserCountry             string                   `json:"user_country,omitempty"`
	ExpectedPrice           *Price                   `json:"expected_price,omitempty"`
	MaxPurchasePrice        *Price                   `json:"max_purchase_price,omitempty"`
	ActivationMode          gigastore.ActivationMode `json:"activation_mode,omitempty"` // empty: the vendor's default
	Dedicated               *bool                    `json:"dedicated,omitempty"`
	CustomerProfileDomainID string                   `json:"customer_profile_domain_id,omitempty"`
}

// EffectiveMode is the mode the vendor sells in when ActivationMode is left out.
func (o Order) EffectiveMode() gigastore.ActivationMode {
	if o.ActivationMode == "" {
		return gigastore.ModeNow
	}
	return o.ActivationMode
}

// Personal is the end user's data of an order. It is needed to send, and can be purged afterwards.
type Personal struct {
	CustomerEmail string `json:"customer_email,omitempty"`
	UserIP        string `json:"user_ip,omitempty"`
}

// EncodeOrder is the form an order is kept in.
func EncodeOrder(order Order) ([]byte, error) { return json.Marshal(order) }

// DecodeOrder reads a kept order, or fails with ErrUnreadableOrder. It refuses fields and kinds that
// this version does not know: comparing or sending without them would be another order.
func DecodeOrder(text []byte) (Order, error) {
	var order Order
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrUnreadableOrder, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Order{}, fmt.Errorf("%w: there is text behind it", ErrUnreadableOrder)
	}
	switch order.Kind {
	case Register, TopUp, TopUpWithProfile:
		return order, nil
	}
	return Order{}, fmt.Errorf("%w: its kind is not known", ErrUnreadableOrder)
}

// Differences names the fields, in the contract's spelling, in which two orders are not the same.
// The user's IP is not compared, since phones roam, and neither is an e-mail that was purged.
func Differences(kept, asked Order, keptPersonal, askedPersonal Personal, purged bool) []string {
	var fields []string
	differ := func(field string, different bool) {
		if different {
			fields = append(fields, field)
		}
	}
	differ("inventory_item_id", kept.InventoryItemID != asked.InventoryItemID)
	differ("metatag", kept.Metatag != asked.Metatag)
	differ("customer_uid", kept.CustomerUID != asked.CustomerUID)
	differ("customer_email", !purged && keptPersonal.CustomerEmail != askedPersonal.CustomerEmail)
	differ("expected_price", !samePrice(kept.ExpectedPrice, asked.ExpectedPrice))
	differ("max_purchase_price", !samePrice(kept.MaxPurchasePrice, asked.MaxPurchasePrice))
	differ("activation_mode", kept.ActivationMode != asked.ActivationMode)
	if kept.Kind != asked.Kind {
		return append(fields, kindDifference(kept.Kind, asked.Kind))
	}
	inProfile := ""
	if kept.Kind == TopUpWithProfile {
		inProfile = "new_profile."
	}
	differ(inProfile+"user_country", kept.UserCountry != asked.UserCountry)
	differ(inProfile+"dedicated", !sameBool(kept.Dedicated, asked.Dedicated))
	differ(inProfile+"customer_profile_domain_id", kept.CustomerProfileDomainID != asked.CustomerProfileDomainID)
	return fields
}

// kindDifference names the field that makes two orders different in kind; two methods of the
// contract differ in no field of either, so the method is named.
func kindDifference(kept, asked Kind) string {
	if kept == Register || asked == Register {
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
	ID      string // ULID; behind "gg" it is the token
	Key     Key
	Account string // the vendor account, by the client id of every send of it: see gigastore.Client.Account
	Order   Order

	State  State
	Reason Reason // of Failed and NeedsOperator, empty otherwise
	// Attempt is the number of permits given so far: 1 after the claim.
	Attempt int
	// ClaimedAt is when the claim's transaction began.
	ClaimedAt time.Time
	// PermittedAt is when the newest permit's transaction began, and SendNotAfter the last moment
	// at which its first byte may leave.
	PermittedAt  time.Time
	SendNotAfter time.Time
	// LeaseUntil is when the owner of Sending or Accepted counts as gone.
	LeaseUntil time.Time
	// SuccessSeen: a 2xx that bore the success word or an item uid was seen, though it did not
	// settle anything. Such a purchase is never presumed absent.
	SuccessSeen bool
	// Anomalies is how many contradictions its history holds.
	Anomalies int

	// ItemUID and CustomerUID name what was sold; set exactly in Succeeded.
	ItemUID     string
	CustomerUID string
	UpdatedAt   time.Time
	SettledAt   time.Time // zero until settled
}

// TokenPrefix and the purchase's id make its token.
const TokenPrefix = "gg"

// Token is the first word of the metatag sent upstream: how our sales are recognised.
func (p Purchase) Token() string { return TokenPrefix + p.ID }

// SplitMetatag separates the purchase that the first word of a metatag is the token of from the caller's
// own text. A metatag without a token is all text, and its id is empty.
func SplitMetatag(metatag string) (id, text string) {
	word, text, _ := strings.Cut(metatag, " ")
	id, ok := strings.CutPrefix(word, TokenPrefix)
	if !ok || len(id) != ulid.EncodedSize || id[0] > '7' || strings.Trim(id, ulid.Encoding) != "" {
		return "", metatag
	}
	return id, text
}
