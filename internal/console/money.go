package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// moneyPath is the address of the page.
const moneyPath = Root + "money"

// money is what callers may spend, what is frozen, and who did what.
type money struct {
	Budgets     []budget
	NextBudgets string // the token of the next page
	Freezes     []frozen
	MoreFreezes bool
	Records     []auditRecord
	NextRecords string // the token of the next page
	Form        freezeForm
	Refused     *refusal // of a form that is not on the page any more
	// The operator may not see these.
	NoBudgets, NoFreezes, NoAudit bool
}

// budget is the budget of one caller.
type budget struct {
	*gigagatev1.Budget
	Bars []periodBar
}

// periodBar shows one period of a budget.
type periodBar struct {
	Name                                   string
	Ends                                   *timestamppb.Timestamp // nil: never
	Spent, Reserved, Left, Limit, Currency string
	// SpentShare and ReservedShare are parts of a hundred. There is no picture without a limit.
	SpentShare, ReservedShare float64
	Tight                     bool
}

// tightShare is the share of a limit from which a bar asks for attention.
const tightShare = 90

var periodNames = map[gigagatev1.BudgetPeriodType]string{
	gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_DAY:   "Today",
	gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_MONTH: "This month",
	gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_TOTAL: "In total",
}

func newPeriodBar(p *gigagatev1.BudgetPeriod) periodBar {
	b := periodBar{
		Name: periodNames[p.GetType()], Ends: p.GetEndTime(), Spent: withCents(p.GetSpent()), Reserved: withCents(p.GetReserved()),
		Left: withCents(p.GetLeft()), Limit: withCents(p.GetLimit()), Currency: p.GetSpent().GetCurrencyCode(),
	}
	if limit := amountOf(p.GetLimit()); limit > 0 {
		b.SpentShare = min(100, 100*amountOf(p.GetSpent())/limit)
		b.ReservedShare = min(100-b.SpentShare, 100*amountOf(p.GetReserved())/limit)
		b.Tight = b.SpentShare+b.ReservedShare >= tightShare
	}
	return b
}

// Told describes the bar for those who do not see it.
func (b periodBar) Told() string {
	if b.Limit == "" {
		return fmt.Sprintf("%s: %s spent, %s reserved, no limit", b.Name, b.Spent, b.Reserved)
	}
	return fmt.Sprintf("%s: %s spent, %s reserved, %s left of %s", b.Name, b.Spent, b.Reserved, b.Left, b.Limit)
}

// withCents is an amount with at least two decimals, so that amounts can be compared at a glance. It is empty for nil.
func withCents(m *gigagatev1.Money) string {
	if m == nil {
		return ""
	}
	amount := m.GetAmount()
	_, decimals, found := strings.Cut(amount, ".")
	if !found {
		amount += "."
	}
	return amount + strings.Repeat("0", max(0, 2-len(decimals)))
}

// amountOf is an amount for a picture. Money is never computed with it.
func amountOf(m *gigagatev1.Money) float64 {
	amount, _ := strconv.ParseFloat(m.GetAmount(), 64) // 0 if there is none
	return amount
}

// frozen is a freeze, and the form that ends it.
type frozen struct {
	*gigagatev1.Freeze
	Thaw freezeForm
}

// The targets of a freeze in a form.
const (
	freezeEverything = "everything"
	freezeCaller     = "caller"
	freezeItem       = "item"
)

// freezeForm is what an operator typed to freeze or thaw a target.
type freezeForm struct {
	Scope, Name, Reason string
	Operator            string
	OperatorFixed       bool
	Refused             *refusal
}

// freezeFormOf reads a form that was sent.
func freezeFormOf(r *http.Request) freezeForm {
	form := freezeForm{
		Scope: r.PostForm.Get("scope"), Name: strings.TrimSpace(r.PostForm.Get("name")), Reason: strings.TrimSpace(r.PostForm.Get("reason")),
	}
	form.Operator, form.OperatorFixed = operatorOf(r)
	return form
}

// target is the target in the contract's form.
func (f freezeForm) target() *gigagatev1.FreezeTarget {
	switch f.Scope {
	case freezeEverything:
		return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}
	case freezeCaller:
		return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Caller{Caller: f.Name}}
	case freezeItem:
		return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_InventoryItemId{InventoryItemId: f.Name}}
	}
	return nil
}

// scopeOf is the opposite of target.
func scopeOf(target *gigagatev1.FreezeTarget) (scope, name string) {
	switch t := target.GetTarget().(type) {
	case *gigagatev1.FreezeTarget_Caller:
		return freezeCaller, t.Caller
	case *gigagatev1.FreezeTarget_InventoryItemId:
		return freezeItem, t.InventoryItemId
	}
	return freezeEverything, ""
}

// auditRecord is one line of the audit.
type auditRecord struct {
	*gigagatev1.AuditRecord
}

// Did is the action.
func (r auditRecord) Did() string { return wordOf(r.GetAction()) }

// Ended is how the action ended.
func (r auditRecord) Ended() string { return wordOf(r.GetOutcome()) }

