"""Buy a package as a service would: one intent, one request id.

An error is read by what it did, and not by its code.
"""

import argparse
import os
import sys
import uuid

import grpc
from google.protobuf.duration_pb2 import Duration

import gigagate
from gigagate.v1 import (
    activated_item_pb2,
    activation_service_pb2,
    activation_service_pb2_grpc,
    money_pb2,
    outcome_pb2,
    purchase_service_pb2,
    purchase_service_pb2_grpc,
)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Buys one package.")
    parser.add_argument(
        "--price", default="9.99", help="the retail price shown to the customer, in US dollars"
    )
    parser.add_argument("--request-id", help="of an earlier run, to learn what became of it")
    arguments = parser.parse_args()

    # The id of the intent. A real service makes it once and stores it with the order before the
    # first send, so that every later send bears the same id, also after a crash.
    request_id = arguments.request_id or f"order-{uuid.uuid4()}"
    print("request id", request_id, flush=True)
    request = activation_service_pb2.RegisterRequest(
        request_id=request_id,
        inventory_item_id="6513270e-269e-4d37-b2a7-4de452e6b438",
        metatag=f"a text of yours, for instance {request_id}",
        user_ip="203.0.113.24",
        user_country="GR",
        expected_price=money_pb2.Money(currency_code="USD", amount=arguments.price),
        activation_mode=activated_item_pb2.ACTIVATION_MODE_FIRST_USE,
    )

    with gigagate.connect(os.environ.get("GIGAGATE_ADDRESS", "127.0.0.1:9090")) as channel:
        try:
            sold = buy(channel, request)
        except grpc.RpcError as error:
            outcome = gigagate.outcome_of(error)
            print(error.code().name, error.details())
            print(what_now(outcome))
            return 1

    item = sold.activated_item
    print("sold", item.uid, "to customer", sold.customer.uid)
    if item.balance.HasField("activation_deadline"):
        deadline = item.balance.activation_deadline.ToJsonString()
        print("not started; starts by itself at", deadline)
    return 0


def buy(
    channel: grpc.Channel,
    request: activation_service_pb2.RegisterRequest,
    timeout: float | None = None,
) -> activation_service_pb2.RegisterResponse:
    """Buys, and waits where it is not known at first whether the sale happened.

    timeout, in seconds, bounds each of the two sends; None leaves it to the channel.
    """
    activations = activation_service_pb2_grpc.ActivationServiceStub(channel)
    try:
        return activations.Register(request, timeout=timeout)
    except grpc.RpcError as error:
        outcome = gigagate.outcome_of(error)
        if outcome is None or outcome.effect != outcome_pb2.EFFECT_INDETERMINATE:
            raise
        if outcome.reason == outcome_pb2.ERROR_REASON_REQUEST_ID_REUSED:
            raise
        if not is_settled(channel, outcome.purchase_id):
            raise
    # The same request once more is told how the purchase ended: the sale, or why there was none.
    return activations.Register(request, timeout=timeout)


def is_settled(channel: grpc.Channel, purchase_id: str) -> bool:
    """Waits up to a minute for a purchase."""
    purchases = purchase_service_pb2_grpc.PurchaseServiceStub(channel)
    request = purchase_service_pb2.WaitPurchaseRequest(id=purchase_id, timeout=Duration(seconds=60))
    try:
        purchase = purchases.WaitPurchase(request).purchase
    except grpc.RpcError:
        # This error is the wait's own: it tells nothing of the purchase.
        return False
    return purchase.state in (
        purchase_service_pb2.PURCHASE_STATE_SUCCEEDED,
        purchase_service_pb2.PURCHASE_STATE_FAILED,
    )


def what_now(outcome: outcome_pb2.Outcome | None) -> str:
    """Says what to do after an error."""
    unknown = "it may have been bought: keep the request id, and do not buy under a new one"
    if outcome is None:  # a broken connection, a deadline, a proxy's page
        return unknown
    if outcome.reason == outcome_pb2.ERROR_REASON_REQUEST_ID_REUSED:
        # The effect is that of the other order.
        return "the request id stands for another order: this one was not bought"
    match outcome.effect:
        case outcome_pb2.EFFECT_NOT_STARTED:
            return (
                "this send started nothing, an earlier one may have bought: "
                "mend the request or repeat it, with the same id"
            )
        case outcome_pb2.EFFECT_NOT_APPLIED:
            return f"nothing was bought: {name_of(outcome.reason)}"
        case outcome_pb2.EFFECT_APPLIED:
            return f"it was bought, as purchase {outcome.purchase_id}"
        case _:
            return unknown


def name_of(reason: outcome_pb2.ErrorReason.ValueType) -> str:
    """Names a reason. A newer gateway may have one that these stubs do not know."""
    try:
        return outcome_pb2.ErrorReason.Name(reason)
    except ValueError:
        return f"reason {reason}"


if __name__ == "__main__":
    sys.exit(main())
