"""How register and top_up end, on either kind of channel.

The purchase's clock is the test's: it advances by the pauses, and by what an answer takes.
"""

import asyncio
import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf.message import Message
from scripted_gateway import REQUEST, RESPONSE, UNKNOWN, Answer, ScriptedGateway, details, refused
from scripted_gateway import sold as sale

import gigagate
import gigagate.aio
from gigagate.v1 import activation_service_pb2
from gigagate.v1.outcome_pb2 import (
    EFFECT_APPLIED,
    EFFECT_INDETERMINATE,
    EFFECT_NOT_APPLIED,
    EFFECT_NOT_STARTED,
    ERROR_REASON_PERMISSION_DENIED,
    ERROR_REASON_REQUEST_ID_REUSED,
    ERROR_REASON_UNAUTHENTICATED,
    Effect,
    ErrorReason,
    FieldViolation,
    Outcome,
)
from gigagate.v1.purchase_service_pb2 import (
    PURCHASE_STATE_FAILED,
    PURCHASE_STATE_SUCCEEDED,
    PURCHASE_STATE_UNCERTAIN,
    Purchase,
    PurchaseState,
    WaitPurchaseRequest,
    WaitPurchaseResponse,
)

PURCHASE = RESPONSE.purchase_id
REUSED = ERROR_REASON_REQUEST_ID_REUSED
INTERNAL, DENIED = grpc.StatusCode.INTERNAL, grpc.StatusCode.PERMISSION_DENIED


class Clock:
    """A clock that stands still between pauses."""

    now: float
    pauses: list[float]

    def sleep(self, seconds: float) -> None:
        """Pauses a purchase."""
        self.pauses.append(seconds)
        self.now += seconds

    async def sleep_in_asyncio(self, seconds: float) -> None:
        """Pauses a purchase in asyncio."""
        self.sleep(seconds)


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    CLOCK.now, CLOCK.pauses = 0.0, []
    monkeypatch.setattr("gigagate._purchase.monotonic", lambda: CLOCK.now)
    monkeypatch.setattr("gigagate._blocking.sleep", CLOCK.sleep)
    monkeypatch.setattr("gigagate.aio.sleep", CLOCK.sleep_in_asyncio)


Buy = Callable[..., Message]


def blocking(address: str, request: Message, **options: float) -> Message:
    with gigagate.connect(address) as channel:
        if isinstance(request, gigagate.TopUpRequest):
            return gigagate.top_up(channel, request, **options)
        assert isinstance(request, gigagate.RegisterRequest)
        return gigagate.register(channel, request, **options)


def asynchronous(address: str, request: Message, **options: float) -> Message:
    async def buy() -> Message:
        async with gigagate.aio.connect(address) as channel:
            if isinstance(request, gigagate.TopUpRequest):
                return await gigagate.aio.top_up(channel, request, **options)
            assert isinstance(request, gigagate.RegisterRequest)
            return await gigagate.aio.register(channel, request, **options)

    return asyncio.run(buy())


@pytest.fixture(params=[blocking, asynchronous])
def buy(request: pytest.FixtureRequest) -> Buy:
    function: Buy = request.param
    return function


def told(
    effect: Effect.ValueType,
    purchase_id: str = "",
    retry_delay: float | None = None,
    reason: ErrorReason.ValueType = ErrorReason.ERROR_REASON_UNSPECIFIED,
) -> Answer:
    """Answers with an Outcome. The call policy does not repeat its code."""
    outcome = Outcome(reason=reason, effect=effect, purchase_id=purchase_id)
    if retry_delay is not None:
        outcome.retry_delay.FromNanoseconds(int(retry_delay * 1e9))
    return refused(grpc.StatusCode.ABORTED, details(grpc.StatusCode.ABORTED, outcome))


def waited(state: PurchaseState.ValueType, seconds: float) -> Answer:
    """Answers WaitPurchase after some time."""

    def answer(context: grpc.ServicerContext) -> Message:
        # The client waits for this answer, so nothing else looks at the clock.
        CLOCK.now += seconds
        return WaitPurchaseResponse(purchase=Purchase(state=state))

    return answer


UNSETTLED = told(EFFECT_INDETERMINATE, PURCHASE)
SETTLED = waited(PURCHASE_STATE_SUCCEEDED, 0)
NOBODY = told(EFFECT_INDETERMINATE, reason=ERROR_REASON_UNAUTHENTICATED)
FORBIDDEN = told(EFFECT_NOT_STARTED, reason=ERROR_REASON_PERMISSION_DENIED)


