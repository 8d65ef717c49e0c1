package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
)

// The sentences of the sandbox's refusals. They are ours, because no text of
// the vendor's is known (dossier 5). A client can test its table of assumed
// texts against them.
const (
	SentencePriceMismatch         = "The expected price does not match the retail price of the inventory item."
	SentenceCountrySetMismatch    = "The inventory item does not match the country set of the customer."
	SentenceInsufficientCredits   = "Insufficient credits."
	SentenceModeNotAvailable      = "The activation mode ON_DEMAND is not available for this inventory item."
	SentenceInventoryItemNotFound = "The inventory item was not found."
	SentenceCustomerNotFound      = "The customer was not found."
	SentenceActivatedItemNotFound = "The activated item was not found."
	SentenceAlreadyActive         = "The package is already active."
	SentenceRefunded              = "The package was refunded."
	SentenceRefundNotPossible     = "The package cannot be refunded."
	SentenceCustomerExists        = "A customer with this email exists."
	SentenceKeyUsed               = "The idempotency key was already used."
	SentenceKeyOtherBody          = "The idempotency key was used with another body."
	SentenceKeyRunning            = "A request with this idempotency key is in progress."
	SentenceUnauthorized          = "The access token is missing, wrong or expired."
	SentenceWrongCredentials      = "The client id or the client secret is wrong."
	SentenceMalformedBody         = "The request body is not a JSON object."
	SentenceBodyTooLarge          = "The request body is too large."
	SentenceNotJSON               = "The request body must be application/json."
	SentenceNotFound              = "There is nothing at this path."
	SentenceMethodNotAllowed      = "The method is not allowed at this path."
	SentenceProfileNotFound       = "The eSIM was not found."
	SentenceProfileDomainNotFound = "The customer profile domain was not found."
	SentenceCountrySetNotFound    = "The country set was not found."
)

// Statuses is the HTTP status of each kind of refusal, 400 to 599. All of them
// are assumed.
type Statuses struct {
	Malformed             int `json:"malformed"` // a missing or malformed field, or a body that is not JSON
	Unauthorized          int `json:"unauthorized"`
	PriceMismatch         int `json:"priceMismatch"`
	CountrySetMismatch    int `json:"countrySetMismatch"`
	InsufficientCredits   int `json:"insufficientCredits"`
	ModeNotAvailable      int `json:"modeNotAvailable"`
	InventoryItemNotFound int `json:"inventoryItemNotFound"`
	CustomerNotFound      int `json:"customerNotFound"`
	ActivatedItemNotFound int `json:"activatedItemNotFound"`
	AlreadyActive         int `json:"alreadyActive"`
	RefundNotPossible     int `json:"refundNotPossible"`
	KeyConflict           int `json:"keyConflict"`
	NotFound              int `json:"notFound"` // a path, eSIM, domain or country set that does not exist
}

func defaultStatuses() Statuses {
	return Statuses{
		Malformed:             http.StatusBadRequest,
		Unauthorized:          http.StatusUnauthorized,
		PriceMismatch:         http.StatusBadRequest,
		CountrySetMismatch:    http.StatusBadRequest,
		InsufficientCredits:   http.StatusPaymentRequired,
		ModeNotAvailable:      http.StatusBadRequest,
		InventoryItemNotFound: http.StatusNotFound,
		CustomerNotFound:      http.StatusNotFound,
		ActivatedItemNotFound: http.StatusNotFound,
		AlreadyActive:         http.StatusBadRequest,
		RefundNotPossible:     http.StatusBadRequest,
		KeyConflict:           http.StatusConflict,
		NotFound:              http.StatusNotFound,
	}
}

// reasons are the business reasons for which the vendor can refuse a call. The
// names are the values of the parameter reason of the fault "refuse".
var reasons = map[string]struct {
	sentence string
	status   func(*Statuses) int
}{
	"malformed":             {SentenceMalformedBody, func(s *Statuses) int { return s.Malformed }},
	"priceMismatch":         {SentencePriceMismatch, func(s *Statuses) int { return s.PriceMismatch }},
	"countrySetMismatch":    {SentenceCountrySetMismatch, func(s *Statuses) int { return s.CountrySetMismatch }},
	"insufficientCredits":   {SentenceInsufficientCredits, func(s *Statuses) int { return s.InsufficientCredits }},
	"modeNotAvailable":      {SentenceModeNotAvailable, func(s *Statuses) int { return s.ModeNotAvailable }},
	"inventoryItemNotFound": {SentenceInventoryItemNotFound, func(s *Statuses) int { return s.InventoryItemNotFound }},
	"customerNotFound":      {SentenceCustomerNotFound, func(s *Statuses) int { return s.CustomerNotFound }},
	"activatedItemNotFound": {SentenceActivatedItemNotFound, func(s *Statuses) int { return s.ActivatedItemNotFound }},
	"alreadyActive":         {SentenceAlreadyActive, func(s *Statuses) int { return s.AlreadyActive }},
	"refundNotPossible":     {SentenceRefundNotPossible, func(s *Statuses) int { return s.RefundNotPossible }},
}

