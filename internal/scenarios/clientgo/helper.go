package main

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"gigagate.internal/clients/go/client"
	"gigagate.internal/internal/scenarios/protocol"
)

// purchasesOver are the calls of the purchase helper.
func purchasesOver(conn grpc.ClientConnInterface) map[string]call {
	return map[string]call{
		"gigagate.v1.ActivationService/Register": bought(conn, client.Register),
		"gigagate.v1.ActivationService/TopUp":    bought(conn, client.TopUp),
	}
}

// bought turns a function of the purchase helper into a call.
func bought[Q, A any, PQ message[Q], PA message[A]](
	conn grpc.ClientConnInterface, buy func(context.Context, grpc.ClientConnInterface, PQ) (PA, error),
) call {
	return func(ctx context.Context, text []byte) (protocol.Answer, error) {
		request := PQ(new(Q))
		if err := protojson.Unmarshal(text, request); err != nil {
			return protocol.Answer{}, err
		}
		response, err := buy(ctx, conn, request)
		if refused, ok := errors.AsType[*client.Refused](err); ok {
			violations := []protocol.FieldViolation{}
			for _, violation := range refused.FieldViolations {
				violations = append(violations, protocol.FieldViolation{Field: violation.GetField(), Description: violation.GetDescription()})
			}
			return protocol.Answer{Refused: &protocol.Refused{
				Reason: refused.Reason, Effect: refused.Effect, Message: refused.Message,
				PurchaseID: refused.PurchaseID, FieldViolations: violations,
			}}, nil
		}
		if unknown, ok := errors.AsType[*client.NotKnownYet](err); ok {
			return protocol.Answer{NotKnownYet: &protocol.NotKnownYet{PurchaseID: unknown.PurchaseID}}, nil
		}
		if err != nil {
			return protocol.Answer{}, err
		}
		return protocol.Responded(response, false)
	}
}
