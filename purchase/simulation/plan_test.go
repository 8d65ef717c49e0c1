package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// plan is what will happen in a history. It is drawn from a seed. A seed always gives the same plan, and
// nearly always the same history: only the order of goroutines at one instant is left to the scheduler.
type plan struct {
	seed     uint64
	replicas int
	settings sandbox.Settings
	setting  []string // names of the settings that differ from the sandbox's defaults, for a reader

	tls                      bool // with TLS, faults inside requests do not play
	throttledHasNoEffect     bool
	maxPurchasePrice         *purchase.Price  // the gateway's own limit
	budget                   *purchase.Budget // of the caller, for the calls; nil: none
	otherAccountAfterRestart bool
	otherAccountBeside       bool // the second replica uses it from the start
	// accountsApart gives the other account its own records. Without it, both client ids are of one account.
	accountsApart bool
	// formerSaid configures the gateways with both client ids as ids of one account.
	formerSaid bool

	// older are bought before any fault, younger afterwards. They are the witnesses.
	older, younger []purchase.Order
	calls          []call
	// inTurn: one caller makes the calls one after the other, each once. Their times are the pauses before them.
	inTurn    bool
	operators []operator
	freezers  []freezer
	faults    []fault
	jumps     []jump
	// healAfter is when all faults end.
	healAfter time.Duration
	// pace is how many times faster than planned the history runs; 0 and 1 mean as planned. See [plan.faster].
	pace int
	// beyondQuiet lets the vendor act later than the gateway waits. The gateway's answer may then be
	// wrong. It has to report this once it sees the sale.
	beyondQuiet bool
}

// call describes one caller. It repeats the same request id until it has an answer or gives up.
type call struct {
	key      string
	order    purchase.Order
	budget   *purchase.Budget
	personal purchase.Personal
	at       time.Duration
	replica  int
	deadline time.Duration // 0: none
	gone     time.Duration // time until the caller hangs up; 0: never
	tries    int
}

// operator looks into the vendor's portal, finds no sale for a key, and reports that, possibly too early.
type operator struct {
	key     string
	at      time.Duration
	replica int
}

// jump sets the journal's clock forward or back.
type jump struct{ at, by time.Duration }

// String describes the plan for a reader.
func (p plan) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d, %d replicas, settings %v, 429 has no effect: %t, other account after a restart: %t, beside: %t, clock jumps %v\n",
		p.seed, p.replicas, p.setting, p.throttledHasNoEffect, p.otherAccountAfterRestart, p.otherAccountBeside, p.jumps)
	if p.budget != nil {
		fmt.Fprintf(&text, "  on a budget of %s %s\n", p.budget.Total, p.budget.Currency)
	}
	for _, c := range p.calls {
		fmt.Fprintf(&text, "  at %s on replica %d: %s %s %s, deadline %s, gone after %s, %d tries\n",
			c.at, c.replica+1, c.key, c.order.Kind, c.order.ActivationMode, c.deadline, c.gone, c.tries)
	}
	for _, o := range p.operators {
		fmt.Fprintf(&text, "  at %s on replica %d: an operator looks for %s\n", o.at, o.replica+1, o.key)
	}
	for _, f := range p.freezers {
		fmt.Fprintf(&text, "  at %s on replica %d: an operator freezes %+v for %s\n", f.at, f.replica+1, f.target, f.lasts)
	}
	for _, f := range p.faults {
		fmt.Fprintf(&text, "  %s\n", f)
	}
	return text.String()
}

// theCustomer stands for the customer of the first purchase, whose uid is not known yet.
const theCustomer = "the-customer"

func order(kind purchase.Kind, mode gigastore.ActivationMode, metatag string) purchase.Order {
	o := purchase.Order{Kind: kind, InventoryItemID: sandbox.ItemWorldwide50MB, Metatag: metatag, ActivationMode: mode}
	switch kind {
	case purchase.Register:
		o.UserCountry = "GR"
	case purchase.TopUp:
		o.CustomerUID = theCustomer
	case purchase.TopUpWithProfile:
		o.CustomerUID, o.UserCountry = theCustomer, "GR"
	}
	return o
}

func personal(kind purchase.Kind, email bool) purchase.Personal {
	switch {
	case kind == purchase.TopUp:
		return purchase.Personal{}
	case kind == purchase.Register && email:
		return purchase.Personal{CustomerEmail: canaryEmail, UserIP: canaryIP}
	}
	return purchase.Personal{UserIP: canaryIP}
}

var (
	kinds = []purchase.Kind{purchase.Register, purchase.TopUp, purchase.TopUpWithProfile}
	modes = []gigastore.ActivationMode{"", gigastore.ModeNow, gigastore.ModeFirstUse, gigastore.ModeOnDemand}
)

