package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// table returns the answer as a terminal shows it.
func table(t *testing.T, answer proto.Message) string {
	t.Helper()
	var out bytes.Buffer
	if err := printTable(&out, answer); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTables(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 11, 29, 12, 0, 0, 1, time.UTC))
	for _, test := range []struct {
		name   string
		answer proto.Message
		want   string
	}{
		{"inventory", &gigagatev1.ListInventoryItemsResponse{Items: []*gigagatev1.InventoryItem{{
			Id: "item-1", Name: "World\x1b[2J", CountrySet: "WWW",
			Size: &gigagatev1.Size{Value: 50, Unit: "MB"}, Validity: &gigagatev1.Validity{Value: 7, Unit: "days"},
			Prices:       []*gigagatev1.Money{{Amount: "1.49", CurrencyCode: "USD"}, {Amount: "1.2", CurrencyCode: "EUR"}},
			RetailPrices: []*gigagatev1.Money{{Amount: "4.99", CurrencyCode: "USD"}},
		}, {Id: "item-2", ValidityUnlimited: true}}}, `
ID      NAME       DATA   LASTS      COUNTRIES  COSTS              RETAIL
item-1  World�[2J  50 MB  7 days     WWW        1.49 USD, 1.2 EUR  4.99 USD
item-2                    unlimited
`},
		{"purchases", &gigagatev1.ListPurchasesResponse{NextPageToken: "TOKEN", Purchases: []*gigagatev1.Purchase{{
			Id: "P1", RequestId: "order-1", CreateTime: at, Kind: gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP,
			State: gigagatev1.PurchaseState_PURCHASE_STATE_FAILED, Reason: gigagatev1.ErrorReason_ERROR_REASON_PRICE_MISMATCH,
		}}}, `
ID  MADE                  REQUEST ID  KIND    STATE   REASON          ACTIVATED ITEM
P1  2026-11-29T12:00:00Z  order-1     TOP_UP  FAILED  PRICE_MISMATCH

There are more: --page-token=TOKEN
`},
		{"no purchases", &gigagatev1.ListPurchasesResponse{}, `
ID  MADE  REQUEST ID  KIND  STATE  REASON  ACTIVATED ITEM
`},
		{"a purchase", &gigagatev1.GetPurchaseResponse{
			Purchase: &gigagatev1.Purchase{Id: "P1", RequestId: "order-1", State: gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN, Attempts: 1},
			History: []*gigagatev1.PurchaseEvent{
				{
					Time: at, Event: gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_CLAIMED, Attempt: 1,
					State: gigagatev1.PurchaseState_PURCHASE_STATE_SENDING, Actor: &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_GATEWAY},
				},
				{
					Time: at, Event: gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_UNKNOWN, Attempt: 1,
					State: gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN, Actor: &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_OPERATOR, Operator: "maria"},
					BytesWritten: 644, VendorStatus: 502, VendorMessage: "no\tluck\n", Contradicts: true,
				},
			},
			Reconciliation: &gigagatev1.Reconciliation{
				LastReadTime: at, LastResult: "the vendor's list lacks it", FailedReads: 2, Missing: "time", NextReadTime: at, OperatorTime: at,
			},
		}, `
id          P1
request id  order-1
state       UNCERTAIN
attempts    1

TIME                  EVENT             SEND  STATE      BY              EVIDENCE
2026-11-29T12:00:00Z  CLAIMED           1     SENDING    gateway
2026-11-29T12:00:00Z  ANSWERED_UNKNOWN  1     UNCERTAIN  operator maria  contradicts yes, bytes written 644, vendor status 502, vendor message no�luck�

It is not settled. It waits for time.
The vendor's records were last read at 2026-11-29T12:00:00Z: the vendor's list lacks it.
Failed reads in a row: 2.
They are read again at 2026-11-29T12:00:00Z at the earliest.
An operator is asked at 2026-11-29T12:00:00Z if nothing changes.

UNCERTAIN is explained in docs/purchase-life.md#purchase_state_uncertain.
`},
		{"a purchase that was not looked for yet", &gigagatev1.GetPurchaseResponse{Reconciliation: &gigagatev1.Reconciliation{Missing: "time"}}, `

TIME  EVENT  SEND  STATE  BY  EVIDENCE

It is not settled. It waits for time.
This gateway has not read the vendor's records for it yet.
`},
		{"budgets", &gigagatev1.ListBudgetsResponse{NextPageToken: "TOKEN", Budgets: []*gigagatev1.Budget{
			{Caller: "shop", PurchaseLimit: &gigagatev1.Money{Amount: "9.99", CurrencyCode: "USD"}, Periods: []*gigagatev1.BudgetPeriod{{
				Name: "2026-11-29", EndTime: at, Limit: &gigagatev1.Money{Amount: "50", CurrencyCode: "USD"}, Left: &gigagatev1.Money{Amount: "41.6", CurrencyCode: "USD"},
				Reserved: &gigagatev1.Money{Amount: "4.2", CurrencyCode: "USD"}, Spent: &gigagatev1.Money{Amount: "4.2", CurrencyCode: "USD"},
			}}},
			{Caller: "web", Periods: []*gigagatev1.BudgetPeriod{{Name: "total", Spent: &gigagatev1.Money{Amount: "0", CurrencyCode: "EUR"}}}},
		}}, `
CALLER  PERIOD        LIMIT     RESERVED  SPENT    LEFT      ENDS
shop    one purchase  9.99 USD
shop    2026-11-29    50 USD    4.2 USD   4.2 USD  41.6 USD  2026-11-29T12:00:00Z
web     total                             0 EUR

There are more: --page-token=TOKEN
`},
		{"a sale", &gigagatev1.RegisterResponse{
			PurchaseId: "P1",
			ActivatedItem: &gigagatev1.ActivatedItem{Uid: "u", Balance: &gigagatev1.Balance{
				ExpiresAt: at, Size: &gigagatev1.Size{Value: 1, Unit: "GB"},
				ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE, State: gigagatev1.BalanceState(99),
			}, RetailPrice: &gigagatev1.Money{Amount: "9.99", CurrencyCode: "USD"}},
			Customer: &gigagatev1.Customer{Uid: "c"},
		}, `
purchase id  P1
activated item
  uid  u
  balance
    expires at       2026-11-29T12:00:00Z
    activation mode  FIRST_USE
    size             1 GB
    state            99
  retail price       9.99 USD
customer
  uid  c
`},
	} {
		if got := table(t, test.answer); got != test.want[1:] {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want[1:])
		}
	}
}

