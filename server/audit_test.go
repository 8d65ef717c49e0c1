package server_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// records are the audit records of an action, the newest first.
func (g *gateway) records(t *testing.T, action purchase.AuditAction) (found []purchase.AuditRecord) {
	t.Helper()
	list, _, err := g.engine.AuditRecords(t.Context(), purchase.AuditFilter{}, purchase.Page{Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Action == action {
			found = append(found, r)
		}
	}
	return found
}

// Every answer with codes has a record, except the first answer to an order. If the journal takes no record, an operator
// sees no codes. A caller still gets the codes that were paid for, and the log says that the record is missing.
func TestSecretsAreAudited(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		journal := newFaultyJournal()
		blind := caller("blind", func(r *access.Rights) { r.Secrets, r.All, r.SoldElsewhere = false, true, true })
		known := newCallers(caller("shop"), operator("anna"), blind)
		g := openFor(t, known, func(s *setup) { s.journal = journal })
		if broken {
			journal.audit.Store(&errJournal)
		}
		for _, d := range g.transports() {
			order := register()
			a := d.call(t, t.Context(), ask(order).as("shop"))
			a.ok(t)
			sold := a.reply.(*gigagatev1.RegisterResponse)
			code, customer := sold.GetEsimProfile().GetActivationCode(), sold.GetCustomer().GetUid()
			if code == "" {
				t.Fatal("the sale has no code")
			}
			if n := len(g.records(t, purchase.AuditReadSecrets)); n != 0 && d.name == "grpc" {
				t.Errorf("%d records of a first answer", n)
			}
			for _, c := range []struct {
				name    string
				message proto.Message
				record  *purchase.AuditRecord
			}{
				{"shop", order, &purchase.AuditRecord{Actor: "shop", ActorKind: purchase.ActorCaller, PurchaseID: sold.GetPurchaseId(), CustomerUID: customer}},
				{"shop", getCustomer(customer), &purchase.AuditRecord{Actor: "shop", ActorKind: purchase.ActorCaller, CustomerUID: customer}},
				{"anna", getCustomer(customer), &purchase.AuditRecord{Actor: "anna", ActorKind: purchase.ActorOperator, CustomerUID: customer}},
				{"blind", getCustomer(customer), nil},
				{"shop", &gigagatev1.GetPurchaseRequest{Id: sold.GetPurchaseId()}, nil},
			} {
				before, logged := g.records(t, purchase.AuditReadSecrets), len(g.logs.String())
				a := d.call(t, t.Context(), ask(c.message).as(c.name))
				after := g.records(t, purchase.AuditReadSecrets)
				if broken && c.name == "anna" {
					a.check(t, journalUnavailable)
				} else {
					a.ok(t)
				}
				shows := strings.Contains(a.text, code) || a.reply != nil && strings.Contains(mustMarshal(t, a.reply), code)
				if want := c.record != nil && (!broken || c.name != "anna"); shows != want {
					t.Errorf("%s: %s by %s, broken %t: shows the code %t", d.name, shortName(c.message), c.name, broken, shows)
				}
				if c.record != nil && broken {
					g.logs.line(t, `"level":"ERROR"`, `"msg":"the journal may lack an audit record"`, `"actor":"`+c.name+`"`)
					g.logs.line(t, `"msg":"audit"`, `"actor":"`+c.name+`"`, customer)
				}
				if c.record == nil || broken {
					if len(after) != len(before) {
						t.Errorf("%s: %s by %s has a record", d.name, shortName(c.message), c.name)
					}
					continue
				}
				if len(after) != len(before)+1 {
					t.Fatalf("%s: %s by %s has %d records", d.name, shortName(c.message), c.name, len(after)-len(before))
				}
				c.record.ID, c.record.At, c.record.Action, c.record.Outcome = after[0].ID, after[0].At, purchase.AuditReadSecrets, purchase.AuditDone
				if after[0] != *c.record {
					t.Errorf("%s: the record is %+v, want %+v", d.name, after[0], *c.record)
				}
				if line := g.logs.String()[logged:]; !strings.Contains(line, `"msg":"audit"`) || strings.Contains(line, code) {
					t.Errorf("%s: the log has no line of the record, or has the code: %s", d.name, line)
				}
			}
		}
	}
}

func mustMarshal(t *testing.T, message proto.Message) string {
	t.Helper()
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A package is started only after that is recorded, and its outcome is recorded, too.
func TestActivationsAreAudited(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := openFor(t, newCallers(caller("shop")), func(s *setup) { s.journal = journal })
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(register(mode(onDemand))).as("shop"))
		a.ok(t)
		item := a.reply.(*gigagatev1.RegisterResponse).GetActivatedItem().GetUid()
		journal.audit.Store(&errJournal)
		d.call(t, t.Context(), ask(activate(item)).as("shop")).check(t, journalUnavailable)
		journal.audit.Store(nil)
		if n := len(g.started(item)); n != 0 {
			t.Errorf("%s: started %d times without a record", d.name, n)
		}
		before := len(g.records(t, purchase.AuditActivate))
		d.call(t, t.Context(), ask(activate(item)).as("shop")).ok(t)
		records := g.records(t, purchase.AuditActivate)
		if len(records) != before+2 || records[0].Outcome != "APPLIED" || records[1].Outcome != purchase.AuditBegun ||
			records[0].ActivatedItemUID != item || records[0].Actor != "shop" || records[0].ActorKind != purchase.ActorCaller {
			t.Errorf("%s: %+v", d.name, records)
		}
		d.call(t, t.Context(), ask(activate(item)).as("shop")).ok(t) // it is active already, so nothing is done
		if n := len(g.records(t, purchase.AuditActivate)); n != before+2 {
			t.Errorf("%s: %d records after a call that did nothing", d.name, n-before)
		}
	}
}
