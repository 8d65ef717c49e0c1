package purchase

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"gigagate.internal/gigastore"
)

const maxMessage = 300

// answered is the change that one send's answer makes to p.
func answered(p Purchase, limits []Price, sale *gigastore.Sale, err error) (Change, error) {
	change := Change{Attempt: p.Attempt, By: ByGateway}
	if err == nil {
		return applied(change, limits, sale)
	}
	change.Event = AnsweredUnknown
	vendor, ok := errors.AsType[*gigastore.Error](err)
	if !ok {
		// The client has one error type; anything else is a fault of ours, after which bytes may
		// have left.
		change.Evidence.Note = fmt.Sprintf("error of type %T", err)
		return change, nil
	}
	change.Evidence = Evidence{
		BytesWritten: vendor.BytesWritten, HTTPStatus: vendor.Status, Message: scrub(vendor.Message), Note: vendor.Error(),
	}
	change.SuccessSeen = vendor.SuccessSeen
	switch vendor.Effect {
	case gigastore.EffectNone:
		change.Event = AnsweredNoEffect
	case gigastore.EffectRefused:
		change.Event, change.Reason = AnsweredRefused, Reason(vendor.Reason)
	case gigastore.EffectUnknown:
	}
	return change, nil
}

func applied(change Change, limits []Price, sale *gigastore.Sale) (Change, error) {
	text, err := sale.Kept()
	if err != nil {
		return Change{}, fmt.Errorf("keep the vendor's answer: %w", err)
	}
	change.Event = AnsweredApplied
	change.ItemUID, change.CustomerUID, change.Sale = sale.ActivatedItem.UID, sale.Customer.UID, text
	change.sold = sale
	change.SuccessSeen = true
	change.Evidence = Evidence{
		BytesWritten: sale.Evidence.BytesWritten, HTTPStatus: sale.Evidence.HTTPStatus, ItemUID: sale.ActivatedItem.UID,
	}
	if note := priceAnomaly(limits, sale.ActivatedItem); note != "" {
		change.Anomaly, change.Evidence.Note = true, note
	}
	return change, nil
}

// priceAnomaly compares what the reseller paid with what the caller and the operator would have it pay
// at most. The sale stands either way.
func priceAnomaly(limits []Price, item gigastore.ActivatedItem) string {
	paid := item.PurchasePrice
	for _, limit := range limits {
		switch {
		case paid == nil:
			return "the vendor did not say what the reseller paid"
		case paid.Currency != limit.Currency:
			return "the reseller paid in another currency than max_purchase_price"
		case paid.Value.Cmp(limit.Amount) > 0:
			return "the reseller paid more than max_purchase_price"
		}
	}
	return ""
}

// sensitive matches what may not be kept of a vendor's message: anything shaped like an e-mail, a
// link, an installation code, an address, a number of ten digits or more, in groups or not (phone,
// IMSI, ICCID), or a long token; e-mails and links also as URLs and JSON escape them. None of it asks
// for a word boundary: texts run into each other.
var sensitive = regexp.MustCompile(`(?i)\S*(?:@|%40|\\u0040)\S*|[a-z][a-z0-9+.-]*:\\?/\\?/\S*|[a-z][a-z0-9+.-]*%3a%2f%2f\S*|` +
	`LPA:\S*|\d\$[^\s$]+\$\S+|\d{1,3}(?:\.\d{1,3}){3}|` +
	`[0-9a-f]*:[0-9a-f:]*:[0-9a-f.:]*|\d(?:[ -]?\d){9,}|[A-Z0-9_-]{16,}`)

// scrub is the part of a vendor's message that may be kept and shown to operators.
func scrub(message string) string {
	text := sensitive.ReplaceAllString(message, "…")
	if len(text) <= maxMessage {
		return text
	}
	cut := maxMessage - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) { // no character is cut in two
		cut--
	}
	return text[:cut] + "…"
}
