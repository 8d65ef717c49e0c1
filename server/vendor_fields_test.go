package server

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gigagate.internal/gigastore"
)

// tellers are the methods of the vendor's client whose answers callers are told of, and by which message.
var tellers = map[string]teller{
	"Register":         tells(func(sale gigastore.Sale) proto.Message { return registerFromVendor("", &sale, time.Time{}) }),
	"TopUp":            tells(func(sale gigastore.Sale) proto.Message { return topUpFromVendor("", &sale, time.Time{}) }),
	"TopUpWithProfile": tells(func(sale gigastore.Sale) proto.Message { return topUpFromVendor("", &sale, time.Time{}) }),
	"Activate":         tells(func(item gigastore.ActivatedItem) proto.Message { return activatedItemFromVendor(item, time.Time{}) }),
	"ActivatedItem": tells(func(record gigastore.ActivatedItemRecord) proto.Message {
		return activatedItemFromVendor(record.ActivatedItem, time.Time{})
	}),
	"Customer": tells(func(record gigastore.CustomerRecord) proto.Message {
		return customerRecordFromVendor(&record, time.Time{})
	}),
	"Inventory": tells(func(item gigastore.InventoryItem) proto.Message { return inventoryItemFromVendor(item) }),
}

// untoldMethods are the other methods of the vendor's client, and why no caller is told of what they return.
var untoldMethods = map[string]string{
	"ActivatedItems":  "the reconciler alone reads it, for what became of a purchase",
	"SearchCustomers": "the reconciler alone reads it, for what became of a purchase",
	"Customers":       "the contract lists no customers",
	"InventoryItem":   "the contract lists the inventory as a whole",
	"Countries":       "the contract has no countries yet",
	"Version":         "no source says what it holds",
	"Account":         "of the client itself",
	"Accounts":        "of the client itself",
	"Timeout":         "of the client itself",
	"Problems":        "operators are told, by the log, the metrics and /readyz",
	"Watch":           "it returns nothing",
}

// untoldFields are the fields of what those methods return that callers are not told, and why. What no decoder knows
// ([gigastore.UnknownMembers]) is not told either: nobody can say what it holds.
var untoldFields = map[string]string{
	"Sale.Status":                           "it is success, or there is no sale",
	"Sale.Evidence":                         "of the exchange: the history of a purchase has it",
	"ActivatedItem.PurchasePrice.SortIndex": "one price has no order",
	"ActivatedItem.RetailPrice.SortIndex":   "one price has no order",
	"ActivatedItemRecord.Customer":          "an activation is told of the package alone",
	"ActivatedItemRecord.ESIMs":             "an activation is told of the package alone",
}

// A field that gigastore decodes must not be lost on its way to the contract: each is told, or named above.
func TestEveryFieldOfTheVendorIsToldOrNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for method, tell := range tellers {
		whole, fields := tell(-1)
		for i, f := range fields {
			seen[f.untold] = true
			changed, _ := tell(i)
			if told := !proto.Equal(whole, changed); f.checked && told == (f.untold != "") {
				t.Errorf("%s: %s: told: %t, untold by name: %t", method, f.name, told, f.untold != "")
			}
		}
	}
	for name := range untoldFields {
		if !seen[name] {
			t.Errorf("untoldFields has %s, which is not there", name)
		}
	}
}

func TestEveryMethodOfTheVendorIsToldOrNamed(t *testing.T) {
	t.Parallel()
	client := reflect.TypeFor[*gigastore.Client]()
	methods := map[string]bool{}
	for method := range client.Methods() {
		methods[method.Name] = true
		_, told := tellers[method.Name]
		if _, untold := untoldMethods[method.Name]; told == untold {
			t.Errorf("%s: told: %t, untold by name: %t", method.Name, told, untold)
		}
	}
	for _, names := range []any{tellers, untoldMethods} {
		for _, name := range reflect.ValueOf(names).MapKeys() {
			if !methods[name.String()] {
				t.Errorf("there is no method %s", name)
			}
		}
	}
}

// teller is the message that tells of an answer in which every field is set, the field of a number to its other value.
type teller func(other int) (proto.Message, []vendorField)

// vendorField is a field of an answer that is no struct, or of the element of a list.
type vendorField struct {
	name    string
	untold  string // its entry in untoldFields, or that of a struct around it
	checked bool   // not in the second element of a list
}

func tells[T any](message func(T) proto.Message) teller {
	return func(other int) (proto.Message, []vendorField) {
		var answer T
		f := filler{other: other}
		v := reflect.ValueOf(&answer).Elem()
		f.fill(v, v.Type().Name(), vendorField{checked: true})
		return message(answer), f.fields
	}
}

type filler struct {
	other  int
	fields []vendorField
}

func (f *filler) fill(v reflect.Value, name string, inside vendorField) {
	if _, untold := untoldFields[name]; untold {
		inside.untold = name
	}
	switch v.Interface().(type) {
	case gigastore.UnknownMembers:
		return
	case gigastore.Time:
		v.Set(reflect.ValueOf(must(gigastore.ParseTime(time.Unix(0, 0).UTC().AddDate(0, 0, f.number(name, inside)).Format(time.RFC3339)))))
		return
	case gigastore.Decimal:
		decimal, err := gigastore.ParseDecimal(fmt.Sprint(f.number(name, inside)))
		v.Set(reflect.ValueOf(must(decimal, err == nil)))
		return
	case gigastore.ActivationMode:
		v.Set(reflect.ValueOf([]gigastore.ActivationMode{gigastore.ModeNow, gigastore.ModeFirstUse}[f.number(name, inside)/another]))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		switch v.Interface().(type) {
		case gigastore.Price, gigastore.Size: // values: what they mean is said by the field that they are in
		default:
			name = v.Type().Name()
		}
		for field, value := range v.Fields() {
			if field.IsExported() {
				f.fill(value, name+"."+field.Name, inside)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), name, inside)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0), name, inside)
		inside.checked = false
		f.fill(v.Index(1), name, inside)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", f.number(name, inside)))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.number(name, inside)))
	case reflect.Bool:
		v.SetBool(f.number(name, inside) >= another)
	default:
		panic("the test has no values for " + name)
	}
}

// another is above the number of fields, and what is added to the number of the one that has its other value.
const another = 1000

// number counts one more field.
func (f *filler) number(name string, inside vendorField) int {
	n := len(f.fields)
	inside.name = name
	f.fields = append(f.fields, inside)
	if n == f.other {
		n += another
	}
	return n
}

func must[T any](value T, ok bool) T {
	if !ok {
		panic("the test's value cannot be read")
	}
	return value
}
