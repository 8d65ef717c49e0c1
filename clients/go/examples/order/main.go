// Command order buys a package as a service would.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

func main() {
	// A real service makes the request id once and stores it with the order before it buys. A later attempt uses the same
	// id, also after a crash.
	requestID := flag.String("request-id", "order-"+rand.Text(), "the id of an earlier order, to ask for it again")
	item := flag.String("item", "6513270e-269e-4d37-b2a7-4de452e6b438", "the id of the inventory item")
	price := flag.String("price", "9.99", "the retail price that the customer was shown, in US dollars")
	patience := flag.Duration("patience", 90*time.Second, "how long the customer waits")
	flag.Parse()

	address := cmp.Or(os.Getenv("GIGAGATE_ADDRESS"), "127.0.0.1:9090")
	options, err := security()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	conn, err := client.New(address, options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := order(conn, *patience, &gigagatev1.RegisterRequest{
		RequestId:       *requestID,
		InventoryItemId: *item,
		Metatag:         "any text, for example " + *requestID,
		UserIp:          "203.0.113.24",
		UserCountry:     "GR",
		ExpectedPrice:   &gigagatev1.Money{CurrencyCode: "USD", Amount: *price},
		ActivationMode:  gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE,
	})
	_ = conn.Close()
	os.Exit(exit)
}

// security is TLS with an API key. A gateway on this machine may do without both.
func security() ([]grpc.DialOption, error) {
	authority, keyFile := os.Getenv("GIGAGATE_TLS_CA"), os.Getenv("GIGAGATE_API_KEY_FILE")
	if authority == "" {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	encrypted, err := credentials.NewClientTLSFromFile(authority, "")
	if err != nil {
		return nil, err
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(encrypted),
		grpc.WithPerRPCCredentials(client.KeyFile(keyFile)),
	}, nil
}

// order returns the exit status.
func order(conn grpc.ClientConnInterface, patience time.Duration, request *gigagatev1.RegisterRequest) int {
	fmt.Println("request id", request.GetRequestId())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sold, err := client.Register(ctx, conn, request)
	if refused, ok := errors.AsType[*client.Refused](err); ok {
		fmt.Println(refused)
		fmt.Println(whatNow(refused))
		return 1
	}
	if err != nil { // a *client.NotKnownYet
		fmt.Println(err)
		fmt.Println("ask again later with -request-id", request.GetRequestId())
		return 1
	}
	item := sold.GetActivatedItem()
	fmt.Println("sold", item.GetUid(), "to customer", sold.GetCustomer().GetUid())
	if deadline := item.GetBalance().GetActivationDeadline(); deadline != nil {
		fmt.Println("not started; starts by itself at", deadline.AsTime().Format(time.RFC3339))
	}
	return 0
}

// whatNow says what to do after a refusal.
func whatNow(refused *client.Refused) string {
	switch {
	case refused.Reason == "REQUEST_ID_REUSED":
		return "the request id stands for another order: this one was not bought"
	case refused.Reason == "UNAUTHENTICATED":
		return "the credential is wrong: correct it, and ask again with the same request id"
	case refused.Effect == "NOT_APPLIED":
		return "nothing was bought: a new request id buys anew"
	case refused.Effect == "NOT_STARTED":
		return "nothing was started: correct the order or repeat it, with the same request id"
	default:
		return "it was sold, as purchase " + refused.PurchaseID
	}
}
