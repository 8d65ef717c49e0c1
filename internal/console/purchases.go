package console

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/iccid"
)

// purchasesOnPage is how many purchases one page of the list has.
const purchasesOnPage = 50

// searches are what a person can look for: fields of ListPurchasesRequest, with their names on the page.
var searches = []struct {
	Field protoreflect.Name
	Name  string
}{
	{"request_id", "request id"},
	{"customer_uid", "customer uid"},
	{"activated_item_uid", "package uid"},
	{"inventory_item_id", "inventory item"},
	{"metatag", "metatag"},
	{"trace_id", "trace id"},
}

// withAnomalies is a choice beside the states: the purchases that have anomalies, in any state.
const withAnomalies = "ANOMALIES"

// byICCID is the choice of a search for the customer who has an eSIM. The journal has no ICCIDs, so the vendor searches.
const byICCID = "iccid"

var (
	purchaseID = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	traceForm  = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// purchasesData is a page of the list.
type purchasesData struct {
	Query, By string
	State     string
	Fields    []choice
	States    []choice
	Found     []*gigagatev1.Purchase
	Next      string // the address of the next page
	First     string // the address of the first page. Empty on the first page
	Filtered  bool
}

// choice is an option of a form.
type choice struct {
	Value, Name string
	Chosen      bool
}

// searchPurchases goes from the search form to the list. An ICCID is personal data, so it must not get into an address, which
// browsers and proxies keep. The address has the uid of its customer instead.
func (c *Console) searchPurchases(_ http.ResponseWriter, r *http.Request) (string, error) {
	query, by, state := strings.TrimSpace(r.PostFormValue("q")), r.PostFormValue("by"), r.PostFormValue("state")
	if query != "" && (by == byICCID || (by == "any" || by == "customer_uid") && iccid.Is(query)) {
		found, err := c.customers.FindCustomer(r.Context(), &gigagatev1.FindCustomerRequest{Iccid: query})
		if status.Code(err) == codes.NotFound {
			return "", &problem{http.StatusNotFound, "No customer has this eSIM", "Compare the number with the eSIM. It has 18 to 22 digits."}
		}
		if err != nil {
			return "", err
		}
		query, by = found.GetCustomerUid(), "customer_uid"
	}
	return listAddress(query, by, state, ""), nil
}

// listAddress is the address of a page of the list.
func listAddress(query, by, state, token string) string {
	v := url.Values{}
	for key, value := range map[string]string{"q": query, "by": by, "state": state, "page": token} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return Root + "purchases?" + v.Encode()
}

// purchasesPage lists purchases, the newest first.
func (c *Console) purchasesPage(r *http.Request) (page, error) {
	form := r.URL.Query()
	query, by, state := strings.TrimSpace(form.Get("q")), form.Get("by"), form.Get("state")
	if id := strings.ToUpper(query); purchaseID.MatchString(id) && (by == "" || by == "any") {
		return page{Redirect: Root + "purchases/" + id}, nil
	}
	req := &gigagatev1.ListPurchasesRequest{PageSize: purchasesOnPage, PageToken: form.Get("page")}
	if n, ok := gigagatev1.PurchaseState_value["PURCHASE_STATE_"+state]; ok {
		req.State = gigagatev1.PurchaseState(n)
	}
	req.WithAnomalies = state == withAnomalies
	if query != "" {
		by = fieldFor(query, by)
		if by == "trace_id" {
			query = strings.ToLower(query) // some programs show it in capital letters
		}
		if !setFilter(req, by, query) {
			return page{}, &problem{http.StatusBadRequest, "This search does not exist", "Choose what to search in."}
		}
	}
	found, err := c.purchases.ListPurchases(r.Context(), req)
	if err != nil {
		return page{}, err
	}
	data := purchasesData{Query: query, By: by, State: state, Found: found.GetPurchases(), Filtered: query != "" || state != ""}
	data.Fields = append(data.Fields, choice{"any", "request or purchase id", by == "" || by == "any"})
	for _, s := range searches {
		if hasField(req, s.Field) {
			data.Fields = append(data.Fields, choice{string(s.Field), s.Name, query != "" && by == string(s.Field)})
		}
	}
	data.Fields = append(data.Fields, choice{byICCID, "ICCID", false})
	data.States = append(data.States, choice{"", "all", state == ""})
	for _, n := range stateOrder {
		name := strings.TrimPrefix(n.String(), "PURCHASE_STATE_")
		data.States = append(data.States, choice{name, stateWord(n), state == name})
	}
	data.States = append(data.States, choice{withAnomalies, "any, with contradictions", state == withAnomalies})
	if token := found.GetNextPageToken(); token != "" {
		data.Next = listAddress(query, by, state, token)
	}
	if req.GetPageToken() != "" {
		data.First = listAddress(query, by, state, "")
	}
	// An older page does not change by itself.
	return page{Title: "Purchases", Data: data, Live: req.GetPageToken() == ""}, nil
}

// stateOrder is the order in which an operator needs the states.
var stateOrder = []gigagatev1.PurchaseState{
	gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR, gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN,
	gigagatev1.PurchaseState_PURCHASE_STATE_SENDING, gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED,
	gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, gigagatev1.PurchaseState_PURCHASE_STATE_FAILED,
}

// fieldFor is the field to search in. If the person did not say, a trace id is known by its form.
func fieldFor(query, by string) string {
	switch {
	case by != "" && by != "any":
		return by
	case traceForm.MatchString(strings.ToLower(query)) && hasField(&gigagatev1.ListPurchasesRequest{}, "trace_id"):
		return "trace_id"
	default:
		return "request_id"
	}
}

// setFilter sets a filter of a list. It fails if the list does not have it.
func setFilter(req *gigagatev1.ListPurchasesRequest, name, value string) bool {
	field := protoreflect.Name(name)
	if !slices.ContainsFunc(searches, func(s struct {
		Field protoreflect.Name
		Name  string
	},
	) bool {
		return s.Field == field
	}) || !hasField(req, field) {
		return false
	}
	m := req.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName(field), protoreflect.ValueOfString(value))
	return true
}

func hasField(req *gigagatev1.ListPurchasesRequest, name protoreflect.Name) bool {
	return req.ProtoReflect().Descriptor().Fields().ByName(name) != nil
}
