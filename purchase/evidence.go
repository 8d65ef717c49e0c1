package purchase

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"gigagate.internal/gigastore"
)

// maxMessage is the longest text of the vendor that is stored, in bytes.
const maxMessage = 300

// answered returns the transition that the answer to one send makes to p.
func answered(p *Purchase, limits []Price, sale *gigastore.Sale, err error) (Transition, error) {
	transition := Transition{Attempt: p.Attempt, By: ByGateway}
	if err == nil {
		return applied(transition, limits, sale)
	}
	transition.Event = AnsweredUnknown
	vendor, ok := errors.AsType[*gigastore.Error](err)
	if !ok {
		// The client has one error type. Any other error is a fault of the gateway, and bytes may have left
		// before it.
		transition.Evidence.Explanation = fmt.Sprintf("error of type %T", err)
		return transition, nil
	}
	transition.Evidence = Evidence{
		BytesWritten: vendor.BytesWritten, HTTPStatus: vendor.Status, Message: scrub(vendor.Message), Explanation: vendor.Error(),
	}
	transition.SuccessSeen = vendor.SuccessSeen
	switch vendor.Effect {
	case gigastore.EffectNone:
		transition.Event = AnsweredNoEffect
	case gigastore.EffectRefused:
		transition.Event, transition.Reason = AnsweredRefused, Reason(vendor.Reason)
	case gigastore.EffectUnknown:
	}
	return transition, nil
}

// applied completes the transition for a sale.
func applied(transition Transition, limits []Price, sale *gigastore.Sale) (Transition, error) {
	text, err := sale.Kept()
	if err != nil {
		return Transition{}, fmt.Errorf("store the vendor's answer: %w", err)
	}
	transition.Event = AnsweredApplied
	transition.ItemUID, transition.CustomerUID, transition.Sale = sale.ActivatedItem.UID, sale.Customer.UID, text
	transition.sold, transition.Paid = sale, sale.ActivatedItem.PurchasePrice
	transition.SuccessSeen = true
	transition.Evidence = Evidence{
		BytesWritten: sale.Evidence.BytesWritten, HTTPStatus: sale.Evidence.HTTPStatus, ItemUID: sale.ActivatedItem.UID,
	}
	if note := priceAnomaly(limits, sale.ActivatedItem); note != "" {
		transition.Anomaly, transition.Evidence.Explanation = true, note
	}
	return transition, nil
}

// priceAnomaly compares what the reseller paid with the limits on the price and with what was reserved. It returns an
// empty note if the price is within them. The sale stands in either case.
func priceAnomaly(limits []Price, item gigastore.ActivatedItem) string {
	paid := item.PurchasePrice
	for _, limit := range limits {
		switch {
		case paid == nil:
			return "the vendor did not say what the reseller paid"
		case paid.Currency != limit.Currency:
			return "the reseller paid in another currency than the limit on the price, or than the budget"
		case paid.Value.Cmp(limit.Amount) > 0:
			return "the reseller paid more than the limit on the price, or than was reserved in the budget"
		}
	}
	return ""
}

// sensitive matches the parts of a vendor's message that may not be stored. These are e-mail addresses, links,
// installation codes, IP addresses, numbers of ten digits or more, and long tokens. The numbers may be grouped
// (phone, IMSI, ICCID). E-mail addresses and links also match in their URL and JSON escapes. No part needs a
// word boundary, because a text may follow another without a space.
var sensitive = regexp.MustCompile(`(?i)\S*(?:@|%40|\\u0040)\S*|[a-z][a-z0-9+.-]*:\\?/\\?/\S*|[a-z][a-z0-9+.-]*%3a%2f%2f\S*|` +
	`LPA:\S*|\d\$[^\s$]+\$\S+|\d{1,3}(?:\.\d{1,3}){3}|` +
	`[0-9a-f]*:[0-9a-f:]*:[0-9a-f.:]*|\d(?:[ -]?\d){9,}|[A-Z0-9_-]{16,}`)

// scrub returns the part of a vendor's message that may be stored and shown to operators.
func scrub(message string) string {
	text := sensitive.ReplaceAllString(message, "…")
	if len(text) <= maxMessage {
		return text
	}
	cut := maxMessage - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) { // do not cut a character in two
		cut--
	}
	return text[:cut] + "…"
}
