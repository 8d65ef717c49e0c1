package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// printTable prints an answer for a person. A list becomes a table. Everything else becomes a block with the fields that
// are set.
func printTable(w io.Writer, answer proto.Message) error {
	var text strings.Builder
	switch a := answer.(type) {
	case *gigagatev1.ListInventoryItemsResponse:
		inventoryTable(&text, a.GetItems())
		nextPage(&text, a.GetNextPageToken())
	case *gigagatev1.ListPurchasesResponse:
		purchasesTable(&text, a.GetPurchases())
		nextPage(&text, a.GetNextPageToken())
	case *gigagatev1.ListBudgetsResponse:
		budgetsTable(&text, a.GetBudgets())
		nextPage(&text, a.GetNextPageToken())
	case *gigagatev1.GetBudgetResponse:
		budgetsTable(&text, []*gigagatev1.Budget{a.GetBudget()})
	case *gigagatev1.GetPurchaseResponse:
		fieldBlock(&text, a.GetPurchase())
		text.WriteString("\n")
		historyTable(&text, a.GetHistory())
		if a.GetReconciliation() != nil {
			text.WriteString("\n" + reconciliationText(a.GetReconciliation()))
		}
		if help := helpText(a.GetPurchase()); help != "" {
			text.WriteString("\n" + help)
		}
	case *gigagatev1.ListFreezesResponse:
		freezesTable(&text, a.GetFreezes())
		nextPage(&text, a.GetNextPageToken())
	case *gigagatev1.ListAuditRecordsResponse:
		auditTable(&text, a.GetRecords())
		nextPage(&text, a.GetNextPageToken())
	default:
		fieldBlock(&text, answer)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func nextPage(text *strings.Builder, token string) {
	if token != "" {
		fmt.Fprintf(text, "\nThere are more: --page-token=%s\n", token)
	}
}

// rows writes lines of cells in columns.
func rows(text *strings.Builder, lines ...[]string) {
	var laidOut strings.Builder
	table := tabwriter.NewWriter(&laidOut, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	_ = table.Flush() // a write to a strings.Builder never fails
	for line := range strings.Lines(laidOut.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

func inventoryTable(text *strings.Builder, items []*gigagatev1.InventoryItem) {
	lines := [][]string{{"ID", "NAME", "DATA", "LASTS", "COUNTRIES", "COSTS", "RETAIL"}}
	for _, item := range items {
		lasts := cell(item.GetValidity())
		if item.GetValidityUnlimited() {
			lasts = "unlimited"
		}
		lines = append(lines, []string{
			item.GetId(), printable(item.GetName()), cell(item.GetSize()), lasts, printable(item.GetCountrySet()),
			moneyList(item.GetPrices()), moneyList(item.GetRetailPrices()),
		})
	}
	rows(text, lines...)
}

func purchasesTable(text *strings.Builder, purchases []*gigagatev1.Purchase) {
	lines := [][]string{{"ID", "MADE", "REQUEST ID", "KIND", "STATE", "REASON", "ACTIVATED ITEM"}}
	for _, p := range purchases {
		lines = append(lines, []string{
			p.GetId(), cell(p.GetCreateTime()), p.GetRequestId(), enumText(p.GetKind()), enumText(p.GetState()),
			cmp.Or(enumText(p.GetReason()), enumText(p.GetOperatorReason())), p.GetActivatedItemUid(),
		})
	}
	rows(text, lines...)
}

// budgetsTable has a line for each limit of a budget. A cell is empty if there is nothing to say.
func budgetsTable(text *strings.Builder, budgets []*gigagatev1.Budget) {
	lines := [][]string{{"CALLER", "PERIOD", "LIMIT", "RESERVED", "SPENT", "LEFT", "ENDS"}}
	for _, b := range budgets {
		if b.GetPurchaseLimit() != nil {
			lines = append(lines, []string{b.GetCaller(), "one purchase", cell(b.GetPurchaseLimit()), "", "", "", ""})
		}
		for _, p := range b.GetPeriods() {
			lines = append(lines, []string{
				b.GetCaller(), p.GetName(), cell(p.GetLimit()), cell(p.GetReserved()), cell(p.GetSpent()), cell(p.GetLeft()), cell(p.GetEndTime()),
			})
		}
	}
	rows(text, lines...)
}

func historyTable(text *strings.Builder, history []*gigagatev1.PurchaseEvent) {
	lines := [][]string{{"TIME", "EVENT", "SEND", "STATE", "BY", "EVIDENCE"}}
	for _, e := range history {
		lines = append(lines, eventCells(e))
	}
	rows(text, lines...)
}

// eventCells are the cells of an event in a history.
func eventCells(e *gigagatev1.PurchaseEvent) []string {
	// The evidence is all the fields that do not have their own column.
	rest, _ := proto.Clone(e).(*gigagatev1.PurchaseEvent)
	rest.Time, rest.Event, rest.Attempt, rest.State, rest.Actor = nil, 0, 0, 0, nil
	var evidence []string
	eachSet(rest, func(name string, field protoreflect.FieldDescriptor, value protoreflect.Value) {
		evidence = append(evidence, name+" "+valueText(field, value))
	})
	return []string{
		cell(e.GetTime()), enumText(e.GetEvent()), fmt.Sprint(e.GetAttempt()), enumText(e.GetState()), actorText(e.GetActor()), strings.Join(evidence, ", "),
	}
}

func freezesTable(text *strings.Builder, freezes []*gigagatev1.Freeze) {
	lines := [][]string{{"FROZEN", "NAME", "SINCE", "BY", "REASON"}}
	for _, f := range freezes {
		what := "all"
		switch f.GetTarget().GetTarget().(type) {
		case *gigagatev1.FreezeTarget_Caller:
			what = "caller"
		case *gigagatev1.FreezeTarget_InventoryItemId:
			what = "item"
		}
		name := cmp.Or(f.GetTarget().GetCaller(), f.GetTarget().GetInventoryItemId())
		lines = append(lines, []string{what, name, cell(f.GetCreateTime()), f.GetOperator(), printable(f.GetReason())})
	}
	rows(text, lines...)
}

func auditTable(text *strings.Builder, records []*gigagatev1.AuditRecord) {
	lines := [][]string{{"TIME", "WHO", "ACTION", "OUTCOME", "ABOUT"}}
	for _, r := range records {
		// The last column has all fields that have no column of their own.
		rest, _ := proto.Clone(r).(*gigagatev1.AuditRecord)
		rest.Id, rest.CreateTime, rest.ActorType, rest.Actor, rest.Action, rest.Outcome = "", nil, 0, "", 0, 0
		var about []string
		eachSet(rest, func(name string, field protoreflect.FieldDescriptor, value protoreflect.Value) {
			about = append(about, name+" "+valueText(field, value))
		})
		lines = append(lines, []string{
			cell(r.GetCreateTime()), strings.ToLower(enumText(r.GetActorType())) + " " + r.GetActor(), enumText(r.GetAction()),
			enumText(r.GetOutcome()), strings.Join(about, ", "),
		})
	}
	rows(text, lines...)
}

// actorText says who caused an event. It gives an operator's name.
func actorText(actor *gigagatev1.Actor) string {
	if name := actor.GetOperator(); name != "" {
		return "operator " + name
	}
	return strings.ToLower(enumText(actor.GetType()))
}

// reconciliationText says why a purchase is not settled.
func reconciliationText(r *gigagatev1.Reconciliation) string {
	text := "It is not settled. It waits for " + printable(r.GetMissing()) + ".\n"
	if r.GetLastReadTime() == nil {
		text += "This gateway has not read the vendor's records for it yet.\n"
	} else {
		text += fmt.Sprintf("The vendor's records were last read at %s: %s.\n", cell(r.GetLastReadTime()), printable(r.GetLastResult()))
	}
	if n := r.GetFailedReads(); n > 0 {
		text += fmt.Sprintf("Failed reads in a row: %d.\n", n)
	}
	if r.GetNextReadTime() != nil {
		text += fmt.Sprintf("They are read again at %s at the earliest.\n", cell(r.GetNextReadTime()))
	}
	if r.GetOperatorTime() != nil {
		text += fmt.Sprintf("An operator is asked at %s if nothing changes.\n", cell(r.GetOperatorTime()))
	}
	return text
}

// fieldBlock writes the fields of a message that are set, one per line. The fields of an inner message are indented below
// its name.
func fieldBlock(text *strings.Builder, message proto.Message) {
	var lines [][]string
	var add func(indent string, message proto.Message)
	add = func(indent string, message proto.Message) {
		eachSet(message, func(name string, field protoreflect.FieldDescriptor, value protoreflect.Value) {
			if field.Message() == nil || field.IsList() || cell(value.Message().Interface()) != "" {
				lines = append(lines, []string{indent + name, valueText(field, value)})
				return
			}
			lines = append(lines, []string{indent + name})
			add(indent+"  ", value.Message().Interface())
		})
	}
	add("", message)
	rows(text, lines...)
}

// eachSet visits the fields that are set, in the order of the contract.
func eachSet(message proto.Message, visit func(name string, field protoreflect.FieldDescriptor, value protoreflect.Value)) {
	m := message.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		if field := m.Descriptor().Fields().Get(i); m.Has(field) {
			visit(strings.ReplaceAll(string(field.Name()), "_", " "), field, m.Get(field))
		}
	}
}

func valueText(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch {
	case field.IsList():
		var all []string
		for i := range value.List().Len() {
			all = append(all, fmt.Sprint(value.List().Get(i)))
		}
		return printable(strings.Join(all, ", "))
	case field.Message() != nil:
		return cell(value.Message().Interface())
	case field.Enum() != nil:
		return enumName(field.Enum(), value.Enum())
	case field.Kind() == protoreflect.BoolKind:
		return "yes" // a bool that is set is true
	}
	return printable(value.String())
}

// cell is the text of a message that fits into a cell. It is empty for all other messages.
func cell(message proto.Message) string {
	switch m := message.(type) {
	case *timestamppb.Timestamp:
		if m != nil {
			return m.AsTime().Format(time.RFC3339)
		}
	case *gigagatev1.Money:
		if m == nil {
			return ""
		}
		return m.GetAmount() + " " + printable(m.GetCurrencyCode())
	case *gigagatev1.Size:
		if m != nil {
			return fmt.Sprint(m.GetValue(), " ", printable(m.GetUnit()))
		}
	case *gigagatev1.Validity:
		if m != nil {
			return fmt.Sprint(m.GetValue(), " ", printable(m.GetUnit()))
		}
	}
	return ""
}

func moneyList(prices []*gigagatev1.Money) string {
	var all []string
	for _, price := range prices {
		all = append(all, cell(price))
	}
	return strings.Join(all, ", ")
}

// enumText is the name of an enum value without the name of the enum. It is empty if the value is unspecified.
func enumText(value protoreflect.Enum) string { return enumName(value.Descriptor(), value.Number()) }

func enumName(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := enum.Values().ByNumber(number)
	if value == nil {
		return fmt.Sprint(number) // a value of a newer contract
	}
	// The name of value 0 is the name of the enum and UNSPECIFIED.
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	name := strings.TrimPrefix(string(value.Name()), prefix)
	if number == 0 {
		return ""
	}
	return name
}

// printable replaces control characters in a text from outside, because they could control the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