// TestOutputIsJSONUnlessATerminal: everything but a terminal gets JSON, unless --output says otherwise.
func TestOutputIsJSONUnlessATerminal(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sold := g.sell(t, "order-1", "--output=table")
	if sold.status != 0 || !strings.Contains(sold.out, "\n  balance\n") || strings.Contains(sold.out, "{") {
		t.Errorf("%+v", sold)
	}
	for _, args := range [][]string{{"inventory"}, {"purchases", "list"}} {
		for output, want := range map[string]bool{"--output=table": false, "--output=json": true, "--timeout=9s": true} {
			got := gigagate(t, append(args, "--address="+g.grpc, output)...)
			if json := strings.HasPrefix(got.out, "{\n"); got.status != 0 || json != want || !json && !strings.HasPrefix(got.out, "ID ") {
				t.Errorf("%v %s: %+v", args, output, got)
			}
		}
	}
	if got := gigagate(t, "inventory", "--output=xml"); got.status != exitUsage || !strings.Contains(got.err, "--output must be one of") {
		t.Errorf("%+v", got)
	}
	status := run(t.Context(), []string{"inventory", "--address=" + g.grpc, "--output=table"}, console{out: full{}, err: &bytes.Buffer{}})
	if status != exitFailed {
		t.Errorf("a table that cannot be written: exit status %d", status)
	}
}

// onTerminal runs gigagate in a separate process on a terminal, and returns what the terminal shows.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	needTools(t, "script")
	if runtime.GOOS != "linux" {
		t.Skip("the script program of this system is another one")
	}
	cmd := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--command", "'"+strings.Join(append([]string{os.Args[0]}, args...), "' '")+"'", os.DevNull)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v: %s", args, err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

func TestTerminalsGetTables(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if shown := onTerminal(t, "inventory", "--address="+g.grpc); !strings.HasPrefix(shown, "ID ") {
		t.Error(shown)
	}
	if shown := onTerminal(t, "inventory", "--address="+g.grpc, "--output=json"); !strings.HasPrefix(shown, "{\n") {
		t.Error(shown)
	}
	shown := onTerminal(t, "bench", "--address="+g.grpc, "--sandbox-address="+g.sandbox, "--count=20", "--item="+sandbox.ItemWorldwide50MB)
	if !regexp.MustCompile(`^buys 20 × .*\n\r\x1b\[K\d+ of 20`).MatchString(shown) || !strings.Contains(shown, "\r\x1b[K20 calls in ") {
		t.Errorf("%q", shown)
	}
}
