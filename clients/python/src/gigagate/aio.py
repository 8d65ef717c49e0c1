"""The channel for asyncio."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio

from gigagate._call_policy import CHANNEL_OPTIONS, bounded

__all__ = ["connect"]


def connect(address: str) -> aio.Channel:
    """As gigagate.connect, for asyncio. Make it inside the event loop that uses it."""
    return aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=[_Deadline()])


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
