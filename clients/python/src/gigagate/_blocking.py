"""The channel that blocks, and purchases over it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import sleep
from typing import Any, TypeVar

import grpc

from gigagate._call_policy import CHANNEL_OPTIONS, bounded
from gigagate._purchase import DEFAULT_TIMEOUT, Calls, RequestT, ResponseT, buy
from gigagate.v1.activation_service_pb2 import (
    RegisterRequest,
    RegisterResponse,
    TopUpRequest,
    TopUpResponse,
)
from gigagate.v1.activation_service_pb2_grpc import ActivationServiceStub
from gigagate.v1.purchase_service_pb2 import WaitPurchaseRequest, WaitPurchaseResponse
from gigagate.v1.purchase_service_pb2_grpc import PurchaseServiceStub

T = TypeVar("T")


def connect(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """Makes a channel to the gateway at address, "host:port".

    Without credentials, it is in plain text. For TLS, pass grpc.ssl_channel_credentials(). Add an
    API key with grpc.composite_channel_credentials() and key_file().

    It connects when first used. A call that ends UNAVAILABLE is sent up to four times more, with
    the pauses that the gateway asks for: the request, and so its request id, stays the same, so
    nothing is bought twice. A call has 100 s, which all its sends share, or its own timeout where
    that is shorter.
    """
    if credentials is None:
        channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
    return grpc.intercept_channel(channel, _Deadline())


def register(
    channel: grpc.Channel, request: RegisterRequest, *, timeout: float = DEFAULT_TIMEOUT
) -> RegisterResponse:
    """Buys a first package and waits until the purchase is settled.

    It sends the request as often as it needs to. The request id stays the same, so the package is
    bought once. The caller makes the request id, and stores it before the call.

    The channel repeats sends by itself and reports only the last error. So after Refused with
    NOT_STARTED, an earlier send may still be on its way to the gateway: keep the same request id.

    Args:
        channel: A channel of connect(), or any other.
        request: The order.
        timeout: How long all of it may take, in seconds.

    Raises:
        Refused: There is no sale. The error says why, and how the request id stands.
        NotKnownYet: The time is over, and credit may have been spent. Ask again later.
        ValueError: The request has no request id.
    """
    return _buy(channel, ActivationServiceStub(channel).Register, request, timeout)


def top_up(
    channel: grpc.Channel, request: TopUpRequest, *, timeout: float = DEFAULT_TIMEOUT
) -> TopUpResponse:
    """Buys a further package, in the same way as register()."""
    return _buy(channel, ActivationServiceStub(channel).TopUp, request, timeout)


def _buy(
    channel: grpc.Channel,
    method: Callable[[RequestT, float], ResponseT],
    request: RequestT,
    timeout: float,
) -> ResponseT:
    purchases = PurchaseServiceStub(channel)

    # None of these ever suspends.
    async def send(request: RequestT, timeout: float) -> ResponseT:
        return method(request, timeout)

    async def wait(request: WaitPurchaseRequest, timeout: float) -> WaitPurchaseResponse:
        return purchases.WaitPurchase(request, timeout)

    async def pause(seconds: float) -> None:
        sleep(seconds)  # noqa: ASYNC251 - there is no event loop

    return _run(buy(Calls(send, wait, pause), request, timeout))


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a blocking purchase suspended")


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Deadline(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        details = _CallDetails(
            client_call_details.method,
            bounded(client_call_details.timeout),
            client_call_details.metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
            client_call_details.compression,
        )
        return continuation(details, request)
