// Command clientgo makes the calls of the scenarios through the Go stubs.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/scenarios/protocol"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	options, err := security()
	if err != nil {
		return err
	}
	// The calls do not use the call policy of package client, because the scenarios must see each answer.
	conn, err := grpc.NewClient(os.Args[1], options...)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// The purchase helper works over the connection that callers use.
	helperConn, err := client.New(os.Args[1], options...)
	if err != nil {
		return err
	}
	defer func() { _ = helperConn.Close() }()
	calls, purchases := callsOver(conn), purchasesOver(helperConn)
	return protocol.Serve(os.Stdin, os.Stdout, func(ctx context.Context, request protocol.Request) (protocol.Answer, error) {
		call, ok := calls[request.Method]
		if request.Helper {
			call, ok = purchases[request.Method]
		}
		if !ok {
			return protocol.Answer{}, fmt.Errorf("no method %s", request.Method)
		}
		return call(ctx, request.Request)
	})
}

type call func(ctx context.Context, request []byte) (protocol.Answer, error)

func callsOver(conn grpc.ClientConnInterface) map[string]call {
	activations := gigagatev1.NewActivationServiceClient(conn)
	budgets := gigagatev1.NewBudgetServiceClient(conn)
	inventory := gigagatev1.NewInventoryServiceClient(conn)
	customers := gigagatev1.NewCustomerServiceClient(conn)
	purchases := gigagatev1.NewPurchaseServiceClient(conn)
	freezes := gigagatev1.NewFreezeServiceClient(conn)
	audit := gigagatev1.NewAuditServiceClient(conn)
	return map[string]call{
		"gigagate.v1.ActivationService/Register":          typed(activations.Register),
		"gigagate.v1.ActivationService/TopUp":             typed(activations.TopUp),
		"gigagate.v1.ActivationService/Activate":          typed(activations.Activate),
		"gigagate.v1.BudgetService/GetBudget":             typed(budgets.GetBudget),
		"gigagate.v1.BudgetService/ListBudgets":           typed(budgets.ListBudgets),
		"gigagate.v1.InventoryService/ListInventoryItems": typed(inventory.ListInventoryItems),
		"gigagate.v1.CustomerService/GetCustomer":         typed(customers.GetCustomer),
		"gigagate.v1.CustomerService/FindCustomer":        typed(customers.FindCustomer),
		"gigagate.v1.PurchaseService/GetPurchase":         typed(purchases.GetPurchase),
		"gigagate.v1.PurchaseService/ListPurchases":       typed(purchases.ListPurchases),
		"gigagate.v1.PurchaseService/WaitPurchase":        typed(purchases.WaitPurchase),
		"gigagate.v1.PurchaseService/ResolvePurchase":     typed(purchases.ResolvePurchase),
		"gigagate.v1.FreezeService/Freeze":                typed(freezes.Freeze),
		"gigagate.v1.FreezeService/Thaw":                  typed(freezes.Thaw),
		"gigagate.v1.FreezeService/ListFreezes":           typed(freezes.ListFreezes),
		"gigagate.v1.AuditService/ListAuditRecords":       typed(audit.ListAuditRecords),
	}
}

// message is a pointer to a generated struct.
type message[T any] interface {
	*T
	proto.Message
}

// typed turns a method of a stub into a call.
func typed[Q, A any, PQ message[Q], PA message[A]](method func(context.Context, PQ, ...grpc.CallOption) (PA, error)) call {
	return func(ctx context.Context, text []byte) (protocol.Answer, error) {
		request := PQ(new(Q))
		if err := protojson.Unmarshal(text, request); err != nil {
			return protocol.Answer{}, err
		}
		var header metadata.MD
		response, err := method(ctx, request, grpc.Header(&header))
		if err != nil {
			told := status.Convert(err)
			return protocol.Failed(told.Code(), told.Message(), client.OutcomeOf(err))
		}
		return protocol.Responded(response, slices.Contains(header.Get("gigagate-replayed"), "true"))
	}
}
