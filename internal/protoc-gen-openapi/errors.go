package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// otherEffectsOfResolving are the other effects of errors of ResolvePurchase, by reason. Their effect is that of the
// purchase.
var otherEffectsOfResolving = map[string]string{
	"VENDOR_REFUSED":           "the effect of the purchase",
	"VENDOR_UNAVAILABLE":       "the effect of the purchase",
	"ACTIVATED_ITEM_NOT_FOUND": "the effect of the purchase",
	"JOURNAL_UNAVAILABLE":      "`INDETERMINATE` if the journal may have recorded the operator's word",
}

// errorResponses are the error responses of a call, by HTTP status.
func (d *document) errorResponses(operation *operation) object {
	byStatus := map[int][]spec{}
	for _, s := range d.specs {
		// If a parameter in the path is empty, the path has no route.
		otherPath := s.reason == "ROUTE_NOT_FOUND" && strings.Contains(operation.path, "{")
		if otherPath || slices.Contains(s.calls, operation.name()) || slices.Contains(s.calls, "*") {
			byStatus[s.status] = append(byStatus[s.status], s)
		}
	}
	responses := object{}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		headers := answerHeaders(operation, status)
		if slices.ContainsFunc(byStatus[status], func(s spec) bool { return s.delay }) {
			headers = headers.with("Retry-After", ref("headers", "RetryAfter"))
		}
		responses = responses.with(strconv.Itoa(status), object{
			{"description", reasonsText(operation, byStatus[status])},
			{"headers", headers},
			{"content", jsonContent(ref("schemas", "Status"), operation.answerExamples(status))},
		})
	}
	return responses
}

// reasonsText lists reasons with their effects and the contract's comments, as Markdown.
func reasonsText(operation *operation, specs []spec) string {
	var lines []string
	for _, s := range specs {
		other := s.otherEffect
		if told, ok := otherEffectsOfResolving[s.reason]; ok && operation.name() == "ResolvePurchase" {
			other = told
		}
		if other != "" {
			other = " (" + other + ")"
		}
		lines = append(lines, "- `"+s.reason+"`, effect `"+s.effect+"`"+other+": "+s.comment)
	}
	return strings.Join(lines, "\n")
}

// addStatusSchemas adds google.rpc.Status and the details that the gateway sends with it.
func (d *document) addStatusSchemas() {
	outcome := ref("schemas", "OutcomeDetail")
	d.schemas["Status"] = typed("object").
		with("description", "google.rpc.Status: the body of every error. Its details always include the contract's Outcome.").
		with("properties", object{
			{"code", object{{"type", "integer"}, {"format", "int32"}, {"description", "The gRPC code. Several reasons can have the same code."}}},
			{"message", object{{"type", "string"}, {"description", "For people. It contains no value of the request."}}},
			{"details", typed("array").
				with("items", object{{"oneOf", []object{
					ref("schemas", "ErrorInfo"), ref("schemas", "BadRequest"), ref("schemas", "RetryInfo"), ref("schemas", "QuotaFailure"), outcome,
				}}}).
				with("contains", outcome)},
		}).
		with("required", []string{"code", "message", "details"})
	d.schemas["OutcomeDetail"] = object{
		{"allOf", []object{ref("schemas", "Outcome"), {{"properties", object{typeOf("gigagate.v1.Outcome")}}, {"required", []string{"@type"}}}}},
		{"description", "Outcome as one of the details of an error."},
	}
	d.schemas["ErrorInfo"] = detailSchema("google.rpc.ErrorInfo", "The reason, for programs that read gRPC's standard details.", object{
		{"reason", object{{"type", "string"}, {"description", "The reason of Outcome without its prefix."}}},
		{"domain", object{{"const", "gigagate.internal"}}},
		{"metadata", object{{"type", "object"}, {"additionalProperties", typed("string")}, {"description", "`effect`, and `purchase_id` if there is one."}}},
	}, "reason", "domain", "metadata")
	violation := typed("object").
		with("properties", object{{"field", typed("string")}, {"description", typed("string")}}).
		with("required", []string{"description"})
	d.schemas["BadRequest"] = detailSchema("google.rpc.BadRequest", "The same as fieldViolations of Outcome.", object{
		{"fieldViolations", typed("array").with("items", violation)},
	}, "fieldViolations")
	quota := typed("object").
		with("properties", object{
			{"subject", object{{"type", "string"}, {"description", "`caller:` and the name of the caller."}}},
			{"quotaId", object{{"enum", []string{"PURCHASE", "DAY", "MONTH", "TOTAL"}}, {"description", "The limit that is in the way."}}},
			{"description", object{{"type", "string"}, {"description", "The price and what is left, for people."}}},
		}).
		with("required", []string{"subject", "quotaId", "description"})
	d.schemas["QuotaFailure"] = detailSchema("google.rpc.QuotaFailure", "The limit of the budget, for `BUDGET_EXCEEDED`.", object{
		{"violations", typed("array").with("items", quota)},
	}, "violations")
	d.schemas["RetryInfo"] = detailSchema("google.rpc.RetryInfo", "The same as retryDelay of Outcome.", object{
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
