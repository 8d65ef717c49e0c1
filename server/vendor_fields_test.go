package server

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gigagate.internal/gigastore"
)

// tellers are the methods of the vendor's client whose answers reach callers, each with the message that carries them.
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

// untoldMethods are the other methods of the vendor's client, with the reason why their results do not reach callers.
var untoldMethods = map[string]string{
	"ActivatedItems":  "only the reconciler reads it, to settle purchases",
	"SearchCustomers": "only the reconciler reads it, to settle purchases",
	"CustomerOfESIM":  "callers only get the uid of its customer",
	"Customers":       "the contract lists no customers",
	"InventoryItem":   "the contract lists the inventory as a whole",
	"InventoryWithin": "it is Inventory with a cache",
	"Countries":       "the contract has no countries yet",
	"Version":         "no documentation says what it contains",
	"Account":         "it is about the client itself",
	"Accounts":        "it is about the client itself",
	"Timeout":         "it is about the client itself",
	"Problems":        "it is for operators: in the log, the metrics and /readyz",
	"Watch":           "it returns nothing",
	"WatchOutages":    "it returns nothing",
	"IsDown":          "it decides whether a call may read from the vendor",
	"MaySell":         "it decides whether a purchase may be started",
}

// untoldFields are the fields that callers do not get, with the reasons. Members that no decoder knows
// ([gigastore.UnknownMembers]) are not passed on either, because nobody knows what they hold.
var untoldFields = map[string]string{
	"Sale.Status":                           "it is always success, otherwise there is no sale",
	"Sale.Evidence":                         "it is about the exchange, and the history of the purchase has it",
	"ActivatedItem.PurchasePrice.SortIndex": "a single price needs no order",
	"ActivatedItem.RetailPrice.SortIndex":   "a single price needs no order",
	"ActivatedItemRecord.Customer":          "the answer to Activate has only the package",
	"ActivatedItemRecord.ESIMs":             "the answer to Activate has only the package",
}

// A field that gigastore decodes must not get lost on its way to the contract. Each field is passed on or named above.
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
			t.Errorf("untoldFields has %s, which does not exist", name)
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

// teller makes an answer of the vendor with every field set, and converts it to the contract's message. The field with the
// number other gets its other value.
type teller func(other int) (proto.Message, []vendorField)

// vendorField is a field of an answer, or of a list's element in it. The field is not a struct.
type vendorField struct {
	name    string
	untold  string // its entry in untoldFields, or that of a struct around it
	checked bool   // false in the second element of a list
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
		case gigastore.Price, gigastore.Size: // plain values, whose meaning depends on the field that holds them
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

// another is larger than the number of fields. It is added to the number of the field that has its other value.
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
