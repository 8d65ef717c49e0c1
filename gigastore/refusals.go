package gigastore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Reason says why the vendor refused. The words are this package's own. They stand in journals and in files of
// rules, so they never change. "" is no reason.
type Reason string

// The reasons of an EffectRefused. ReasonVendorRefused is a refusal whose words no [RefusalRule] knows.
const (
	ReasonPriceMismatch         Reason = "PRICE_MISMATCH"
	ReasonInsufficientCredit    Reason = "INSUFFICIENT_CREDIT"
	ReasonCountrySetMismatch    Reason = "COUNTRY_SET_MISMATCH"
	ReasonModeNotOffered        Reason = "ACTIVATION_MODE_NOT_OFFERED"
	ReasonInventoryItemNotFound Reason = "INVENTORY_ITEM_NOT_FOUND"
	ReasonCustomerNotFound      Reason = "CUSTOMER_NOT_FOUND"
	ReasonActivatedItemNotFound Reason = "ACTIVATED_ITEM_NOT_FOUND"
	ReasonAlreadyActive         Reason = "ALREADY_ACTIVE"
	ReasonVendorRefused         Reason = "VENDOR_REFUSED"
)

// Reasons returns all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonPriceMismatch, ReasonInsufficientCredit, ReasonCountrySetMismatch, ReasonModeNotOffered,
		ReasonInventoryItemNotFound, ReasonCustomerNotFound, ReasonActivatedItemNotFound, ReasonAlreadyActive,
		ReasonVendorRefused,
	}
}

// RefusalRule maps a refusal to its [Reason]. Rules only apply to an answer that is already known to be a refusal. So
// a wrong rule can mislead a reader, but it cannot spend money.
type RefusalRule struct {
	Operations []string `json:"operations,omitempty"` // Op constants; empty: all
	Statuses   []int    `json:"statuses,omitempty"`   // of 400, 402, 403, 404, 422; empty: all
	// Contains lists texts that must all occur somewhere in message, detail, title and error, in upper or lower case.
	// Empty: any text.
	Contains []string `json:"contains,omitempty"`
	Reason   Reason   `json:"reason"`
}

var refusalStatuses = []int{400, 402, 403, 404, 422}

// AssumedRefusals returns the rules that apply unless configuration replaces them. The first rule that matches
// counts. **Every entry is assumed**: no source shows a status, code or sentence of the vendor's errors (dossier 5).
// The causes themselves are documented where a comment says so.
func AssumedRefusals() []RefusalRule {
	sales := []string{OpRegister, OpTopUp, OpTopUpWithProfile}
	return []RefusalRule{
		// Cause: docs first-package. Words: assumed.
		{Operations: sales, Contains: []string{"price", "match"}, Reason: ReasonPriceMismatch},
		{Operations: sales, Contains: []string{"expected", "price"}, Reason: ReasonPriceMismatch},
		// Cause: docs customers, offering-packages, top-up. Words: assumed.
		{Operations: sales, Contains: []string{"country set"}, Reason: ReasonCountrySetMismatch},
		{Operations: sales, Contains: []string{"countryset"}, Reason: ReasonCountrySetMismatch},
		// Cause: docs activation-modes, by implication. Words: assumed.
		{Operations: sales, Contains: []string{"ON_DEMAND", "not available"}, Reason: ReasonModeNotOffered},
		{Operations: sales, Contains: []string{"ON_DEMAND", "not offered"}, Reason: ReasonModeNotOffered},
		{Operations: sales, Contains: []string{"ON_DEMAND", "not supported"}, Reason: ReasonModeNotOffered},
		{Operations: sales, Contains: []string{"activation mode", "not available"}, Reason: ReasonModeNotOffered},
		{Operations: sales, Contains: []string{"activation mode", "not offered"}, Reason: ReasonModeNotOffered},
		{Operations: sales, Contains: []string{"activation mode", "not supported"}, Reason: ReasonModeNotOffered},
		// Cause: documented nowhere, certain to exist. Words and status: assumed.
		{Operations: sales, Contains: []string{"insufficient", "credit"}, Reason: ReasonInsufficientCredit},
		{Operations: sales, Contains: []string{"not enough", "credit"}, Reason: ReasonInsufficientCredit},
		{Operations: sales, Statuses: []int{402}, Reason: ReasonInsufficientCredit},
		// Cause: documented nowhere, certain to exist. Words: assumed.
		{Operations: sales, Contains: []string{"inventory item", "not found"}, Reason: ReasonInventoryItemNotFound},
		{Operations: sales, Contains: []string{"customer", "not found"}, Reason: ReasonCustomerNotFound},
		// It is unknown whether activating an active package is an error at all. Words: assumed.
		{Operations: []string{OpActivate}, Contains: []string{"already", "activ"}, Reason: ReasonAlreadyActive},
		// A 404 of a call that names one thing is about that thing. Status: assumed.
		{Operations: []string{OpActivate, OpActivatedItem}, Statuses: []int{404}, Reason: ReasonActivatedItemNotFound},
		{Operations: []string{OpActivate, OpActivatedItem}, Contains: []string{"item", "not found"}, Reason: ReasonActivatedItemNotFound},
		{Operations: []string{OpCustomer}, Statuses: []int{404}, Reason: ReasonCustomerNotFound},
		{Operations: []string{OpCustomer}, Contains: []string{"customer", "not found"}, Reason: ReasonCustomerNotFound},
		{Operations: []string{OpInventoryItem}, Statuses: []int{404}, Reason: ReasonInventoryItemNotFound},
		{Operations: []string{OpInventoryItem}, Contains: []string{"item", "not found"}, Reason: ReasonInventoryItemNotFound},
	}
}

// ParseRefusals reads a JSON array of rules. It refuses unknown members, operations, statuses and reasons.
func ParseRefusals(data []byte) ([]RefusalRule, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var rules []RefusalRule
	if err := d.Decode(&rules); err != nil {
		return nil, fmt.Errorf("refusal rules: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("refusal rules: text after the array")
	}
	if rules == nil {
		return nil, fmt.Errorf("refusal rules: not an array")
	}
	if err := checkRefusals(rules); err != nil {
		return nil, err
	}
	return rules, nil
}

func checkRefusals(rules []RefusalRule) error {
	for i, r := range rules {
		for _, o := range r.Operations {
			if _, ok := routes[o]; !ok {
				return fmt.Errorf("refusal rules: rule %d: unknown operation %q", i, o)
			}
		}
		for _, s := range r.Statuses {
			if !slices.Contains(refusalStatuses, s) {
				return fmt.Errorf("refusal rules: rule %d: status %d is not one of %v", i, s, refusalStatuses)
			}
		}
		if slices.Contains(r.Contains, "") {
			return fmt.Errorf("refusal rules: rule %d: empty text in contains", i)
		}
		if !slices.Contains(Reasons(), r.Reason) {
			return fmt.Errorf("refusal rules: rule %d: unknown reason %q", i, r.Reason)
		}
	}
	return nil
}

func refusalReason(rules []RefusalRule, operation string, status int, text string) Reason {
	text = strings.ToLower(text)
	for _, r := range rules {
		if len(r.Operations) > 0 && !slices.Contains(r.Operations, operation) ||
			len(r.Statuses) > 0 && !slices.Contains(r.Statuses, status) {
			continue
		}
		if !slices.ContainsFunc(r.Contains, func(s string) bool { return !strings.Contains(text, strings.ToLower(s)) }) {
			return r.Reason
		}
	}
	return ReasonVendorRefused
}