def end_of(buy: Buy, address: str) -> str:
    try:
        response = buy(address, REQUEST)
    except gigagate.Refused as refusal:
        return f"refused {refusal.effect}"
    except gigagate.NotKnownYet as unknown:
        assert isinstance(unknown.__cause__, grpc.RpcError)
        return f"not known {unknown.purchase_id}".strip()
    assert response == RESPONSE
    return "sold"


CASES: dict[str, tuple[list[Answer], str, str, float]] = {
    "sold at once": ([sale], "buy", "sold", 0),
    "not applied": ([told(EFFECT_NOT_APPLIED)], "buy", "refused NOT_APPLIED", 0),
    "applied": ([told(EFFECT_APPLIED)], "buy", "refused APPLIED", 0),
    "applied, then shown": (
        [told(EFFECT_APPLIED, PURCHASE, 3), sale],
        "buy buy",
        "sold",
        3,
    ),
    "applied, no time to show it": (
        [told(EFFECT_APPLIED, PURCHASE, 200)],
        "buy",
        "refused APPLIED",
        0,
    ),
    "reused, open": (
        [told(EFFECT_INDETERMINATE, PURCHASE, 1, REUSED)],
        "buy",
        "refused INDETERMINATE",
        0,
    ),
    "reused, absent": (
        [told(EFFECT_NOT_STARTED, PURCHASE, 1, REUSED)],
        "buy",
        "refused NOT_STARTED",
        0,
    ),
    # A credential that is wrong, or may not buy this.
    "unauthenticated": ([NOBODY], "buy", "refused INDETERMINATE", 0),
    "in doubt, then unauthenticated": ([refused(INTERNAL), NOBODY], "buy buy", "not known", 1),
    "open, then unauthenticated": (
        [UNSETTLED, SETTLED, NOBODY],
        "buy wait buy",
        f"not known {PURCHASE}",
        0,
    ),
    "denied": ([FORBIDDEN], "buy", "refused NOT_STARTED", 0),
    "in doubt, then denied": ([refused(INTERNAL), FORBIDDEN], "buy buy", "not known", 1),
    "denied, open": (
        [
            told(EFFECT_INDETERMINATE, PURCHASE, reason=ERROR_REASON_PERMISSION_DENIED),
            SETTLED,
            told(EFFECT_APPLIED, PURCHASE, reason=ERROR_REASON_PERMISSION_DENIED),
        ],
        "buy wait buy",
        "refused APPLIED",
        0,
    ),
    # NOT_STARTED.
    "not started": ([told(EFFECT_NOT_STARTED)], "buy", "refused NOT_STARTED", 0),
    "not started, then sold": (
        [told(EFFECT_NOT_STARTED, retry_delay=3), sale],
        "buy buy",
        "sold",
        3,
    ),
    "not started, no time": (
        [told(EFFECT_NOT_STARTED, retry_delay=3), told(EFFECT_NOT_STARTED, retry_delay=200)],
        "buy buy",
        "refused NOT_STARTED",
        3,
    ),
    "not started, no pause": (
        [told(EFFECT_NOT_STARTED, retry_delay=0), sale],
        "buy buy",
        "sold",
        0.1,
    ),
    "in doubt, then not started": (
        [refused(INTERNAL), told(EFFECT_NOT_STARTED), sale],
        "buy buy buy",
        "sold",
        3,
    ),
    "in doubt, then not started, no time": (
        [refused(INTERNAL), told(EFFECT_NOT_STARTED, retry_delay=200)],
        "buy buy",
        "not known",
        1,
    ),
    "indeterminate, then not started, no time": (
        [told(EFFECT_INDETERMINATE), told(EFFECT_NOT_STARTED, retry_delay=200)],
        "buy buy",
        "refused NOT_STARTED",
        1,
    ),
    # INDETERMINATE.
    "waited for, sold": (
        [UNSETTLED, waited(PURCHASE_STATE_SUCCEEDED, 30), sale],
        "buy wait buy",
        "sold",
        30,
    ),
    "waited for, refused": (
        [UNSETTLED, waited(PURCHASE_STATE_FAILED, 1), told(EFFECT_NOT_APPLIED)],
        "buy wait buy",
        "refused NOT_APPLIED",
        1,
    ),
    "waited for twice": (
        [UNSETTLED, waited(PURCHASE_STATE_UNCERTAIN, 60), SETTLED, sale],
        "buy wait wait buy",
        "sold",
        61,
    ),
    "never settled": (
        [UNSETTLED, waited(PURCHASE_STATE_UNCERTAIN, 60), waited(PURCHASE_STATE_UNCERTAIN, 38)],
        "buy wait wait",
        f"not known {PURCHASE}",
        99,
    ),
    "the wait fails": (
        [told(EFFECT_INDETERMINATE, PURCHASE, 2), refused(DENIED), sale],
        "buy wait buy",
        "sold",
        2,
    ),
    "settled, and still unknown": (
        [UNSETTLED, SETTLED, told(EFFECT_INDETERMINATE, PURCHASE, 2), sale],
        "buy wait buy buy",
        "sold",
        2,
    ),
    "without a purchase": (
        [told(EFFECT_INDETERMINATE, retry_delay=5), told(EFFECT_INDETERMINATE), sale],
        "buy buy buy",
        "sold",
        6,
    ),
    # No Outcome.
    "cancelled, then not started": (
        [refused(grpc.StatusCode.CANCELLED), told(EFFECT_NOT_STARTED), sale],
        "buy buy buy",
        "sold",
        3,
    ),
    "a proxy": ([refused(DENIED)], "buy", "not known", 0),
    "known, then a proxy": (
        [UNSETTLED, SETTLED, refused(DENIED)],
        "buy wait buy",
        f"not known {PURCHASE}",
        0,
    ),
}


