"""The loop of a purchase, for both kinds of channel."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, NoReturn, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from gigagate._outcome import NotKnownYet, Refused, outcome_of
from gigagate.v1.activation_service_pb2 import RegisterRequest, TopUpRequest
from gigagate.v1.outcome_pb2 import (
    EFFECT_APPLIED,
    EFFECT_NOT_APPLIED,
    EFFECT_NOT_STARTED,
    ERROR_REASON_PERMISSION_DENIED,
    ERROR_REASON_REQUEST_ID_REUSED,
    ERROR_REASON_UNAUTHENTICATED,
    Outcome,
)
from gigagate.v1.purchase_service_pb2 import (
    PURCHASE_STATE_FAILED,
    PURCHASE_STATE_SUCCEEDED,
    WaitPurchaseRequest,
    WaitPurchaseResponse,
)

# How long a purchase may take unless the caller says otherwise. All times are in seconds.
DEFAULT_TIMEOUT = 100.0

# The pause before the next send, where the gateway names none, doubles from the first to the
# longest. The shortest is a lower limit on the pauses that the gateway names.
_FIRST_PAUSE, _LONGEST_PAUSE, _SHORTEST_PAUSE = 1.0, 10.0, 0.1

# The longest timeout that WaitPurchase accepts.
_LONGEST_WAIT = 60

# An error without an Outcome that can be gone at the next send. A proxy sends the others.
_MAY_PASS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    # A proxy or a server that stops.
    grpc.StatusCode.CANCELLED,
)

# What the two kinds of channel raise once they are closed.
_CLOSED = (ValueError, grpc.aio.UsageError)

RequestT = TypeVar("RequestT", RegisterRequest, TopUpRequest)
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True)
class Calls(Generic[RequestT, ResponseT]):
    """What a purchase does to the world. Calls take their timeout."""

    send: Callable[[RequestT, float], Awaitable[ResponseT]]
    wait: Callable[[WaitPurchaseRequest, float], Awaitable[WaitPurchaseResponse]]
    sleep: Callable[[float], Awaitable[None]]


async def buy(calls: Calls[RequestT, ResponseT], request: RequestT, timeout: float) -> ResponseT:
    """Sends request until the purchase has ended in one of the three ways, or the time is over."""
    if not request.request_id:
        raise ValueError("request_id is empty: make one and store it before you buy")
    purchase = _Purchase(calls, monotonic() + timeout)
    sent = False
    while True:
        try:
            return await calls.send(request, purchase.time_left())
        except grpc.RpcError as error:
            sent = True
            await purchase.after_error(error)
        except _CLOSED as error:
            if not sent:
                raise
            purchase.raise_not_known_yet(error)


class _Purchase(Generic[RequestT, ResponseT]):
    """What is known between the sends."""

    def __init__(self, calls: Calls[RequestT, ResponseT], end: float) -> None:
        self._calls: Calls[RequestT, ResponseT] = calls
        self._end = end
        # Whether a send ended without an Outcome. It may still be on its way to the gateway.
        self._in_doubt = False
        self._purchase_id = ""
        # Whether WaitPurchase has shown that the purchase is settled.
        self._settled = False
        self._next_pause = _FIRST_PAUSE

    def time_left(self) -> float:
        return self._end - monotonic()

    async def after_error(self, error: grpc.RpcError) -> None:
        """Returns when it is time to send again. Raises when there is nothing more to do."""
        outcome = outcome_of(error)
        if outcome is None:
            self._in_doubt = True
            if error.code() not in _MAY_PASS or not await self._pause(Outcome()):
                self.raise_not_known_yet(error)
            return
        self._purchase_id = outcome.purchase_id or self._purchase_id
        if outcome.reason == ERROR_REASON_REQUEST_ID_REUSED:
            _raise_refused(outcome, error)
        if outcome.effect == EFFECT_NOT_APPLIED:
            _raise_refused(outcome, error)
        if _needs_other_credential(outcome):
            # An earlier send may have bought, and the gateway does not say.
            if self._in_doubt or self._purchase_id:
                self.raise_not_known_yet(error)
            _raise_refused(outcome, error)
        if outcome.effect == EFFECT_APPLIED:
            # The package is sold. The delay says that the gateway can show the sale later.
            if outcome.HasField("retry_delay") and await self._pause(outcome):
                return
            _raise_refused(outcome, error)
        if outcome.effect == EFFECT_NOT_STARTED:
            # The gateway has no purchase under this request id. A send in doubt can still make one.
            may_repeat = self._in_doubt or outcome.HasField("retry_delay")
            if may_repeat and await self._pause(outcome):
                return
            if self._in_doubt:
                self.raise_not_known_yet(error)
            _raise_refused(outcome, error)
        if outcome.purchase_id and not self._settled and await self._wait_until_settled():
            return
        if not await self._pause(outcome):
            self.raise_not_known_yet(error)

    async def _wait_until_settled(self) -> bool:
        """Returns False if the time is over or the purchase cannot be read."""
        request = WaitPurchaseRequest(id=self._purchase_id, timeout=Duration(seconds=_LONGEST_WAIT))
        while True:
            try:
                response = await self._calls.wait(request, self.time_left())
            except (grpc.RpcError, *_CLOSED):
                return False
            if response.purchase.state in (PURCHASE_STATE_SUCCEEDED, PURCHASE_STATE_FAILED):
                self._settled = True
                return True
            if not await self._pause(Outcome()):
                return False

    async def _pause(self, outcome: Outcome) -> bool:
        """Waits for the outcome's retry_delay, or for a pause that grows.

        Returns False, at once, if there is not enough time for the pause.
        """
        if outcome.HasField("retry_delay"):
            delay = outcome.retry_delay
            pause = max(delay.seconds + delay.nanos / 1e9, _SHORTEST_PAUSE)
        else:
            pause = self._next_pause
            self._next_pause = min(2 * pause, _LONGEST_PAUSE)
        pause *= random.uniform(1, 1.1)  # noqa: S311 - it spreads the sends of many callers
        if self.time_left() <= pause:
            return False
        await self._calls.sleep(pause)
        return True

    def raise_not_known_yet(self, error: Exception) -> NoReturn:
        raise NotKnownYet(self._purchase_id) from error


def _needs_other_credential(outcome: Outcome) -> bool:
    """Whether the gateway refused the caller and not the order, so the next send cannot succeed."""
    return outcome.reason == ERROR_REASON_UNAUTHENTICATED or (
        outcome.reason == ERROR_REASON_PERMISSION_DENIED and outcome.effect == EFFECT_NOT_STARTED
    )


def _raise_refused(outcome: Outcome, error: grpc.RpcError) -> NoReturn:
    raise Refused(error.details() or "", outcome) from error