func (s *Statuses) validate() error {
	for _, status := range []int{
		s.Malformed, s.Unauthorized, s.PriceMismatch, s.CountrySetMismatch, s.InsufficientCredits,
		s.ModeNotAvailable, s.InventoryItemNotFound, s.CustomerNotFound, s.ActivatedItemNotFound,
		s.AlreadyActive, s.RefundNotPossible, s.KeyConflict, s.NotFound,
	} {
		if status < 400 || status > 599 {
			return fmt.Errorf("setting statuses holds %d, allowed are 400 to 599", status)
		}
	}
	return nil
}

// answer is the answer to a vendor call, before a fault spoils it.
type answer struct {
	status      int
	contentType string // empty: no such header is sent
	body        []byte
	header      map[string]string
	committed   bool // a sale, activation or other change took place
}

const contentTypeJSON = "application/json"

func jsonAnswer(value any) answer {
	return answer{status: http.StatusOK, contentType: contentTypeJSON, body: encode(value)}
}

// refusal builds an error answer. Only one of the shapes shows path.
func refusal(shape ErrorShape, status int, sentence, path string) answer {
	a := answer{status: status, contentType: contentTypeJSON}
	switch shape {
	case ShapeProblemWithMessage:
		a.contentType = "application/problem+json"
		a.body = encode(struct {
			Type    string `json:"type"`
			Title   string `json:"title"`
			Status  int    `json:"status"`
			Path    string `json:"path"`
			Message string `json:"message"`
		}{"https://sandbox.invalid/problem/problem-with-message", http.StatusText(status), status, path, sentence})
	case ShapeMessage:
		a.body = encode(map[string]string{"message": sentence})
	case ShapeError:
		a.body = encode(map[string]string{"error": sentence})
	case ShapePlainText:
		a.contentType, a.body = "text/plain", []byte(sentence)
	case ShapeHTML:
		a.contentType = "text/html"
		a.body = fmt.Appendf(nil, "<html><head><title>%d %s</title></head><body><p>%s</p></body></html>",
			status, http.StatusText(status), html.EscapeString(sentence))
	case ShapeEmpty:
		a.contentType = ""
	case ShapeStatusWord:
		return statusWordAnswer("error")
	default: // ShapeProblem
		a.contentType = "application/problem+json"
		a.body = encode(struct {
			Type   string `json:"type"`
			Title  string `json:"title"`
			Status int    `json:"status"`
			Detail string `json:"detail"`
		}{"about:blank", http.StatusText(status), status, sentence})
	}
	return a
}

// statusWordAnswer is a 200 in which only one word says that nothing was sold.
func statusWordAnswer(word string) answer {
	return jsonAnswer(wireNothingSold{Status: word})
}

// refuse answers a call with a sentence, in the shape that the settings ask
// for.
func (w *world) refuse(c *call, status int, sentence string) answer {
	shape := w.settings.ErrorShape
	sale := c.route != nil && c.route.paid && status != w.settings.Statuses.Unauthorized
	if shape == ShapeStatusWord && !sale { // this shape is that of a sale's answer
		shape = ShapeProblem
	}
	return refusal(shape, status, sentence, c.path)
}

func (w *world) malformed(c *call, sentence string) answer {
	return w.refuse(c, w.settings.Statuses.Malformed, sentence)
}

func (w *world) refuseFor(c *call, reason string) answer {
	r := reasons[reason]
	return w.refuse(c, r.status(&w.settings.Statuses), r.sentence)
}

// encode writes JSON as a vendor would: it does not escape & and <, and ends
// without a newline.
func encode(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		// This cannot fail: every value is one of this package's own types.
		panic("sandbox: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
