package sandbox

import (
	"bytes"
	"cmp"
	"image"
	"image/png"
	"net/http"
	"slices"
	"strings"
)

// listInventory is GET /gigastore/products/inventory (dossier 2.14).
func listInventory(w *world, c *call) answer {
	sortBy := c.query.Get("sort_by")
	if sortBy != "" && !slices.Contains([]string{"AMOUNT", "NAME", "VOLUME", "VALIDITY", "PRICE", "RETAILPRICE"}, sortBy) {
		return w.malformed(c, "The parameter sort_by has an unknown value.")
	}
	direction := cmp.Or(c.query.Get("sort_dir"), "ASC")
	if direction != "ASC" && direction != "DESC" {
		return w.malformed(c, "The parameter sort_dir must be ASC or DESC.")
	}
	sorted := slices.Clone(w.inventory)
	slices.SortStableFunc(sorted, func(a, b *product) int {
		if direction == "DESC" {
			a, b = b, a
		}
		return compareProducts(sortBy, a, b)
	})
	items := make([]wireInventoryItem, 0, len(sorted))
	for _, p := range sorted {
		items = append(items, p.wire())
	}
	return jsonAnswer(map[string]any{"items": items})
}

// getInventoryItem is GET /gigastore/products/inventory/{id} (dossier 2.15).
func getInventoryItem(w *world, c *call) answer {
	p := w.product(c.value("id"))
	if p == nil {
		return w.refuseFor(c, "inventoryItemNotFound")
	}
	return jsonAnswer(p.wire())
}

// putInventoryItem is PUT /gigastore/products/inventory/{id} (dossier 2.15). It
// changes only the fields that are given, and answers with the item. Both are
// assumed.
func putInventoryItem(w *world, c *call) answer {
	b := newBody(c.body)
	name, retail := b.text("name"), b.price("retailPrice")
	b.end(w.settings.UnknownMembers)
	var amount Amount
	if retail != nil {
		if retail.currency != "USD" || amount.set(retail.value) != nil {
			b.fail("The field retailPrice must be a whole number of US cents.")
		}
	}
	if b.sentence != "" {
		return w.malformed(c, b.sentence)
	}
	p := w.product(c.value("id"))
	if p == nil {
		return w.refuseFor(c, "inventoryItemNotFound")
	}
	p.name = cmp.Or(name, p.name)
	if retail != nil {
		p.retail = amount
	}
	changed := jsonAnswer(p.wire())
	changed.committed = true
	return changed
}

// listCountries is GET /gigastore/esim/countries/{set} (dossier 2.16).
func listCountries(w *world, c *call) answer {
	codes, ok := countrySets[c.value("set")]
	if !ok {
		return w.refuse(c, w.settings.Statuses.NotFound, SentenceCountrySetNotFound)
	}
	type country struct {
		Code     string `json:"code"`
		Name     string `json:"name"` // equals the code in the vendor's sample
		ImageURL string `json:"imageUrl"`
	}
	countries := make([]country, 0, len(codes))
	for _, code := range codes {
		countries = append(countries, country{code, code, "/esim/countries/" + strings.ToLower(code) + "/flag"})
	}
	return jsonAnswer(countries)
}

// getFlag is GET /gigastore/esim/countries/{code}/flag (dossier 2.17). The flag
// is one transparent pixel.
func getFlag(w *world, c *call) answer {
	code := strings.ToUpper(c.value("code"))
	if !covers("WWW", code) && !covers("EU", code) {
		return w.refuse(c, w.settings.Statuses.NotFound, SentenceNotFound)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 1, 1))); err != nil {
		panic("sandbox: " + err.Error()) // writing to memory does not fail
	}
	return answer{status: http.StatusOK, contentType: "image/png", body: b.Bytes()}
}

// getConnectivity is GET /gigastore/esim/{iccid}/status/connectivity (dossier
// 2.18). Every member of the answer is assumed.
func getConnectivity(w *world, c *call) answer {
	p := w.profiles[c.value("iccid")]
	if p == nil {
		return w.refuse(c, w.settings.Statuses.NotFound, SentenceProfileNotFound)
	}
	return jsonAnswer(struct {
		ICCID    string  `json:"iccid"`
		Country  *string `json:"country"`
		LastSeen *string `json:"lastSeen"`
	}{p.iccid, notEmpty(p.country), stampOrNull(p.lastSeen, 0)})
}

func notEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// getVersion is GET /gigastore/version (dossier 2.20). It needs no token. The
// member is assumed.
func getVersion(*world, *call) answer {
	return jsonAnswer(map[string]string{"version": "sandbox"})
}
