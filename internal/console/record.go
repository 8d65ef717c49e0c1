package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// maxReason is the longest reason in bytes, as for a freeze.
const maxReason = 300

// record is the vendor's record of a purchase's customer: the package and the eSIMs.
type record struct {
	Problem  string
	Customer *gigagatev1.Customer
	Item     *gigagatev1.ActivatedItem // the package of the purchase, or nil
	Others   int                       // other packages of the customer
	Profiles []*gigagatev1.EsimProfile
	Revealed bool
	NoCodes  bool // it was to be revealed, but has no codes
	// MayReveal: the operator has the right to read secrets.
	MayReveal bool
}

// readRecord reads the record of a purchase's customer. It has secrets only with a reason. Then the services write an audit
// record with the reason before they answer.
func (c *Console) readRecord(ctx context.Context, p *gigagatev1.Purchase, reason string) *record {
	operator := access.Of(ctx)
	if reason == "" {
		// Without the right to secrets, the services withhold them.
		blind := *operator
		blind.Rights.Secrets = false
		ctx = access.With(ctx, &blind)
	}
	read, err := c.customers.GetCustomer(access.WithReason(ctx, reason), &gigagatev1.GetCustomerRequest{Uid: p.GetCustomerUid()})
	if err != nil {
		return &record{Problem: problemOf(err).Title, MayReveal: operator.Rights.Secrets}
	}
	found := &record{
		Customer: read.GetCustomer(), Profiles: read.GetEsimProfiles(), Others: len(read.GetActivatedItems()),
		MayReveal: operator.Rights.Secrets,
	}
	if reason != "" && operator.Rights.Secrets {
		found.Revealed = found.hasCodes() // otherwise the services have written no audit record
		found.NoCodes = !found.Revealed
	}
	own := func(item *gigagatev1.ActivatedItem) bool {
		return item.GetUid() == p.GetActivatedItemUid() || item.GetPurchaseId() == p.GetId()
	}
	if at := slices.IndexFunc(read.GetActivatedItems(), own); at >= 0 {
		found.Item, found.Others = read.GetActivatedItems()[at], found.Others-1
	}
	if !found.Revealed {
		found.mask()
	}
	return found
}

// hasCodes reports whether the record has secrets.
func (r *record) hasCodes() bool {
	return r.Customer.GetProfileUrl() != "" || slices.ContainsFunc(r.Profiles, func(p *gigagatev1.EsimProfile) bool {
		return p.GetActivationCode()+p.GetAppleUniversalLink()+p.GetInstallationUrl() != ""
	})
}

// mask hides the personal data of a record. The services have withheld its secrets.
func (r *record) mask() {
	if r.Customer != nil {
		r.Customer.Email = masked(r.Customer.GetEmail(), 0)
	}
	for _, p := range r.Profiles {
		p.Iccid, p.Imsi = masked(p.GetIccid(), 4), masked(p.GetImsi(), 0)
	}
}

// masked replaces a text by dots, except its last characters.
func masked(text string, last int) string {
	if text == "" {
		return ""
	}
	if len(text) <= 2*last {
		last = 0
	}
	return "••••" + text[len(text)-last:]
}

// revealSecrets shows the record with its secrets, once.
func (c *Console) revealSecrets(w http.ResponseWriter, r *http.Request) (string, error) {
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if !isReason(reason) {
		return "", &problem{http.StatusBadRequest, "A reason is needed", "Say in one line of up to 300 bytes why you have to see the codes. It goes into the audit record."}
	}
	read, err := c.purchases.GetPurchase(r.Context(), &gigagatev1.GetPurchaseRequest{Id: r.PathValue("id")})
	if err != nil {
		return "", err
	}
	if !access.Of(r.Context()).Rights.Secrets {
		return "", &problem{http.StatusForbidden, "You may not read secrets", "Your entry in the callers file does not have the right \"secrets\"."}
	}
	data := c.purchaseData(read)
	data.Record = c.readRecord(r.Context(), read.GetPurchase(), reason)
	c.show(w, r, "purchase", page{Title: "Purchase " + read.GetPurchase().GetId(), Data: data})
	return "", nil
}

// isReason reports whether a text can be the reason in an audit record. The rule is that of the reason of a freeze.
func isReason(text string) bool {
	return text != "" && len(text) <= maxReason && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || r == '\u202D' || r == '\u202E' || r == unicode.ReplacementChar
	})
}