// setting changes one of the sandbox's choices.
type setting struct {
	name  string
	apply func(*sandbox.Settings)
}

// settings cover what is unknown about the vendor and could matter to a purchase. Two cases are left out,
// because there is no defence against them: lists that lag, after a late commit, for longer than the quiet
// time; and lists that are cut without being sorted, which may leave out any package.
var settings = []setting{
	{"latency 20ms", func(s *sandbox.Settings) { s.Latency = sandbox.Duration(20 * time.Millisecond) }},
	{"latency 5s", func(s *sandbox.Settings) { s.Latency = sandbox.Duration(5 * time.Second) }},
	{"key replayed", func(s *sandbox.Settings) { s.IdempotencyKey = sandbox.KeyReplayed }},
	{"key replayed, failures too", func(s *sandbox.Settings) {
		s.IdempotencyKey, s.IdempotencyStoresFailures = sandbox.KeyReplayed, true
	}},
	{"key conflicts", func(s *sandbox.Settings) { s.IdempotencyKey = sandbox.KeyRefusedWithConflict }},
	{"key forgotten", func(s *sandbox.Settings) {
		s.IdempotencyKey, s.IdempotencyForgottenAfter = sandbox.KeyReplayed, sandbox.Duration(time.Second)
	}},
	{"key sells while running", func(s *sandbox.Settings) {
		s.IdempotencyKey, s.IdempotencyWhileRunning = sandbox.KeyReplayed, sandbox.RunningSells
	}},
	{"list lags", func(s *sandbox.Settings) { s.ListLag = sandbox.Duration(30 * time.Second) }},
	{"reads lag", func(s *sandbox.Settings) { s.ReadLag = sandbox.Duration(30 * time.Second) }},
	{"both lag", func(s *sandbox.Settings) {
		s.ListLag, s.ReadLag = sandbox.Duration(60*time.Second), sandbox.Duration(60*time.Second)
	}},
	{"list by activation", func(s *sandbox.Settings) {
		s.ListDate, s.ListDefaultWindow = sandbox.ListDateActivation, sandbox.Duration(30*24*time.Hour)
	}},
	{"list of 2 minutes", func(s *sandbox.Settings) { s.ListDefaultWindow = sandbox.Duration(2 * time.Minute) }},
	{"list of 2", func(s *sandbox.Settings) { s.ListCap = 2 }},
	{"list unsorted", func(s *sandbox.Settings) { s.ListSorted = false }},
	{"list without metatags", func(s *sandbox.Settings) { s.ListMetatags = false }},
	{"list nested", func(s *sandbox.Settings) { s.ListElement = sandbox.ElementNested }},
	{"metatags of 20 bytes", func(s *sandbox.Settings) { s.MetatagMax = 20 }},
	{"metatags of 30 bytes", func(s *sandbox.Settings) { s.MetatagMax = 30 }},
	{"metatags refused", func(s *sandbox.Settings) {
		s.MetatagMax, s.MetatagTooLong = 20, sandbox.MetatagRefused
	}},
	{"same customer again", func(s *sandbox.Settings) { s.SecondRegister = sandbox.SecondRegisterSameCustomer }},
	{"customer exists", func(s *sandbox.Settings) { s.SecondRegister = sandbox.SecondRegisterRefused }},
	{"tokens live 30s", func(s *sandbox.Settings) { s.TokenLifetime = sandbox.Duration(30 * time.Second) }},
	{"tokens live 30s, without expires_in", func(s *sandbox.Settings) {
		s.TokenLifetime, s.ExpiresInShown = sandbox.Duration(30*time.Second), false
	}},
	{"a new token revokes", func(s *sandbox.Settings) { s.NewTokenRevokesOlder = true }},
	{"credit for 3", func(s *sandbox.Settings) { s.InitialCredit = 3 * 149 }},
	{"errors in a 200", func(s *sandbox.Settings) { s.ErrorShape = sandbox.ShapeStatusWord }},
	{"errors without a body", func(s *sandbox.Settings) { s.ErrorShape = sandbox.ShapeEmpty }},
	{"no sales date", func(s *sandbox.Settings) { s.SalesDateShown = false }},
	{"no e-mail", func(s *sandbox.Settings) { s.CustomerEmail = sandbox.EmailNull }},
	{"empty time absent", func(s *sandbox.Settings) { s.EmptyActivatedAt = sandbox.EmptyAbsent }},
}

// allSteps are the steps at which a plan can have faults.
func allSteps() []string {
	return append(slices.Clone(journalSteps), stepDial, stepSend, stepAnswer, stepToken, stepRead)
}

