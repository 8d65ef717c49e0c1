package console

// scenario breaks the sandbox in one way, and then buys a package.
type scenario struct {
	Name   string // in the form
	Title  string
	Told   string
	Watch  string
	Faults []sandboxFault
}

const (
	registerPath = "/gigastore/activations/register"
	listPath     = "/gigastore/activations/activated-items"
	everyPath    = "/gigastore/*"
	// untilRepaired is a number of calls that nobody reaches by hand.
	untilRepaired = 1_000_000
)

var scenarios = []scenario{
	{
		Name: "none", Title: "Nothing breaks",
		Told:  "The sandbox sells and answers.",
		Watch: "The purchase succeeds at once.",
	},
	{
		Name: "lost-answer", Title: "The answer is lost",
		Told:   "The sandbox sells. Then the connection breaks before the answer.",
		Watch:  "The purchase is uncertain for some seconds. The gateway finds the sale in the vendor's list.",
		Faults: []sandboxFault{{Path: registerPath, Fault: "commit_then_reset"}},
	},
	{
		Name: "lost-answer-no-list", Title: "The answer is lost, and the list cannot be read",
		Told:  "The sandbox sells. The connection breaks, and every read of its list fails.",
		Watch: "The purchase stays uncertain until you repair the sandbox, or until you settle it.",
		Faults: []sandboxFault{
			{Path: registerPath, Fault: "commit_then_reset"},
			{Path: listPath, Fault: "list_fail", Count: untilRepaired},
		},
	},
	{
		Name: "lost-request", Title: "The request is lost",
		Told:   "The connection breaks before the sandbox has the whole order. It sells nothing.",
		Watch:  "The gateway cannot know. It waits until the list shows that nothing was sold.",
		Faults: []sandboxFault{{Path: registerPath, Fault: "reset_before", Params: map[string]any{"afterBytes": "request"}}},
	},
	{
		Name: "mark-edited", Title: "Somebody edits our mark",
		Told:   "The sandbox sells, but spoils the mark that the gateway looks for.",
		Watch:  "No read finds the sale. The purchase needs an operator after some minutes.",
		Faults: []sandboxFault{{Path: registerPath, Fault: "metatag_rewritten"}},
	},
	{
		Name: "throttled", Title: "The vendor asks us to wait",
		Told:   "The sandbox answers that it got too many calls. It sells nothing.",
		Watch:  "The gateway sends again when it may, and buys once.",
		Faults: []sandboxFault{{Path: registerPath, Fault: "throttle"}},
	},
	{
		Name: "refused", Title: "No credit left",
		Told:   "The sandbox refuses the order.",
		Watch:  "The purchase fails, and nothing was sold.",
		Faults: []sandboxFault{{Path: registerPath, Fault: "refuse", Params: map[string]any{"reason": "insufficientCredits"}}},
	},
	{
		Name: "outage", Title: "The vendor is down",
		Told:   "Every call gets a server error until you repair the sandbox.",
		Watch:  "The gateway stops sending, and says so under Now.",
		Faults: []sandboxFault{{Path: everyPath, Fault: "5xx", Count: untilRepaired}},
	},
}
