"""What a caller of Gigagate needs to buy.

connect() makes a channel, and key_file() sends an API key over it. register() and top_up() buy over it, and outcome_of() reads the contract's
Outcome from an error. gigagate.aio has the same for asyncio, and gigagate.v1 all generated stubs.
"""

from gigagate._blocking import connect, register, top_up
from gigagate._key import key_file
from gigagate._outcome import NotKnownYet, Refused, outcome_of
from gigagate.v1.activated_item_pb2 import (
    ActivatedItem,
    ActivationMode,
    Balance,
    BalanceState,
    Customer,
    EsimProfile,
    NewProfile,
    Size,
    Validity,
)
from gigagate.v1.activation_service_pb2 import (
    RegisterRequest,
    RegisterResponse,
    TopUpRequest,
    TopUpResponse,
)
from gigagate.v1.money_pb2 import Money
from gigagate.v1.outcome_pb2 import Effect, ErrorReason, FieldViolation, Outcome

__all__ = [
    "ActivatedItem",
    "ActivationMode",
    "Balance",
    "BalanceState",
    "Customer",
    "Effect",
    "ErrorReason",
    "EsimProfile",
    "FieldViolation",
    "Money",
    "NewProfile",
    "NotKnownYet",
    "Outcome",
    "Refused",
    "RegisterRequest",
    "RegisterResponse",
    "Size",
    "TopUpRequest",
    "TopUpResponse",
    "Validity",
    "connect",
    "key_file",
    "outcome_of",
    "register",
    "top_up",
]
