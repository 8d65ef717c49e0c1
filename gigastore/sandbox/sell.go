package sandbox

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// order is a paid request after parsing.
type order struct {
	inventoryItemID string
	metatag         string
	expected        *price
	mode            string // as sent
	email           string // register
	country         string // register, top-up-with-profile
	customerUID     string // both top-ups
	domain          string // both top-ups
	dedicated       bool   // top-up-with-profile
}

// readOrder checks the form of a paid request. If the form is wrong, it returns
// a sentence that says why. It is unknown which fields the service really
// enforces. These are the fields that its pages list as needed (dossier 2.2 to
// 2.4).
func readOrder(data []byte, kind Kind, settings *Settings) (order, string) {
	b := newBody(data)
	o := order{
		inventoryItemID: b.requiredText("inventoryItemId"),
		metatag:         b.requiredText("metatag"),
		expected:        b.price("expectedPrice"),
		mode:            b.text("activationMode"),
	}
	var userIP string
	if kind == KindRegister {
		o.email = b.text("customerEmail")
		userIP, o.country = b.requiredText("userIp"), b.requiredText("userCountry")
	} else {
		o.customerUID = b.requiredText("customerUid")
		o.domain = b.text("customerProfileDomainId")
		userIP, o.country = b.text("userIp"), b.text("userCountry")
	}
	if kind == KindTopUpWithProfile {
		o.dedicated = b.flag("dedicated", false)
	}
	if _, err := netip.ParseAddr(userIP); userIP != "" && err != nil {
		b.fail("The field userIp must be an IP address.")
	}
	if o.country != "" && !isCountryCode(o.country) {
		b.fail("The field userCountry must be a country code of two letters.")
	}
	if o.email != "" && !looksLikeEmail(o.email) {
		b.fail("The field customerEmail must be an email address.")
	}
	if o.dedicated && o.domain != "" {
		// It is unknown whether the two exclude each other (dossier 2.4).
		b.fail("The fields dedicated and customerProfileDomainId exclude each other.")
	}
	if settings.MetatagMax > 0 && len(o.metatag) > settings.MetatagMax && settings.MetatagTooLong == MetatagRefused {
		b.fail("The field metatag is too long.")
	}
	if settings.UnknownActivationMode == UnknownModeRefused && o.mode != "" && !isMode(o.mode) {
		b.fail("The field activationMode must be one of NOW, FIRST_USE, ON_DEMAND.")
	}
	b.end(settings.UnknownMembers)
	return o, b.sentence
}

func looksLikeEmail(text string) bool {
	local, host, found := strings.Cut(text, "@")
	return found && local != "" && host != "" && !strings.ContainsAny(text, " \t\r\n") && !strings.Contains(host, "@")
}

func isMode(text string) bool {
	switch Mode(text) {
	case ModeNow, ModeFirstUse, ModeOnDemand:
		return true
	}
	return false
}

// sell handles a paid call. All checks come first. Then the sale is one step.
func sell(kind Kind) func(*world, *call) answer {
	return func(w *world, c *call) answer {
		o, sentence := readOrder(c.body, kind, &w.settings)
		if sentence != "" {
			return w.malformed(c, sentence)
		}
		p := w.product(o.inventoryItemID)
		if p == nil {
			return w.refuseFor(c, "inventoryItemNotFound")
		}
		var cu *customer
		if kind == KindRegister {
			cu = w.customerToReuse(o.email, p.countrySet)
			if cu != nil && w.settings.SecondRegister == SecondRegisterRefused {
				return w.malformed(c, SentenceCustomerExists)
			}
		} else {
			if cu = w.byUID[o.customerUID]; cu == nil {
				return w.refuseFor(c, "customerNotFound")
			}
			if cu.countrySet != p.countrySet {
				return w.refuseFor(c, "countrySetMismatch")
			}
			if o.domain != "" && !cu.hasDomain(o.domain) {
				return w.refuse(c, w.settings.Statuses.NotFound, SentenceProfileDomainNotFound)
			}
		}
		mode, offered := w.modeInForce(o.mode, p)
		if !offered {
			return w.refuseFor(c, "modeNotAvailable")
		}
		if o.expected != nil && (o.expected.currency != "USD" || !p.retail.equals(o.expected.value)) {
			return w.refuseFor(c, "priceMismatch")
		}
		if w.credit < p.purchase {
			return w.refuseFor(c, "insufficientCredits")
		}
		return w.commit(c, kind, o, p, cu, mode)
	}
}

