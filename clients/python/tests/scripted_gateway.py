"""A gateway that answers as a test says, to see what a client sends and reads."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, repeat
from operator import methodcaller
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from gigagate.v1.activation_service_pb2 import RegisterRequest, RegisterResponse, TopUpRequest
from gigagate.v1.outcome_pb2 import EFFECT_INDETERMINATE, ERROR_REASON_OUTCOME_UNKNOWN, Outcome
from gigagate.v1.purchase_service_pb2 import WaitPurchaseRequest

Answer = Callable[[grpc.ServicerContext], Message]

REQUEST = RegisterRequest(request_id="order-1")
RESPONSE = RegisterResponse(purchase_id="01JD0000000000000000000000")
UNKNOWN = Outcome(
    reason=ERROR_REASON_OUTCOME_UNKNOWN,
    effect=EFFECT_INDETERMINATE,
    purchase_id=RESPONSE.purchase_id,
)


def sold(context: grpc.ServicerContext) -> RegisterResponse:
    """Answers with a sale."""
    return RESPONSE


def refused(code: grpc.StatusCode, trailers: Mapping[str, str | bytes] | None = None) -> Answer:
    """Answers with an error."""

    def answer(context: grpc.ServicerContext) -> NoReturn:
        context.set_trailing_metadata(tuple((trailers or {}).items()))
        context.abort(code, "sentence")

    return answer


def details(code: grpc.StatusCode, *messages: Message) -> dict[str, str | bytes]:
    """Makes the trailer that a status with details has."""
    status = Status(code=code.value[0], message="sentence")
    for message in messages:
        packed = Any()
        packed.Pack(message)
        status.details.append(packed)
    return {"grpc-status-details-bin": status.SerializeToString()}


class ScriptedGateway:
    """Answers each call with the next answer, and every further one with the last."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = chain(answers, repeat(answers[-1]))
        self.received: list[Message] = []
        self.seconds_left: list[float] = []

    def _answer(self, request: Message, context: grpc.ServicerContext) -> Message:
        self.received.append(request)
        self.seconds_left.append(context.time_remaining() or float("inf"))
        return next(self._answers)(context)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves, and gives the address."""
        server = grpc.server(ThreadPoolExecutor(max_workers=1))
        services: dict[str, dict[str, type[Message]]] = {
            "gigagate.v1.ActivationService": {"Register": RegisterRequest, "TopUp": TopUpRequest},
            "gigagate.v1.PurchaseService": {"WaitPurchase": WaitPurchaseRequest},
        }
        for service, methods in services.items():
            handlers = {
                method: grpc.unary_unary_rpc_method_handler(
                    self._answer, request.FromString, methodcaller("SerializeToString")
                )
                for method, request in methods.items()
            }
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()
