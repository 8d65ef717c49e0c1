// Command order buys a package as a service would: one intent, one request id, and an error read
// by what it did and not by its code.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

func main() {
	price := flag.String("price", "9.99", "the retail price that the customer was shown, in US dollars")
	patience := flag.Duration("patience", 90*time.Second, "how long the customer is kept waiting")
	flag.Parse()

	address := cmp.Or(os.Getenv("GIGAGATE_ADDRESS"), "127.0.0.1:9090")
	conn, err := client.New(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := order(conn, *price, *patience)
	_ = conn.Close()
	os.Exit(exit)
}

// order returns the exit status.
func order(conn grpc.ClientConnInterface, price string, patience time.Duration) int {
	// The id of the intent. A real service makes it once and stores it with the order before the
	// first send, so that every later send bears the same id, also after a crash.
	requestID := "order-" + rand.Text()
	fmt.Println("request id", requestID)

	sold, err := buy(conn, patience, &gigagatev1.RegisterRequest{
		RequestId:       requestID,
		InventoryItemId: "6513270e-269e-4d37-b2a7-4de452e6b438",
		Metatag:         "a text of yours, for instance " + requestID,
		UserIp:          "203.0.113.24",
		UserCountry:     "GR",
		ExpectedPrice:   &gigagatev1.Money{CurrencyCode: "USD", Amount: price},
		ActivationMode:  gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE,
	})
	if err != nil {
		fmt.Println(err)
		fmt.Println(whatNow(client.OutcomeOf(err)))
		return 1
	}
	item := sold.GetActivatedItem()
	fmt.Println("sold", item.GetUid(), "to customer", sold.GetCustomer().GetUid())
	if deadline := item.GetBalance().GetActivationDeadline(); deadline != nil {
		fmt.Println("not started; starts by itself at", deadline.AsTime().Format(time.RFC3339))
	}
	return 0
}

// buy waits once more for a purchase that is not settled when the customer's patience is over. A
// real service does that in the background, with the request id it has stored.
func buy(conn grpc.ClientConnInterface, patience time.Duration, request *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	activations, purchases := gigagatev1.NewActivationServiceClient(conn), gigagatev1.NewPurchaseServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sold, err := activations.Register(ctx, request)
	outcome := client.OutcomeOf(err)
	if outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN || outcome.GetPurchaseId() == "" {
		return sold, err
	}
	fmt.Println("not settled yet, waiting for purchase", outcome.GetPurchaseId())
	waited, waitErr := purchases.WaitPurchase(context.Background(), &gigagatev1.WaitPurchaseRequest{
		Id: outcome.GetPurchaseId(), Timeout: durationpb.New(time.Minute),
	})
	if waitErr != nil {
		return nil, err // what is known of the purchase is still what the first error told
	}
	fmt.Println("now it is", waited.GetPurchase().GetState())
	// The same request id buys nothing more: it tells what became of the purchase.
	return activations.Register(context.Background(), request)
}

// whatNow says what to do after an error.
func whatNow(outcome *gigagatev1.Outcome) string {
	if outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED {
		// The effect is that of the other order.
		return "the request id stands for another order: this one was not bought"
	}
	switch outcome.GetEffect() {
	case gigagatev1.Effect_EFFECT_NOT_STARTED:
		return "this send started nothing, an earlier one may have bought: " +
			"mend the request or repeat it, with the same request id"
	case gigagatev1.Effect_EFFECT_NOT_APPLIED:
		return "nothing was bought: " + outcome.GetReason().String()
	case gigagatev1.Effect_EFFECT_APPLIED:
		return "it was bought, as purchase " + outcome.GetPurchaseId()
	default:
		// INDETERMINATE, and every error without an Outcome: a broken connection, a proxy's page.
		return "it may have been bought: keep the request id, and do not buy under a new one"
	}
}
