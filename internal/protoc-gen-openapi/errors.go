package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// situation is what a reason means on the REST door.
type situation struct {
	status int
	effect string
	delay  bool // whether the answer says how long to wait before the call is repeated
}

// situations is the gateway's error table as REST has it. A test of package server holds the
// document to the table that answers are made from.
var situations = map[string]situation{
	"INVALID_FIELD":               {400, "NOT_STARTED", false},
	"MALFORMED_REQUEST":           {400, "NOT_STARTED", false},
	"PRICE_MISMATCH":              {400, "NOT_APPLIED", false},
	"INSUFFICIENT_CREDIT":         {400, "NOT_APPLIED", false},
	"COUNTRY_SET_MISMATCH":        {400, "NOT_APPLIED", false},
	"ACTIVATION_MODE_NOT_OFFERED": {400, "NOT_APPLIED", false},
	"ALREADY_ACTIVE":              {400, "NOT_APPLIED", false},
	"VENDOR_REFUSED":              {400, "NOT_APPLIED", false},
	"MAX_PURCHASE_PRICE_EXCEEDED": {400, "NOT_STARTED", false},
	"PURCHASE_PRICE_UNREADABLE":   {400, "NOT_STARTED", false},
	"NOT_RESOLVABLE":              {400, "NOT_STARTED", false},
	"FOREIGN_ACTIVATED_ITEM":      {400, "NOT_STARTED", false},
	"ABSENCE_NOT_SHOWN":           {400, "NOT_STARTED", false},
	"INVENTORY_ITEM_NOT_FOUND":    {404, "NOT_APPLIED", false},
	"CUSTOMER_NOT_FOUND":          {404, "NOT_APPLIED", false},
	"ACTIVATED_ITEM_NOT_FOUND":    {404, "NOT_APPLIED", false},
	"PURCHASE_NOT_FOUND":          {404, "NOT_APPLIED", false},
	"ROUTE_NOT_FOUND":             {404, "NOT_STARTED", false},
	"REQUEST_ID_REUSED":           {409, "INDETERMINATE", false},
	"NEVER_SENT":                  {409, "NOT_APPLIED", true},
	"PRESUMED_ABSENT":             {409, "NOT_APPLIED", false},
	"RESOLVED_BY_OPERATOR":        {409, "NOT_APPLIED", false},
	"OVERLOADED":                  {429, "NOT_STARTED", true},
	"INTERNAL":                    {500, "INDETERMINATE", false},
	"OUTCOME_UNKNOWN":             {503, "INDETERMINATE", true},
	"VENDOR_UNAVAILABLE":          {503, "NOT_STARTED", true},
	"DRAINING":                    {503, "NOT_STARTED", true},
	"JOURNAL_UNAVAILABLE":         {503, "NOT_STARTED", true},
}

// otherEffects are the reasons that can come with another effect than their own: why.
var otherEffects = map[string]string{
	"REQUEST_ID_REUSED":           "the effect is the other purchase's",
	"COUNTRY_SET_MISMATCH":        "`NOT_STARTED` where the gateway saw it before sending",
	"ACTIVATION_MODE_NOT_OFFERED": "`NOT_STARTED` where the gateway saw it before sending",
	"INVENTORY_ITEM_NOT_FOUND":    "`NOT_STARTED` where the gateway saw it before sending",
	"JOURNAL_UNAVAILABLE":         "`INDETERMINATE` where the request id could not be looked up",
}

// otherEffectsOfResolving are the same for an operator's word, which is told what is known of the
// purchase.
var otherEffectsOfResolving = map[string]string{
	"NOT_RESOLVABLE":           "the effect is the purchase's",
	"FOREIGN_ACTIVATED_ITEM":   "the effect is the purchase's",
	"ABSENCE_NOT_SHOWN":        "the effect is the purchase's",
	"VENDOR_REFUSED":           "the effect is the purchase's",
	"VENDOR_UNAVAILABLE":       "the effect is the purchase's",
	"ACTIVATED_ITEM_NOT_FOUND": "the effect is the purchase's",
	"JOURNAL_UNAVAILABLE":      "`INDETERMINATE` where the word may have been written down",
}

// Reasons that calls share.
var (
	ofEveryCall = []string{"INVALID_FIELD", "MALFORMED_REQUEST", "INTERNAL"}
	ofASale     = []string{
		"PRICE_MISMATCH", "INSUFFICIENT_CREDIT", "ACTIVATION_MODE_NOT_OFFERED", "VENDOR_REFUSED",
		"MAX_PURCHASE_PRICE_EXCEEDED", "PURCHASE_PRICE_UNREADABLE", "INVENTORY_ITEM_NOT_FOUND",
		"REQUEST_ID_REUSED", "NEVER_SENT", "PRESUMED_ABSENT", "RESOLVED_BY_OPERATOR",
		"OVERLOADED", "OUTCOME_UNKNOWN", "DRAINING", "JOURNAL_UNAVAILABLE",
	}
)

