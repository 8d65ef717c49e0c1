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

// verdict is what an answer means.
type verdict struct {
	applied     bool   // the call was carried out; effect says nothing then
	sale        *Sale  // of a paid call that was carried out
	effect      Effect // of a call that was not applied
	reason      Reason
	message     string // the vendor's
	successSeen bool   // see Error.SuccessSeen
}

// classifier holds what configuration can say about the meaning of answers.
type classifier struct {
	rules                []RefusalRule
	throttledHasNoEffect bool
}

// classify decides what became of a call, from counted bytes and a whole answer and never from the text of an error. It
// is the only place that decides it:
//
//	no effect  zero bytes left; a whole 401; a whole 429 of a paid call where configured
//	refused    a whole 400, 402, 403, 404 or 422 whose body is a JSON object with a non-empty string message, title,
//	           detail or error
//	applied    paid: a whole 2xx that is a JSON object with status "success", an item uid, and our token as the first
//	           word of the metatag. Activate: a whole 2xx, empty or a JSON object whose status, if any, is "success".
//	           Reads: a whole 2xx
//	unknown    everything else
func (c classifier) classify(a answer) verdict {
	var v verdict
	success := a.status >= 200 && a.status <= 299
	paid := isPaid(a.operation)
	switch {
	case a.evidence.BytesWritten == 0 && !success: // a 2xx to nothing sent contradicts itself: unknown
		v.effect = EffectNone
	case !a.whole || a.evidence.BytesWritten == 0:
		// Unknown. A status line alone proves nothing: what follows it may be cut off or be somebody else's.
	case a.status == http.StatusUnauthorized,
		a.status == http.StatusTooManyRequests && paid && c.throttledHasNoEffect:
		v.effect = EffectNone
	case slices.Contains(refusalStatuses, a.status):
		if text, ok := refusalText(a); ok {
			v.effect = EffectRefused
			v.reason = refusalReason(c.rules, a.operation, a.status, text)
		}
	case success && paid:
		v.sale = saleOf(a.token, a.body)
		v.applied = v.sale != nil
	case success && a.operation == OpActivate:
		v.applied = isActivation(a.body)
	case success:
		v.applied = true
	}
	if !v.applied {
		v.message = vendorMessage(a)
		v.successSeen = success && (paid || a.operation == OpActivate) && successSeen(a)
	}
	return v
}

func isPaid(operation string) bool {
	return operation == OpRegister || operation == OpTopUp || operation == OpTopUpWithProfile
}

// saleOf returns the sale that a body proves, nil where it proves none. Three members prove it and no other, so that an
// unreadable price or time does not turn a sale into an unknown.
func saleOf(token string, body []byte) *Sale {
	var sale Sale
	if !json.Valid(body) || sale.UnmarshalJSON(body) != nil {
		return nil
	}
	item := sale.ActivatedItem
	if sale.Status != statusSuccess || item.UID == "" || token == "" || firstWord(item.Metatag) != token {
		return nil
	}
	sale.text = body
	return &sale
}

// isActivation: the answer of activate is documented nowhere (dossier 2.7), so that little is asked of it.
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

// successSeen reports whether a 2xx bears the success word or an item uid, in whatever state. It errs to yes: a yes keeps
// a purchase from being presumed absent, a wrong no could sell it twice.
func successSeen(a answer) bool {
	if a.encoded && len(a.body) > 0 || successWord.Match(a.body) || itemUID.Match(a.body) || !a.whole && cutSuccess.Match(a.body) {
		return true
	}
	// Escapes such as \u0073 hide a word from the expressions above.
	var status, uid string
	var item object
	if o, err := readObject(a.body); err == nil {
		take(o, "status", &status)
		take(o, "activatedItem", &item)
		take(item, "uid", &uid)
	}
	return strings.EqualFold(status, statusSuccess) || uid != ""
}

// The members of the error shapes that clients are prepared for, in the order in which one of them prefers them
// (dossier 5).
var messageMembers = []string{"message", "detail", "title", "error"}

// refusalText returns the texts by which a body counts as the vendor's refusal, and false where it does not. A body that
// calls itself HTML is some machine's on the way, whatever it holds.
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

// vendorMessage returns what a person would read in an answer that is an error: the first of the message members, or
// plain text as it is. JSON that was cut is none: it may be a sale, and its codes and links come escaped.
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