// modeInForce reads an activation mode as the vendor may. offered is false if
// the sale must be refused because of the mode.
func (w *world) modeInForce(sent string, p *product) (mode Mode, offered bool) {
	mode = Mode(sent)
	if !isMode(sent) { // absent or mistyped: the default, which cannot be undone
		mode = ModeNow
	}
	if mode != ModeOnDemand || !p.singleCountry() {
		return mode, true
	}
	switch w.settings.OnDemandSingleCountry {
	case OnDemandBecomesNow:
		return ModeNow, true
	case OnDemandBecomesFirstUse:
		return ModeFirstUse, true
	case OnDemandSold:
		return ModeOnDemand, true
	case OnDemandRefused:
	}
	return mode, false
}

// commit is the sale. Nothing in it can fail.
func (w *world) commit(c *call, kind Kind, o order, p *product, cu *customer, mode Mode) answer {
	w.credit -= p.purchase
	if cu == nil {
		cu = w.newCustomer(o, p.countrySet)
	}
	domain := o.domain
	switch {
	case o.dedicated:
		domain = w.newUID("domain")
		cu.domains = append(cu.domains, domain)
	case domain == "":
		domain = cu.domains[0]
	}
	var esim *profile
	if kind != KindTopUp {
		esim = w.newProfile(cu, domain)
	}
	it := &item{
		uid: w.newUID("item"), metatag: w.metatagToStore(o.metatag, c.tamper), kind: kind, mode: mode,
		product: *p, customer: cu, domain: domain, sold: w.now, left: p.bytes(),
		expiresAt: w.now.Add(time.Duration(w.settings.PendingPeriod)),
	}
	w.items = append(w.items, it)
	w.itemByUID[it.uid] = it
	cu.items = append(cu.items, it)
	if mode == ModeNow {
		w.start(it, w.now, CauseSale)
	} else {
		w.waiting = append(w.waiting, it)
	}
	w.record(c, kind, o, it, esim)

	wire := wireSale{
		Status:        "success",
		ActivatedItem: w.wireItem(it, digitsOf[kind]),
		Customer:      w.wireCustomer(cu, kind == KindTopUp),
	}
	if esim != nil {
		wire.ESIMProfile = esim.wire()
	}
	if c.tamper.answeredMetatag != "" {
		wire.ActivatedItem.Metatag = &c.tamper.answeredMetatag
	}
	sold := jsonAnswer(wire)
	sold.committed = true
	return sold
}

func (w *world) record(c *call, kind Kind, o order, it *item, esim *profile) {
	sale := Sale{
		Kind: kind, ItemUID: it.uid, CustomerUID: it.customer.uid, InventoryItemID: it.product.id,
		Metatag: o.metatag, IdempotencyKey: c.idempotencyKey, Mode: it.mode, RequestedMode: o.mode,
		PurchasePrice: it.product.purchase, RetailPrice: it.product.retail, Time: it.sold,
	}
	if it.metatag != o.metatag {
		sale.StoredMetatag = it.metatag
	}
	if esim != nil {
		sale.ICCID = esim.iccid
	}
	w.truth.sales = append(w.truth.sales, sale)
}

// metatagToStore applies the length limit and the armed fault.
func (w *world) metatagToStore(sent string, t tamper) string {
	stored := sent
	if w.settings.MetatagMax > 0 {
		stored = cutBytes(stored, w.settings.MetatagMax)
	}
	switch {
	case t.metatagBytes != nil:
		stored = cutBytes(stored, *t.metatagBytes)
	case t.storedMetatag != "":
		stored = t.storedMetatag
	case t.metatagUpper:
		stored = strings.ToUpper(stored)
	}
	return stored
}

// cutBytes cuts a text to at most n bytes, but not inside a character.
func cutBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
