package access

import (
	"maps"
	"slices"
	"strings"
)

// reads are the methods of an operator with the right "read".
var reads = []string{"GetPurchase", "ListPurchases", "WaitPurchase", "GetCustomer", "ListInventoryItems"}

// callerMethods are the methods that a caller can be allowed. "all" means these. ResolvePurchase is only for operators.
var callerMethods = append([]string{"Register", "TopUp", "Activate"}, reads...)

// modes are the activation modes that a caller can be allowed.
var modes = []string{"NOW", "FIRST_USE", "ON_DEMAND"}

// operatorRights says what each right of an operator adds. No right implies another.
var operatorRights = map[string]func(*Rights){
	"read": func(r *Rights) {
		r.Methods.names = append(r.Methods.names, reads...)
		// These limit what is shown, too. An operator sees everything.
		r.Items, r.CountrySets, r.Countries, r.SoldElsewhere = Everything, Everything, Everything, true
	},
	"resolve": func(r *Rights) { r.Methods.names = append(r.Methods.names, "ResolvePurchase") },
	"secrets": func(r *Rights) { r.Secrets = true },
}

// Methods are the methods that a callers file can allow.
func Methods() []string { return append(slices.Clone(callerMethods), "ResolvePurchase") }

// operatorRightNames are the words for the rights of operators.
func operatorRightNames() []string { return slices.Sorted(maps.Keys(operatorRights)) }

// listed joins names for an error: "a, b or c".
func listed(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
