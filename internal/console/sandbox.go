package console

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	sandboxPath = Root + "sandbox"
	// shownSales is how many packages the page shows, the newest first.
	shownSales = 12
	// buyTime is how long the page waits for a purchase. The purchase goes on without it.
	buyTime = 3 * time.Second
	// usedBytes is how much data one click uses.
	usedBytes = 10_000_000
)

// sandboxView is the vendor that this process plays.
type sandboxView struct {
	Credit    string
	Sold      int
	Customers int
	Refunded  int
	Now       *timestamppb.Timestamp
	Armed     []sandboxFault
	Faults    sandboxFaults
	Sales     []sandboxSale // the newest
	Scenarios []scenario
}

// Hidden is how many sales are not on the page.
func (v sandboxView) Hidden() int { return v.Sold - len(v.Sales) }

// sandboxPage shows the sandbox.
func (c *Console) sandboxPage(r *http.Request) (page, error) {
	var ledger sandboxLedger
	var clock struct {
		Now time.Time `json:"now"`
	}
	var view sandboxView
	for name, into := range map[string]any{"ledger": &ledger, "clock": &clock, "faults": &view.Faults} {
		if err := c.sandbox().call(r.Context(), http.MethodGet, name, nil, into); err != nil {
			return page{}, err
		}
	}
	view.Credit, view.Sold, view.Now, view.Armed = ledger.CreditLeft.String(), len(ledger.Sales), timestamppb.New(clock.Now), view.Faults.Armed
	view.Scenarios = scenarios
	customers := map[string]bool{}
	for _, sale := range ledger.Sales {
		customers[sale.CustomerUID] = true
		if sale.Refunded {
			view.Refunded++
		}
	}
	view.Customers = len(customers)
	view.Sales = ledger.Sales[max(0, len(ledger.Sales)-shownSales):]
	slices.Reverse(view.Sales)
	return page{Title: "Sandbox", Data: view}, nil
}

func (c *Console) sandbox() sandboxControl { return sandboxControl{c.config.Sandbox} }

// playScenario breaks the sandbox, buys a package, and goes to its page.
func (c *Console) playScenario(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	at := slices.IndexFunc(scenarios, func(s scenario) bool { return s.Name == r.PostForm.Get("scenario") })
	if at < 0 {
		return "", &problem{http.StatusBadRequest, "There is no such scenario", ""}
	}
	for _, fault := range scenarios[at].Faults {
		if err := c.sandbox().call(r.Context(), http.MethodPost, "faults", fault, nil); err != nil {
			return "", sandboxProblem(err)
		}
	}
	return c.buyOne(r.Context())
}

// buyOne makes an order of the operator who looks at the page. With a callers file, operators cannot buy.
func (c *Console) buyOne(ctx context.Context) (next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, buyTime)
	defer cancel()
	sold, err := gigagatev1.NewActivationServiceClient(c.config.Services).Register(ctx, &gigagatev1.RegisterRequest{
		RequestId: "console-" + strings.ToLower(rand.Text()[:10]), InventoryItemId: c.config.SandboxItem, Metatag: "bought in the console",
		UserIp: "203.0.113.24", UserCountry: "GR", ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE,
	})
	id := sold.GetPurchaseId()
	if err != nil {
		id = outcomeOf(err).GetPurchaseId()
	}
	if id == "" {
		return "", err
	}
	return purchasePath(id), nil
}

// armFault arms one fault.
func (c *Console) armFault(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	count, err := strconv.Atoi(r.PostForm.Get("count"))
	if err != nil {
		return "", &problem{http.StatusBadRequest, "The number of calls is not a number", "Go back and write one."}
	}
	return c.control(r, http.MethodPost, "faults", sandboxFault{Path: r.PostForm.Get("path"), Fault: r.PostForm.Get("fault"), Count: count})
}

// repair removes all faults.
func (c *Console) repair(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	return c.control(r, http.MethodDelete, "faults", nil)
}

// moveClock moves the sandbox's clock forward.
func (c *Console) moveClock(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	return c.control(r, http.MethodPost, "clock", map[string]string{"advance": r.PostForm.Get("by")})
}

// connectESIM makes an eSIM connect to a network.
func (c *Console) connectESIM(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	return c.control(r, http.MethodPost, "connect", map[string]string{"iccid": r.PostForm.Get("iccid")})
}

// useData uses some data of a package.
func (c *Console) useData(_ http.ResponseWriter, r *http.Request) (next string, err error) {
	return c.control(r, http.MethodPost, "use", map[string]any{"itemUid": r.PostForm.Get("item"), "bytes": usedBytes})
}

// control changes the sandbox and goes back to its page.
func (c *Console) control(r *http.Request, method, name string, body any) (next string, err error) {
	if err := c.sandbox().call(r.Context(), method, name, body, nil); err != nil {
		return "", sandboxProblem(err)
	}
	return sandboxPath, nil
}

// sandboxProblem shows the sandbox's own sentence.
func sandboxProblem(err error) error {
	return &problem{http.StatusBadRequest, sentence(err.Error()), "This was said by the sandbox. It changed nothing."}
}
