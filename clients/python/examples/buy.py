"""Buys a package as a service would."""

import argparse
import os
import sys
import uuid
from pathlib import Path

import grpc

import gigagate


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Buys one package.")
    # A real service makes the request id once and stores it with the order before it buys. A later
    # attempt uses the same id, also after a crash.
    parser.add_argument(
        "--request-id",
        default=f"order-{uuid.uuid4()}",
        help="the id of an earlier order, to ask for it again",
    )
    parser.add_argument(
        "--item",
        default="6513270e-269e-4d37-b2a7-4de452e6b438",
        help="the id of the inventory item",
    )
    parser.add_argument(
        "--price",
        default="9.99",
        help="the retail price that the customer was shown, in US dollars",
    )
    parser.add_argument(
        "--patience", type=float, default=90, help="how long the customer waits, in seconds"
    )
    arguments = parser.parse_args()

    print("request id", arguments.request_id, flush=True)
    request = gigagate.RegisterRequest(
        request_id=arguments.request_id,
        inventory_item_id=arguments.item,
        metatag=f"any text, for example {arguments.request_id}",
        user_ip="203.0.113.24",
        user_country="GR",
        expected_price=gigagate.Money(currency_code="USD", amount=arguments.price),
        activation_mode=gigagate.ActivationMode.ACTIVATION_MODE_FIRST_USE,
    )
    address = os.environ.get("GIGAGATE_ADDRESS", "127.0.0.1:9090")
    with gigagate.connect(address, security()) as channel:
        try:
            sold = gigagate.register(channel, request, timeout=arguments.patience)
        except gigagate.Refused as refused:
            print("refused:", refused)
            print(what_now(refused))
            return 1
        except gigagate.NotKnownYet as unknown:
            print(unknown)
            print("ask again later with --request-id", request.request_id)
            return 1

    item = sold.activated_item
    print("sold", item.uid, "to customer", sold.customer.uid)
    if item.balance.HasField("activation_deadline"):
        deadline = item.balance.activation_deadline.ToJsonString()
        print("not started; starts by itself at", deadline)
    return 0


def security() -> grpc.ChannelCredentials | None:
    """TLS with an API key. A gateway on this machine may do without both."""
    if "GIGAGATE_TLS_CA" not in os.environ:
        return None
    return grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(Path(os.environ["GIGAGATE_TLS_CA"]).read_bytes()),
        gigagate.key_file(os.environ["GIGAGATE_API_KEY_FILE"]),
    )


def what_now(refused: gigagate.Refused) -> str:
    """Says what to do after a refusal."""
    if refused.reason == "REQUEST_ID_REUSED":
        return "the request id stands for another order: this one was not bought"
    if refused.reason == "UNAUTHENTICATED":
        return "the credential is wrong: correct it, and ask again with the same request id"
    if refused.effect == "NOT_APPLIED":
        return "nothing was bought: a new request id buys anew"
    if refused.effect == "NOT_STARTED":
        return "nothing was started: correct the order or repeat it, with the same request id"
    return f"it was sold, as purchase {refused.purchase_id}"


if __name__ == "__main__":
    sys.exit(main())