// reasonsOf are the errors of each call beside those of every call. DEADLINE_TOO_SHORT is none of
// them: on REST a caller cannot send a deadline.
var reasonsOf = map[string][]string{
	"Register":           slices.Concat(ofASale, []string{"COUNTRY_SET_MISMATCH"}),
	"TopUp":              slices.Concat(ofASale, []string{"COUNTRY_SET_MISMATCH", "CUSTOMER_NOT_FOUND"}),
	"Activate":           {"ALREADY_ACTIVE", "VENDOR_REFUSED", "ACTIVATED_ITEM_NOT_FOUND", "NEVER_SENT", "OUTCOME_UNKNOWN", "VENDOR_UNAVAILABLE"},
	"ListInventoryItems": {"VENDOR_REFUSED", "VENDOR_UNAVAILABLE"},
	"GetCustomer":        {"VENDOR_REFUSED", "CUSTOMER_NOT_FOUND", "VENDOR_UNAVAILABLE"},
	"GetPurchase":        {"PURCHASE_NOT_FOUND", "JOURNAL_UNAVAILABLE"},
	"ListPurchases":      {"JOURNAL_UNAVAILABLE"},
	"WaitPurchase":       {"PURCHASE_NOT_FOUND", "JOURNAL_UNAVAILABLE"},
	"ResolvePurchase": {
		"NOT_RESOLVABLE", "FOREIGN_ACTIVATED_ITEM", "ABSENCE_NOT_SHOWN", "VENDOR_REFUSED", "PURCHASE_NOT_FOUND", "ACTIVATED_ITEM_NOT_FOUND",
		"VENDOR_UNAVAILABLE", "JOURNAL_UNAVAILABLE",
	},
}

// errorResponses are the responses of a call's errors, by status.
func (d *document) errorResponses(operation *operation) (object, error) {
	reasons, ok := reasonsOf[operation.name()]
	if !ok {
		return nil, fmt.Errorf("%s: errors.go does not say how it can fail", operation.name())
	}
	byStatus := map[int][]string{}
	for _, reason := range slices.Concat(ofEveryCall, reasons) {
		status := situations[reason].status
		byStatus[status] = append(byStatus[status], reason)
	}
	if strings.Contains(operation.path, "{") {
		// A parameter that is empty makes another path.
		byStatus[404] = append(byStatus[404], "ROUTE_NOT_FOUND")
	}
	responses := object{}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		headers := answerHeaders(operation, status)
		if slices.ContainsFunc(byStatus[status], func(reason string) bool { return situations[reason].delay }) {
			headers = headers.with("Retry-After", ref("headers", "RetryAfter"))
		}
		responses = responses.with(strconv.Itoa(status), object{
			{"description", d.reasonsText(operation, byStatus[status])},
			{"headers", headers},
			{"content", jsonContent(ref("schemas", "Status"), operation.answerExamples(status))},
		})
	}
	return responses, nil
}

// reasonsText lists reasons with their effects, in the contract's words.
func (d *document) reasonsText(operation *operation, reasons []string) string {
	others := otherEffects
	if operation.name() == "ResolvePurchase" {
		others = otherEffectsOfResolving
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Compare(d.reasonOrder[a], d.reasonOrder[b]) })
	var lines []string
	for _, reason := range reasons {
		line := "- `" + reason + "`, effect `" + situations[reason].effect + "`: " + d.reasonComment[reason]
		if other := others[reason]; other != "" {
			line = strings.TrimSuffix(line, ".") + " (" + other + ")."
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// addStatusSchemas adds google.rpc.Status and the details that the gateway sends with it.
func (d *document) addStatusSchemas() {
	outcome := ref("schemas", "OutcomeDetail")
	d.schemas["Status"] = typed("object").
		with("description", "google.rpc.Status: the body of every error. Among its details there is always the contract's Outcome.").
		with("properties", object{
			{"code", object{{"type", "integer"}, {"format", "int32"}, {"description", "The gRPC code; several reasons share one."}}},
			{"message", object{{"type", "string"}, {"description", "For people. It holds no value of the request."}}},
			{"details", typed("array").
				with("items", object{{"oneOf", []object{
					ref("schemas", "ErrorInfo"), ref("schemas", "BadRequest"), ref("schemas", "RetryInfo"), outcome,
				}}}).
				with("contains", outcome)},
		}).
		with("required", []string{"code", "message", "details"})
	d.schemas["OutcomeDetail"] = object{
		{"allOf", []object{ref("schemas", "Outcome"), {{"properties", object{typeOf("gigagate.v1.Outcome")}}, {"required", []string{"@type"}}}}},
		{"description", "Outcome as it stands among the details of an error."},
	}
	d.schemas["ErrorInfo"] = detailSchema("google.rpc.ErrorInfo", "The reason for programs that know gRPC's standard details.", object{
		{"reason", object{{"type", "string"}, {"description", "The reason of Outcome without its prefix."}}},
		{"domain", object{{"const", "gigagate.internal"}}},
		{"metadata", object{{"type", "object"}, {"additionalProperties", typed("string")}, {"description", "`effect`, and `purchase_id` where there is one."}}},
	}, "reason", "domain", "metadata")
	violation := typed("object").
		with("properties", object{{"field", typed("string")}, {"description", typed("string")}}).
		with("required", []string{"description"})
	d.schemas["BadRequest"] = detailSchema("google.rpc.BadRequest", "The fieldViolations of Outcome once more.", object{
		{"fieldViolations", typed("array").with("items", violation)},
	}, "fieldViolations")
	d.schemas["RetryInfo"] = detailSchema("google.rpc.RetryInfo", "The retryDelay of Outcome once more.", object{
		{"retryDelay", object{{"type", "string"}, {"pattern", `^[0-9]+(\.[0-9]{1,9})?s$`}}},
	}, "retryDelay")
}

func detailSchema(name, description string, properties object, required ...string) object {
	return typed("object").with("description", name+": "+description).
		with("properties", append(object{typeOf(name)}, properties...)).
		with("required", append([]string{"@type"}, required...))
}

func typeOf(name string) member {
	return member{"@type", object{{"const", "type.googleapis.com/" + name}}}
}