@pytest.mark.parametrize(("script", "calls", "end", "seconds"), CASES.values(), ids=CASES)
def test_a_purchase_ends_in_one_of_three_ways(
    buy: Buy, script: list[Answer], calls: str, end: str, seconds: float
) -> None:
    gateway = ScriptedGateway(*script)
    with gateway.serving() as address:
        assert end_of(buy, address) == end
    waits = [isinstance(request, WaitPurchaseRequest) for request in gateway.received]
    assert " ".join("wait" if wait else "buy" for wait in waits) == calls
    for request in gateway.received:
        if isinstance(request, WaitPurchaseRequest):
            assert request.id == PURCHASE
        else:
            assert request == REQUEST
    assert seconds <= CLOCK.now <= seconds * 1.1


MAY_PASS = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
def test_errors_without_outcome_that_may_pass(buy: Buy, code: grpc.StatusCode) -> None:
    # The channel does not send again by itself.
    gateway = ScriptedGateway(refused(code, {"grpc-retry-pushback-ms": "-1"}), sale)
    with gateway.serving() as address:
        assert end_of(buy, address) == ("sold" if code in MAY_PASS else "not known")
    assert gateway.received == [REQUEST] * (2 if code in MAY_PASS else 1)


def test_pauses_grow(buy: Buy) -> None:
    with ScriptedGateway(refused(INTERNAL)).serving() as address:
        assert end_of(buy, address) == "not known"
    wanted = [1, 2, 4, 8, 10, 10, 10, 10, 10, 10]
    assert all(
        want <= pause <= want * 1.1 for pause, want in zip(CLOCK.pauses, wanted, strict=False)
    )
    assert 85 < CLOCK.now <= 100


def test_each_send_has_the_time_that_is_left(buy: Buy) -> None:
    gateway = ScriptedGateway(
        told(EFFECT_NOT_STARTED, retry_delay=20), UNSETTLED, waited(PURCHASE_STATE_FAILED, 30), sale
    )
    with gateway.serving() as address:
        buy(address, REQUEST, timeout=90)
    for left, wanted in zip(gateway.seconds_left, (90, 70, 70, 40), strict=True):
        # The gateway's end of the connection rounds up.
        assert wanted - 10 < left < wanted + 1


