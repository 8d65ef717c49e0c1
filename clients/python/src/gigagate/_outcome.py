"""The contract's Outcome in an error, and the errors of a purchase."""

from collections.abc import Sequence

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from gigagate.v1.outcome_pb2 import Effect, ErrorReason, FieldViolation, Outcome


def outcome_of(error: grpc.RpcError) -> Outcome | None:
    """Finds the Outcome in the error of a call, on either kind of channel.

    None if the error has no Outcome, for example if the connection broke. Credit may have been
    spent then, as with EFFECT_INDETERMINATE.
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


class Refused(Exception):  # noqa: N818 - the name is the same in every language
    """It is known how the request id stands, and there is no sale to show.

    After NOT_APPLIED a new request id buys anew. With any other effect, keep the request id.

    If the reason is REQUEST_ID_REUSED, the request id stands for another order. The effect and the
    purchase id are those of that order then. If it is UNAUTHENTICATED, this purchase did nothing,
    but an earlier one with the request id may have.

    Attributes:
        message: A sentence for people.
        outcome: The contract's Outcome, with the enums.
    """

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message, outcome)
        self.message = message
        self.outcome = outcome

    @property
    def reason(self) -> str:
        """The contract's name without its prefix, such as INSUFFICIENT_CREDIT."""
        try:
            return ErrorReason.Name(self.outcome.reason).removeprefix("ERROR_REASON_")
        except ValueError:  # a newer gateway has a reason that these stubs do not know
            return str(self.outcome.reason)

    @property
    def effect(self) -> str:
        """The contract's name without its prefix, such as NOT_APPLIED."""
        try:
            return Effect.Name(self.outcome.effect).removeprefix("EFFECT_")
        except ValueError:
            return str(self.outcome.effect)

    @property
    def purchase_id(self) -> str:
        """The id of the purchase, or "" if there is none."""
        return self.outcome.purchase_id

    @property
    def field_violations(self) -> Sequence[FieldViolation]:
        """The fields that are not valid, or that differ from the order of a reused request id."""
        return self.outcome.field_violations

    def __str__(self) -> str:
        """Names the reason, the effect and the message."""
        return f"{self.reason}, {self.effect}: {self.message}"


class NotKnownYet(Exception):  # noqa: N818 - the name is the same in every language
    """The time is over, and credit may have been spent.

    Keep the request id and ask again later with the same request. That gives the sale or the
    refusal, and buys nothing twice. The cause is the error of the last send.

    Attributes:
        purchase_id: The id of the purchase, or "" if it is not known.
    """

    def __init__(self, purchase_id: str) -> None:
        super().__init__(purchase_id)
        self.purchase_id = purchase_id

    def __str__(self) -> str:
        """Names the purchase, if it is known."""
        if not self.purchase_id:
            return "not known yet whether it was bought"
        return f"not known yet whether purchase {self.purchase_id} was made"
