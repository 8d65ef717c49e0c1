package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
)

// failedShare is the share of failed purchases: one of so many. They are the oldest ones, so a list of failures finds
// none among the newest purchases. If they are spread, a search among them reads rows that lie far apart.
const failedShare = 50

// filling is one run of the command.
type filling struct {
	count  int
	spread bool // the failed purchases are not the oldest ones

	now   time.Time // the newest purchase was claimed one second earlier
	price gigastore.Decimal
}

// load puts the purchases into a journal, oldest first, and says on w how far it is.
func (f *filling) load(into func(iter.Seq[journaltest.Sale], func(n int)) error, w io.Writer) (err error) {
	if f.price, err = gigastore.ParseDecimal("9.99"); err != nil {
		return err
	}
	f.now = time.Now()
	sales := func(yield func(journaltest.Sale) bool) {
		for n := int64(1); n <= int64(f.count); n++ {
			if !yield(journaltest.Sale{Claim: f.claim(n), At: f.claimedAt(n), Settled: f.outcome(n)}) {
				return
			}
		}
	}
	err = into(sales, func(n int) { f.report(w, n) })
	if err == nil {
		fmt.Fprintf(w, "loaded, with indexes, in %v\n", time.Since(f.now).Round(time.Second))
	}
	return err
}

// report says how far the command is, once every 100,000 purchases.
func (f *filling) report(w io.Writer, n int) {
	if n%100_000 == 0 {
		fmt.Fprintf(w, "%d purchases, %.0f/s\n", n, float64(n)/time.Since(f.now).Seconds())
	}
}

func (f *filling) claim(n int64) purchase.Claim {
	trace := digest("trace", n)
	return purchase.Claim{
		Origin: purchase.DecodeOrigin(trace[:24]),
		ID:     f.id(n), Key: purchase.Key{Caller: "default", RequestID: uuid("request", n)}, Account: uuid("account", 0),
		Order: purchase.Order{
			Kind: purchase.Register, InventoryItemID: uuid("inventory item", n%20), Metatag: fmt.Sprintf("order %d", n),
			UserCountry: "GR", ActivationMode: gigastore.ModeNow,
			ExpectedPrice: &purchase.Price{Amount: f.price, Currency: "USD"},
		},
		Personal:   purchase.Personal{CustomerEmail: fmt.Sprintf("traveller%d@example.com", n), UserIP: "203.0.113.24"}.Encode(),
		PermitLife: time.Minute, Lease: time.Minute,
	}
}

// claimedAt returns when purchase n was claimed. The purchases were claimed one second after the other.
func (f *filling) claimedAt(n int64) time.Time {
	return f.now.Add(-time.Duration(int64(f.count)-n+1) * time.Second)
}

// id returns the id of purchase n.
func (f *filling) id(n int64) string {
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(f.claimedAt(n))); err != nil {
		panic(err) // only a time thousands of years from now fails
	}
	random := digest("id", n)
	copy(id[6:], random[:])
	return id.String()
}

// failed reports whether purchase n failed.
func (f *filling) failed(n int64) bool {
	if f.spread {
		return n%failedShare == 0
	}
	return n <= int64(f.count/failedShare)
}

func (f *filling) outcome(n int64) purchase.Transition {
	if f.failed(n) {
		return purchase.Transition{
			Event: purchase.AnsweredRefused, Attempt: 1, By: purchase.ByGateway, Reason: purchase.Reason(gigastore.ReasonInsufficientCredit),
			Evidence: purchase.Evidence{BytesWritten: 900, HTTPStatus: 402, Message: "insufficient credits"},
		}
	}
	item, customer := uuid("item", n), uuid("customer", n)
	return purchase.Transition{
		Event: purchase.AnsweredApplied, Attempt: 1, By: purchase.ByGateway, SuccessSeen: true,
		Evidence: purchase.Evidence{BytesWritten: 900, HTTPStatus: 200, ItemUID: item},
		ItemUID:  item, CustomerUID: customer, Sale: fmt.Appendf(nil, sale, item, customer, uuid("profile", n), n),
	}
}

// uuid returns a name that looks random, and is the same in every run.
func uuid(of string, n int64) string {
	d := digest(of, n)
	return fmt.Sprintf("%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
}

// sale is an answer of the sandbox, with the names of item, customer and profile, and a number.
const sale = `{"status":"success","activatedItem":{"balance":{"activatedAt":"2026-11-29T20:57:18.573Z",` +
	`"expiresAt":"2026-12-29T20:57:18.573Z","activationMode":"NOW","name":"eSIM Worldwide 1 GB",` +
	`"size":{"sizeValue":1,"sizeUnit":"GB"},"availableBalance":{"sizeValue":1,"sizeUnit":"GB"},` +
	`"validitySize":30,"validityUnit":"days"},"uid":"%[1]s","metatag":"gg01M8MHJ4FBP9592SYDRE26Z85Q order %[4]d",` +
	`"salesChannel":"Application Programming Interface","salesChannelTypeCode":"API","activationType":"DATA_PLAN",` +
	`"salesDate":"2026-11-29T20:57:18.573Z","purchasePrice":{"sortIndex":1,"priceValue":4.20,"currencyCode":"USD"},` +
	`"retailPrice":{"sortIndex":1,"priceValue":9.99,"currencyCode":"USD"}},"customer":{"email":"traveller%[4]d@example.com",` +
	`"uid":"%[2]s","profileUrl":"https://sandbox.invalid/customer/%[2]s"},"esimProfile":{"iccid":"89972029292000000012",` +
	`"uid":"%[3]s","imsi":"260069200000001","activationCode":"LPA:1$sandbox.invalid$HIXY7G625ELOOQZY",` +
	`"appleUniversalLink":"https://sandbox.invalid/esim_qrcode_provisioning?carddata=LPA:1$sandbox.invalid$HIXY7G625ELOOQZY",` +
	`"installationUrl":"https://sandbox.invalid/esim/profile?token=a3aecd5769a0ce2875962a9c91ec6038","lastSeen":null,` +
	`"activatedAt":null,"state":"RELEASED"}}`

func digest(of string, n int64) [sha256.Size]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(of), uint64(n))) //nolint:gosec // n is positive
}