def test_a_gateway_that_does_not_answer(buy: Buy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the time is real

    def silent(context: grpc.ServicerContext) -> Message:
        ended = threading.Event()
        if context.add_callback(ended.set):
            ended.wait()
        return RESPONSE

    gateway = ScriptedGateway(silent)
    with gateway.serving() as address, pytest.raises(gigagate.NotKnownYet) as raised:
        buy(address, REQUEST, timeout=0.3)
    assert isinstance(raised.value.__cause__, grpc.RpcError)
    assert raised.value.__cause__.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert gateway.received == [REQUEST]


def test_a_top_up_is_bought_in_the_same_way(buy: Buy) -> None:
    def topped_up(context: grpc.ServicerContext) -> Message:
        return gigagate.TopUpResponse(purchase_id=PURCHASE)

    request = gigagate.TopUpRequest(request_id="order-1", customer_uid="c")
    gateway = ScriptedGateway(UNSETTLED, SETTLED, topped_up)
    with gateway.serving() as address:
        assert buy(address, request) == gigagate.TopUpResponse(purchase_id=PURCHASE)
    assert [gateway.received[0], gateway.received[2]] == [request] * 2


@pytest.mark.parametrize("request_class", [gigagate.RegisterRequest, gigagate.TopUpRequest])
def test_a_request_id_is_needed_before_anything_is_sent(
    buy: Buy, request_class: type[Message]
) -> None:
    gateway = ScriptedGateway(sale)
    with gateway.serving() as address, pytest.raises(ValueError, match="request_id is empty"):
        buy(address, request_class())
    assert gateway.received == []


def test_a_cancelled_task_is_cancelled() -> None:
    asked = threading.Event()

    def silent(context: grpc.ServicerContext) -> NoReturn:
        ended = threading.Event()
        context.add_callback(ended.set)
        asked.set()
        ended.wait()
        context.abort(INTERNAL, "nobody hears this")

    async def cancel(address: str) -> None:
        async with gigagate.aio.connect(address) as channel:
            task = asyncio.create_task(gigagate.aio.register(channel, REQUEST))
            await asyncio.to_thread(asked.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with ScriptedGateway(silent).serving() as address:
        asyncio.run(cancel(address))


def test_a_channel_that_is_closed_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedGateway(refused(INTERNAL)).serving() as address:
        channel = gigagate.connect(address)
        monkeypatch.setattr("gigagate._blocking.sleep", lambda _: channel.close())
        with pytest.raises(gigagate.NotKnownYet):
            gigagate.register(channel, REQUEST)
        with pytest.raises(ValueError, match="closed"):  # nothing was sent
            gigagate.register(channel, REQUEST)


# grpcio raises in the destructor of such a call.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_asynchronous_channel_that_is_closed_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def buy(address: str) -> None:
        channel = gigagate.aio.connect(address)

        async def close(_: float) -> None:
            await channel.close()

        monkeypatch.setattr("gigagate.aio.sleep", close)
        with pytest.raises(gigagate.NotKnownYet):
            await gigagate.aio.register(channel, REQUEST)

    with ScriptedGateway(refused(INTERNAL)).serving() as address:
        asyncio.run(buy(address))
    gc.collect()  # so that the destructor runs in this test


def test_a_refusal_tells_all(buy: Buy) -> None:
    code = grpc.StatusCode.FAILED_PRECONDITION
    outcome = Outcome(
        reason=ErrorReason.ERROR_REASON_INSUFFICIENT_CREDIT,
        effect=EFFECT_NOT_APPLIED,
        purchase_id=PURCHASE,
        field_violations=[FieldViolation(field="metatag", description="is too long")],
    )
    gateway = ScriptedGateway(refused(code, details(code, outcome)))
    with gateway.serving() as address, pytest.raises(gigagate.Refused) as raised:
        buy(address, REQUEST)
    error = raised.value
    assert (error.reason, error.effect) == ("INSUFFICIENT_CREDIT", "NOT_APPLIED")
    assert (error.message, error.purchase_id) == ("sentence", PURCHASE)
    assert [violation.field for violation in error.field_violations] == ["metatag"]
    assert error.outcome == outcome
    assert str(error) == "INSUFFICIENT_CREDIT, NOT_APPLIED: sentence"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_a_reason_newer_than_the_stubs_has_its_number() -> None:
    error = gigagate.Refused("sentence", Outcome.FromString(b"\x08\xe7\x07\x10\x63"))
    assert str(error) == "999, 99: sentence"


def test_errors_can_be_pickled() -> None:  # as task queues do
    refusal = pickle.loads(pickle.dumps(gigagate.Refused("sentence", UNKNOWN)))  # noqa: S301
    assert (refusal.message, refusal.outcome) == ("sentence", UNKNOWN)
    unknown = pickle.loads(pickle.dumps(gigagate.NotKnownYet(PURCHASE)))  # noqa: S301
    assert str(unknown) == f"not known yet whether purchase {PURCHASE} was made"


def test_one_import_has_what_a_purchase_needs() -> None:
    for name in gigagate.__all__:
        assert getattr(gigagate, name) is not None
    seen: set[str] = set()
    (service,) = activation_service_pb2.DESCRIPTOR.services_by_name.values()
    paid = [service.methods_by_name[name] for name in ("Register", "TopUp")]
    descriptors: list[Any] = [Outcome.DESCRIPTOR]
    for method in paid:
        descriptors += [method.input_type, method.output_type]
    while descriptors:
        descriptor = descriptors.pop()
        if descriptor.file.package == "gigagate.v1" and descriptor.name not in seen:
            seen.add(descriptor.name)
            for field in getattr(descriptor, "fields", ()):
                descriptors += [d for d in (field.message_type, field.enum_type) if d]
    assert seen <= set(gigagate.__all__)
