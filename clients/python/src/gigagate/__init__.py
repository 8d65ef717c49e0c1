"""What a caller of Gigagate needs beside the generated stubs in gigagate.v1.

connect() makes a channel that repeats what is safe to repeat, outcome_of() reads the contract's
Outcome from an error. gigagate.aio has the channel for asyncio.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from gigagate._call_policy import CHANNEL_OPTIONS, bounded
from gigagate.v1.outcome_pb2 import Outcome

__all__ = ["connect", "outcome_of"]


def connect(address: str) -> grpc.Channel:
    """Makes a plaintext channel to the gateway at address, "host:port".

    It connects when first used. A call that ends UNAVAILABLE is sent up to four times more, with
    the pauses that the gateway asks for: the request, and so its request id, stays the same, so
    nothing is bought twice. A call has 100 s, which all its sends share, or its own timeout where
    that is shorter.

    The error that is raised is the last send's. EFFECT_NOT_STARTED does not mean then that nothing
    was bought, for an earlier send may have: repeat with the same request id until a sale or
    another effect is told.
    """
    channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.intercept_channel(channel, _Deadline())


def outcome_of(error: grpc.RpcError) -> Outcome | None:
    """Finds the Outcome in the error of a call, on either kind of channel.

    None where the error bears none, such as a broken connection: credit may have been spent then,
    as with EFFECT_INDETERMINATE.
    """
    try:
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            outcome = Outcome()
            if detail.Unpack(outcome):
                return outcome
    except (ValueError, DecodeError):
        # Details that contradict the status, or cannot be read, are as good as none.
        pass
    return None


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
