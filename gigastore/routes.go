package gigastore

import (
	"net/http"
	"net/url"
	"strings"
)

// The values of [Error.Operation].
const (
	OpAuthenticate     = "authenticate"
	OpRegister         = "register"
	OpTopUp            = "top-up"
	OpTopUpWithProfile = "top-up-with-profile"
	OpActivate         = "activate"
	OpActivatedItem    = "activated-item"
	OpActivatedItems   = "activated-items"
	OpCustomer         = "customer"
	OpCustomers        = "customers"
	OpSearchCustomers  = "search-customers"
	OpInventory        = "inventory"
	OpInventoryItem    = "inventory-item"
	OpCountries        = "countries"
	OpVersion          = "version"
)

// route is where an operation is at the vendor. The template has at most one variable segment, in braces.
type route struct{ method, template string }

// routes has every operation. Requests and the names of their spans are made from it.
var routes = map[string]route{
	OpAuthenticate:     {http.MethodPost, "/reseller/authenticate"},
	OpRegister:         {http.MethodPost, "/gigastore/activations/register"},
	OpTopUp:            {http.MethodPost, "/gigastore/activations/top-up"},
	OpTopUpWithProfile: {http.MethodPost, "/gigastore/activations/top-up-with-profile"},
	OpActivate:         {http.MethodPost, "/gigastore/activations/activated-items/{uid}/activate"},
	OpActivatedItem:    {http.MethodGet, "/gigastore/activations/activated-items/{uid}"},
	OpActivatedItems:   {http.MethodGet, "/gigastore/activations/activated-items"},
	OpCustomer:         {http.MethodGet, "/gigastore/activations/customers/{uid}"},
	OpCustomers:        {http.MethodGet, "/gigastore/activations/customers"},
	OpSearchCustomers:  {http.MethodPost, "/gigastore/activations/search-customers"},
	OpInventory:        {http.MethodGet, "/gigastore/products/inventory"},
	OpInventoryItem:    {http.MethodGet, "/gigastore/products/inventory/{id}"},
	OpCountries:        {http.MethodGet, "/gigastore/esim/countries/{countrySet}"},
	OpVersion:          {http.MethodGet, "/gigastore/version"},
}

// path returns the template with segment, escaped, in place of its variable.
func (r route) path(segment string) string {
	before, variable, _ := strings.Cut(r.template, "{")
	_, after, ok := strings.Cut(variable, "}")
	if !ok {
		return r.template
	}
	return before + url.PathEscape(segment) + after
}
