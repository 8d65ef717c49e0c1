package gigastore

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	statusSuccess = "success" // docs first-package; no other word is known
	maxMessage    = 1 << 10
)

// classification is what an answer says about its call.
type classification struct {
	applied     bool   // the call was carried out; effect is unused then
	sale        *Sale  // set if a paid call was carried out
	effect      Effect // set if the call was not applied
	reason      Reason
	message     string // the vendor's own message
	successSeen bool   // see Error.SuccessSeen
}

// classifier holds what configuration says about the meaning of answers.
type classifier struct {
	rules                []RefusalRule
	throttledHasNoEffect bool
}

// classify decides what effect a call had. It looks at counted bytes and whole answers, never at the text of an
// error. No other code decides this. An answer is whole if its body was read to its proven end; see readBody.
//
//	no effect  zero bytes left; a whole 401; a whole 429 of a paid call, if configured
//	refused    a whole 400, 402, 403, 404 or 422 whose body is a JSON object with a non-empty string message, title,
//	           detail or error
//	applied    paid call: a whole 2xx with a JSON object that has status "success", an item uid, and our mark as the
//	           first word of the metatag. Activate: a whole 2xx that is empty, or a JSON object whose status, if any,
//	           is "success". Read: a whole 2xx
//	unknown    everything else
func (c classifier) classify(a answer) classification {
	var result classification
	success := a.status >= 200 && a.status <= 299
	paid := isPaid(a.operation)
	switch {
	case a.evidence.BytesWritten == 0 && !success: // a 2xx although nothing was sent is a contradiction, so it is unknown
		result.effect = EffectNone
	case !a.whole || a.evidence.BytesWritten == 0:
		// Unknown. A status line alone proves nothing. The rest may be cut off, or belong to another request.
	case a.status == http.StatusUnauthorized,
		a.status == http.StatusTooManyRequests && paid && c.throttledHasNoEffect:
		result.effect = EffectNone
	case slices.Contains(refusalStatuses, a.status):
		if text, ok := refusalText(a); ok {
			result.effect = EffectRefused
			result.reason = refusalReason(c.rules, a.operation, a.status, text)
		}
	case success && paid:
		result.sale = saleOf(a.mark, a.body)
		result.applied = result.sale != nil
	case success && a.operation == OpActivate:
		result.applied = isActivation(a.body)
	case success:
		result.applied = true
	}
	if !result.applied {
		result.message = vendorMessage(a)
		result.successSeen = success && (paid || a.operation == OpActivate) && successSeen(a)
	}
	return result
}

func isPaid(operation string) bool {
	return operation == OpRegister || operation == OpTopUp || operation == OpTopUpWithProfile
}

// saleOf returns the sale that a body proves, or nil. Only the status, the item uid and the mark count. An unreadable
// price or time must not turn a sale into an unknown.
func saleOf(mark string, body []byte) *Sale {
	var sale Sale
	if sale.UnmarshalJSON(body) != nil {
		return nil
	}
	item := sale.ActivatedItem
	if sale.Status != statusSuccess || item.UID == "" || mark == "" || firstWord(item.Metatag) != mark {
		return nil
	}
	sale.text = body
	return &sale
}

// isActivation reports whether a body can be the answer to a successful activate. The shape of that answer is
// documented nowhere (dossier 2.7), so the check asks for little.
func isActivation(body []byte) bool {
	if len(body) == 0 {
		return true
	}
	o, err := readObject(body)
	if err != nil {
		return false
	}
	var status *string
	if must(o, "status", &status) != nil {
		return false
	}
	return status == nil || *status == statusSuccess
}

var (
	successWord = regexp.MustCompile(`(?i)(^|[^a-z])success`)
	itemUID     = regexp.MustCompile(`(?i)"uid"\s*:\s*("[^"]|[0-9])`)
	cutSuccess  = regexp.MustCompile(`(?i)"status"\s*:\s*"su?c?c?e?s?$`)
)

// successSeen reports whether a 2xx contains the word success or an item uid, even in a garbled or cut body. In doubt
// it returns true. A true only keeps a purchase from being presumed absent, while a wrong false could sell it twice.
func successSeen(a answer) bool {
	if a.encoded && len(a.body) > 0 || successWord.Match(a.body) || itemUID.Match(a.body) || !a.whole && cutSuccess.Match(a.body) {
		return true
	}
	// An escape such as \u0073 hides a word from these expressions.
	var status, uid string
	var item object
	if o, err := readObject(a.body); err == nil {
		take(o, "status", &status)
		take(o, "activatedItem", &item)
		take(item, "uid", &uid)
	}
	return strings.EqualFold(status, statusSuccess) || uid != ""
}

// messageMembers are the members that hold the message in the error shapes that clients are prepared for. They are in
// the order in which one client prefers them (dossier 5).
var messageMembers = []string{"message", "detail", "title", "error"}

// refusalText returns the texts that make a body a refusal of the vendor, and false if there are none. A body whose
// content type is HTML never counts, because it comes from a machine in between.
func refusalText(a answer) (string, bool) {
	if a.encoded || isHTML(a.contentType) {
		return "", false
	}
	texts := messageTexts(a.body)
	return strings.Join(texts, "\n"), len(texts) > 0
}

func messageTexts(body []byte) []string {
	o, err := readObject(body)
	if err != nil {
		return nil
	}
	var texts []string
	for _, name := range messageMembers {
		var text string
		if take(o, name, &text); strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// vendorMessage returns the message of an error answer for a person to read: the first message member, or the whole
// body if it is plain text. It returns nothing for JSON that was cut off. Such a body may be a sale, and its secrets
// are escaped, so nothing could redact them.
func vendorMessage(a answer) string {
	if a.encoded {
		return ""
	}
	if texts := messageTexts(a.body); len(texts) > 0 {
		return bounded(texts[0])
	}
	if a.status < 300 || isHTML(a.contentType) || json.Valid(a.body) || looksLikeJSON(a.body) || !utf8.Valid(a.body) {
		return ""
	}
	return bounded(string(a.body))
}

func looksLikeJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

func isHTML(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	return media == "text/html" || media == "application/xhtml+xml"
}

func bounded(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text[:min(len(text), maxMessage)])
	return strings.TrimSpace(strings.ToValidUTF8(text, ""))
}