// draw makes the plan of a seed.
func draw(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0x676967616761746f))
	p := plan{seed: seed, replicas: pick(r, 1, 1, 2, 2, 3), settings: sandbox.DefaultSettings()}
	for range pick(r, 0, 0, 1, 1, 2) {
		s := settings[r.IntN(len(settings))]
		s.apply(&p.settings)
		p.setting = append(p.setting, s.name)
	}
	if !p.settings.ListSorted {
		p.settings.ListCap = 0
	}
	p.throttledHasNoEffect = r.IntN(8) == 0
	p.healAfter = pick(r, 2*time.Minute, 2*time.Minute, 2*time.Minute, 6*time.Minute)
	p.otherAccountAfterRestart = r.IntN(20) == 0
	p.otherAccountBeside = p.replicas > 1 && r.IntN(20) == 0

	kind, mode := pick(r, kinds...), pick(r, modes...)
	for i := range pick(r, 0, 1, 1, 2) {
		p.older = append(p.older, order(kind, mode, fmt.Sprintf("older-%d", i)))
	}
	for i := range pick(r, 0, 1, 1) {
		p.younger = append(p.younger, order(kind, mode, fmt.Sprintf("younger-%d", i)))
	}
	keys := 1 + r.IntN(3)
	for i := range keys + r.IntN(4) {
		key := fmt.Sprintf("order-%d", i%keys)
		c := call{
			key: key, order: order(kind, mode, key), personal: personal(kind, i%2 == 0),
			at: pick(r, 0, 0, 0, 10*time.Millisecond, time.Second, 4*time.Second, 20*time.Second, 70*time.Second), replica: r.IntN(3),
			deadline: pick(r, 0, 0, time.Millisecond, 600*time.Millisecond, 2*time.Second, 30*time.Second), tries: 1 + r.IntN(4),
			gone: pick(r, 0, 0, 0, 0, 0, 0, time.Millisecond, time.Second),
		}
		if i >= keys {
			c.personal = p.calls[i%keys].personal
			if r.IntN(6) == 0 { // another order with the same id
				c.order.InventoryItemID = sandbox.ItemWorldwide1GB
			}
		}
		p.calls = append(p.calls, c)
	}
	steps := allSteps()
	for range pick(r, 0, 1, 1, 2, 2, 3, 4) {
		step := pick(r, steps...)
		if r.IntN(3) == 0 {
			step = stepSend
		}
		f := pick(r, faultsAt(step)...)
		if p.throttledHasNoEffect && f.String() == throttledSale.String() {
			continue // this vendor contradicts the setting that a 429 has no effect
		}
		f.nth = pick(r, 1, 1, 1, 2, 2, 3, 5)
		if f.do == doVendor+"truncate" {
			f.params = m{"bytes": r.IntN(1500)}
		}
		p.faults = append(p.faults, f)
	}
	if len(p.setting) == 0 && !p.otherAccountAfterRestart && !p.otherAccountBeside && r.IntN(20) == 0 {
		p.beyondQuiet = true
		f := vendor(stepSend, "commit_late", m{"delay": "15m"})
		f.nth = pick(r, 1, 2)
		p.faults = append(p.faults, f)
	}
	if r.IntN(12) == 0 {
		p.jumps = append(p.jumps, jump{
			at: pick(r, 0, time.Second, 30*time.Second, 90*time.Second), by: pick(r, -50*time.Minute, -time.Minute, time.Minute, 20*time.Minute, 50*time.Minute),
		})
	}
	for range pick(r, 0, 0, 1, 3) {
		p.operators = append(p.operators, operator{
			key: fmt.Sprintf("order-%d", r.IntN(keys)), replica: r.IntN(3),
			at: pick(r, time.Second, 3*time.Second, 12*time.Second, 45*time.Second, 100*time.Second, 3*time.Minute, 5*time.Minute, 9*time.Minute),
		})
	}
	for _, target := range freezeTargets {
		if r.IntN(4) == 0 {
			p.freezers = append(p.freezers, freezer{
				target: target, replica: r.IntN(3), at: pick(r, 0, 10*time.Millisecond, time.Second, 3*time.Second, 19*time.Second),
				lasts: pick(r, 0, 10*time.Millisecond, time.Second, 5*time.Second, 30*time.Second),
			})
		}
	}
	// Nothing, one package, two of them, or more than enough.
	if total := pick[purchase.Micros](r, 0, 0, 1_490_000, 3_000_000, 1_000_000_000); total > 0 {
		p.budget = budgetOf(total)
	}
	return p
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }
