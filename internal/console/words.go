package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// functions are what the templates can call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"ago":        func(t *timestamppb.Timestamp) string { return c.ago(t) },
		"due":        func(t *timestamppb.Timestamp) string { return c.due(t) },
		"at":         at,
		"iso":        func(t *timestamppb.Timestamp) string { return t.AsTime().UTC().Format(time.RFC3339Nano) },
		"state":      stateWord,
		"kind":       kindWord,
		"mode":       func(m gigagatev1.ActivationMode) string { return word(m.String(), "ACTIVATION_MODE_") },
		"reason":     func(r gigagatev1.ErrorReason) string { return word(r.String(), "ERROR_REASON_") },
		"effect":     func(e gigagatev1.Effect) string { return word(e.String(), "EFFECT_") },
		"balance":    func(s gigagatev1.BalanceState) string { return word(s.String(), "BALANCE_STATE_") },
		"tone":       tone,
		"visible":    visible,
		"sentence":   sentence,
		"add":        func(a, b int) int { return min(a+b, 100) },
		"short":      short,
		"root":       func() string { return Root },
		"isAt":       isAt,
		"navigation": c.navigation,
		"hasTrace":   func(id string) bool { return c.config.TraceURL != "" && id != "" },
		"traceURL":   func(id string) string { return strings.ReplaceAll(c.config.TraceURL, "{trace_id}", id) },
	}
}

// word turns a name of the contract into a word for a person: "PURCHASE_STATE_NEEDS_OPERATOR" is "needs operator".
func word(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

func stateWord(s gigagatev1.PurchaseState) string { return word(s.String(), "PURCHASE_STATE_") }

func kindWord(k gigagatev1.PurchaseKind) string {
	switch k {
	case gigagatev1.PurchaseKind_PURCHASE_KIND_REGISTER:
		return "first package"
	case gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP:
		return "top-up"
	case gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP_WITH_PROFILE:
		return "top-up with a new eSIM"
	default:
		return word(k.String(), "PURCHASE_KIND_")
	}
}

// tone is the class of a state's color.
func tone(s gigagatev1.PurchaseState) string {
	switch s {
	case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED:
		return "good"
	case gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		return "over"
	case gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN:
		return "unsure"
	case gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR:
		return "bad"
	default:
		return "busy"
	}
}

// at is a time for a person.
func at(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format("2006-01-02 15:04:05")
}

// ago says how long ago a time was, or how long it takes until then.
func (c *Console) ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	switch d := c.config.Now().Sub(t.AsTime()); {
	case d < -time.Second:
		return "in " + duration(-d)
	case d < time.Second:
		return "just now"
	default:
		return duration(d) + " ago"
	}
}

// due says when something will happen that can be late.
func (c *Console) due(t *timestamppb.Timestamp) string {
	if !t.AsTime().After(c.config.Now().Add(time.Second)) {
		return "now"
	}
	return c.ago(t)
}

// duration is a duration for a person, in its two largest units.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// between is the time between two events, with as many digits as a person can use.
func between(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("+%.3f s", d.Seconds())
	}
	return "+" + duration(d)
}

// visible shows characters that have no form, or that change the direction of a text, by their numbers. Otherwise a vendor's
// text could look like another one. HTML is escaped by the templates.
func visible(text string) string {
	var shown strings.Builder
	for _, r := range text {
		if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
			fmt.Fprintf(&shown, "⟨%04X⟩", r)
			continue
		}
		shown.WriteRune(r)
	}
	return shown.String()
}

// short is the start of a text, with visible characters only. A table has no room for more.
func short(most int, text string) string {
	runes := []rune(text[:min(len(text), 4*most)])
	if len(runes) > most || len(text) > 4*most {
		return visible(string(runes[:min(most, len(runes))])) + "…"
	}
	return visible(text)
}

// sentence is a text with a capital letter at its start.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}
