"""The channel for asyncio, and purchases over it."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import ChannelCredentials, aio

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

__all__ = ["connect", "register", "top_up"]


def connect(address: str, credentials: ChannelCredentials | None = None) -> aio.Channel:
    """As gigagate.connect, for asyncio. Make it inside the event loop that uses it."""
    interceptors = [_Deadline()]
    if credentials is None:
        return aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
    return aio.secure_channel(
        address, credentials, options=CHANNEL_OPTIONS, interceptors=interceptors
    )


async def register(
    channel: aio.Channel, request: RegisterRequest, *, timeout: float = DEFAULT_TIMEOUT
) -> RegisterResponse:
    """As gigagate.register, for asyncio.

    A task that is cancelled ends with CancelledError. Like NotKnownYet, this means that credit may
    have been spent: keep the request id and ask again later.
    """
    return await _buy(channel, ActivationServiceStub(channel).Register, request, timeout)


async def top_up(
    channel: aio.Channel, request: TopUpRequest, *, timeout: float = DEFAULT_TIMEOUT
) -> TopUpResponse:
    """As gigagate.top_up, for asyncio."""
    return await _buy(channel, ActivationServiceStub(channel).TopUp, request, timeout)


async def _buy(
    channel: aio.Channel,
    method: aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    request: RequestT,
    timeout: float,
) -> ResponseT:
    purchases = PurchaseServiceStub(channel)

    async def send(request: RequestT, timeout: float) -> ResponseT:
        return await method(request, timeout=timeout)

    async def wait(request: WaitPurchaseRequest, timeout: float) -> WaitPurchaseResponse:
        return await purchases.WaitPurchase(request, timeout=timeout)

    async def pause(seconds: float) -> None:
        await sleep(seconds)

    return await buy(Calls(send, wait, pause), request, timeout)


class _Deadline(aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        details = aio.ClientCallDetails(
            client_call_details.method,
            bounded(client_call_details.timeout),
            client_call_details.metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        return await continuation(details, request)