// Subject is what the action was about.
func (r auditRecord) Subject() string {
	var subjects []string
	for _, part := range [][2]string{
		{"caller", r.GetCaller()},
		{"item", r.GetInventoryItemId()},
		{"purchase", r.GetPurchaseId()},
		{"customer", r.GetCustomerUid()},
		{"package", r.GetActivatedItemUid()},
	} {
		if part[1] != "" {
			subjects = append(subjects, part[0]+" "+part[1])
		}
	}
	if len(subjects) == 0 {
		return "everything"
	}
	return strings.Join(subjects, ", ")
}

// moneyPage shows budgets, freezes and the audit.
func (c *Console) moneyPage(r *http.Request) (page, error) {
	shown, err := c.readMoney(r)
	return page{Title: "Budgets and freeze", Data: shown}, err
}

func (c *Console) readMoney(r *http.Request) (*money, error) {
	ctx, query := r.Context(), r.URL.Query()
	shown := &money{}
	shown.Form.Scope = freezeEverything
	shown.Form.Operator, shown.Form.OperatorFixed = operatorOf(r)
	budgets, err := c.budgets.ListBudgets(ctx, &gigagatev1.ListBudgetsRequest{PageToken: query.Get("budgets")})
	if err != nil && status.Code(err) != codes.PermissionDenied {
		return nil, err
	}
	shown.NoBudgets, shown.NextBudgets = err != nil, budgets.GetNextPageToken()
	for _, b := range budgets.GetBudgets() {
		one := budget{Budget: b}
		for _, period := range b.GetPeriods() {
			one.Bars = append(one.Bars, newPeriodBar(period))
		}
		shown.Budgets = append(shown.Budgets, one)
	}
	freezes, err := c.freezes.ListFreezes(ctx, &gigagatev1.ListFreezesRequest{})
	if err != nil && status.Code(err) != codes.PermissionDenied {
		return nil, err
	}
	shown.NoFreezes, shown.MoreFreezes = err != nil, freezes.GetNextPageToken() != ""
	for _, f := range freezes.GetFreezes() {
		thaw := freezeForm{Operator: shown.Form.Operator, OperatorFixed: shown.Form.OperatorFixed}
		thaw.Scope, thaw.Name = scopeOf(f.GetTarget())
		shown.Freezes = append(shown.Freezes, frozen{f, thaw})
	}
	records, err := c.audit.ListAuditRecords(ctx, &gigagatev1.ListAuditRecordsRequest{PageToken: query.Get("audit")})
	if err != nil && status.Code(err) != codes.PermissionDenied {
		return nil, err
	}
	shown.NoAudit, shown.NextRecords = err != nil, records.GetNextPageToken()
	for _, record := range records.GetRecords() {
		shown.Records = append(shown.Records, auditRecord{record})
	}
	return shown, nil
}

// errTwoTargets is for a form with a name of which the choice stayed as it was.
var errTwoTargets = &problem{http.StatusBadRequest, "A name was given, but everything was chosen", "Choose what the name is of, or clear it."}

// freeze stops new purchases.
func (c *Console) freeze(w http.ResponseWriter, r *http.Request) (next string, err error) {
	form := freezeFormOf(r)
	return c.changeFreeze(w, r, form, (*money).refuseFreeze, func() error {
		if form.Scope == freezeEverything && form.Name != "" {
			return errTwoTargets
		}
		_, err := c.freezes.Freeze(r.Context(), &gigagatev1.FreezeRequest{Target: form.target(), Operator: form.Operator, Reason: form.Reason})
		return err
	})
}

// thaw lets purchases go on.
func (c *Console) thaw(w http.ResponseWriter, r *http.Request) (next string, err error) {
	form := freezeFormOf(r)
	return c.changeFreeze(w, r, form, (*money).refuseThaw, func() error {
		_, err := c.freezes.Thaw(r.Context(), &gigagatev1.ThawRequest{Target: form.target(), Operator: form.Operator, Reason: form.Reason})
		return err
	})
}

// refuseFreeze shows a refused freeze.
func (m *money) refuseFreeze(form freezeForm) { m.Form = form }

// refuseThaw shows a refused thaw beside its freeze. In the form of a freeze, the next click would freeze.
func (m *money) refuseThaw(form freezeForm) {
	at := slices.IndexFunc(m.Freezes, func(f frozen) bool { return f.Thaw.Scope == form.Scope && f.Thaw.Name == form.Name })
	if at < 0 {
		m.Refused = form.Refused // somebody else thawed it
		return
	}
	m.Freezes[at].Thaw = form
}

// changeFreeze makes a change that was confirmed. A refused one is shown again, with what was typed.
func (c *Console) changeFreeze(
	w http.ResponseWriter, r *http.Request, form freezeForm, refuse func(*money, freezeForm), change func() error,
) (next string, err error) {
	if r.PostForm.Get("confirmed") != "yes" {
		err = errNotConfirmed
	} else {
		err = change()
	}
	if err == nil {
		return moneyPath, nil
	}
	form.Refused = refusalOf(err)
	shown, err := c.readMoney(r)
	if err != nil {
		return "", err
	}
	refuse(shown, form)
	c.show(w, r, "money", page{Title: "Budgets and freeze", Data: shown, Status: form.Refused.Status})
	return "", nil
}
