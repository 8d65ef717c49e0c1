"""How often a call is sent, and how long it may take, on either kind of channel."""

import asyncio
import json
from collections.abc import Callable
from importlib import import_module, resources
from pkgutil import iter_modules

import grpc
import pytest
from conftest import ROOT
from scripted_gateway import REQUEST, RESPONSE, UNKNOWN, ScriptedGateway, details, refused, sold

import gigagate
import gigagate.aio
from gigagate import v1
from gigagate.v1.activation_service_pb2 import RegisterResponse
from gigagate.v1.activation_service_pb2_grpc import ActivationServiceStub

Register = Callable[[str, float | None], RegisterResponse]


def blocking(address: str, timeout: float | None) -> RegisterResponse:
    with gigagate.connect(address) as channel:
        return ActivationServiceStub(channel).Register(REQUEST, timeout=timeout)


def asynchronous(address: str, timeout: float | None) -> RegisterResponse:
    async def call() -> RegisterResponse:
        async with gigagate.aio.connect(address) as channel:
            return await ActivationServiceStub(channel).Register(REQUEST, timeout=timeout)

    return asyncio.run(call())


@pytest.fixture(params=[blocking, asynchronous])
def register(request: pytest.FixtureRequest) -> Register:
    send: Register = request.param
    return send


# The pushback shortens the pauses of the policy, as the gateway may.
UNAVAILABLE = refused(
    grpc.StatusCode.UNAVAILABLE,
    {"grpc-retry-pushback-ms": "1", **details(grpc.StatusCode.UNAVAILABLE, UNKNOWN)},
)


def test_the_packaged_policy_is_the_contracts() -> None:
    contract = (ROOT / "proto/gigagate/v1/service_config.json").read_text()
    packaged = resources.files("gigagate").joinpath("service_config.json").read_text()
    assert json.loads(packaged) == json.loads(contract)


def test_the_policy_names_every_service() -> None:
    policy = json.loads(resources.files("gigagate").joinpath("service_config.json").read_text())
    named = {name["service"] for config in policy["methodConfig"] for name in config["name"]}
    modules = (import_module(f"gigagate.v1.{module.name}") for module in iter_modules(v1.__path__))
    files = [module.DESCRIPTOR for module in modules if hasattr(module, "DESCRIPTOR")]
    services = [service for file in files for service in file.services_by_name.values()]
    assert named == {service.full_name for service in services}


def test_unavailable_is_sent_again_with_the_same_request_id(register: Register) -> None:
    gateway = ScriptedGateway(UNAVAILABLE, UNAVAILABLE, sold)
    with gateway.serving() as address:
        assert register(address, None) == RESPONSE
    assert gateway.received == [REQUEST] * 3


def test_the_policy_gives_up_after_five_sends(register: Register) -> None:
    gateway = ScriptedGateway(UNAVAILABLE)
    with gateway.serving() as address, pytest.raises(grpc.RpcError) as raised:
        register(address, None)
    assert gateway.received == [REQUEST] * 5
    assert gigagate.outcome_of(raised.value) == UNKNOWN


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
    ],
)
def test_other_errors_are_not_sent_again(register: Register, code: grpc.StatusCode) -> None:
    gateway = ScriptedGateway(refused(code), sold)
    with gateway.serving() as address, pytest.raises(grpc.RpcError) as raised:
        register(address, None)
    assert raised.value.code() == code
    assert gateway.received == [REQUEST]


def test_the_gateway_can_forbid_another_send(register: Register) -> None:
    forbidden = refused(grpc.StatusCode.UNAVAILABLE, {"grpc-retry-pushback-ms": "-1"})
    gateway = ScriptedGateway(forbidden, sold)
    with gateway.serving() as address, pytest.raises(grpc.RpcError):
        register(address, None)
    assert gateway.received == [REQUEST]


def test_all_sends_share_one_deadline(register: Register) -> None:
    pushback = {"grpc-retry-pushback-ms": "200"}
    gateway = ScriptedGateway(refused(grpc.StatusCode.UNAVAILABLE, pushback))
    with gateway.serving() as address, pytest.raises(grpc.RpcError) as raised:
        register(address, 0.5)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("asked", "told"), [(None, 100), (20, 20), (300, 100)])
def test_the_gateway_is_told_the_deadline(
    register: Register, asked: float | None, told: float
) -> None:
    gateway = ScriptedGateway(sold)
    with gateway.serving() as address:
        register(address, asked)
    # The gateway's end of the connection rounds up.
    assert told - 10 < gateway.seconds_left[0] < told + 1
