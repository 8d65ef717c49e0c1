package access

import (
	"maps"
	"slices"
	"strings"
)

// reads are the methods of an operator with the right "read".
var reads = []string{"GetPurchase", "ListPurchases", "WaitPurchase", "GetCustomer", "FindCustomer", "ListInventoryItems", "GetBudget", "ListBudgets"}

// operatorMethods are the methods that only an operator can have, whatever else a caller may do.
var operatorMethods = []string{"ResolvePurchase", "Freeze", "Thaw", "ListFreezes", "ListAuditRecords"}

// IsForOperators reports whether only an operator may call the method.
func IsForOperators(method string) bool { return slices.Contains(operatorMethods, method) }

// callerMethods are the methods that a caller can be allowed. "all" means these.
var callerMethods = append([]string{"Register", "TopUp", "Activate"}, reads...)

// modes are the activation modes that a caller can be allowed.
var modes = []string{"NOW", "FIRST_USE", "ON_DEMAND"}

// operatorRights says what each right of an operator adds. No right implies another.
var operatorRights = map[string]func(*Rights){
	"read": func(r *Rights) {
		r.Methods.names = append(append(r.Methods.names, reads...), "ListFreezes")
		// These limit what is shown, too. An operator sees everything.
		r.Items, r.CountrySets, r.Countries, r.SoldElsewhere = Everything, Everything, Everything, true
	},
	"resolve": func(r *Rights) { r.Methods.names = append(r.Methods.names, "ResolvePurchase") },
	"freeze":  func(r *Rights) { r.Methods.names = append(r.Methods.names, "Freeze", "Thaw", "ListFreezes") },
	"audit":   func(r *Rights) { r.Methods.names = append(r.Methods.names, "ListAuditRecords") },
	"secrets": func(r *Rights) { r.Secrets = true },
}

// Methods are the methods that a callers file can allow.
func Methods() []string { return slices.Concat(callerMethods, operatorMethods) }

// operatorRightNames are the words for the rights of operators.
func operatorRightNames() []string { return slices.Sorted(maps.Keys(operatorRights)) }

// listed joins names for an error: "a, b or c".
func listed(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
