"""The example, against a gateway with a sandbox."""

import asyncio
import re
import uuid

import buy
import pytest
from conftest import Gateway

import gigagate
import gigagate.aio

REGISTER = "/gigastore/activations/register"


def run(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("GIGAGATE_ADDRESS", gateway.grpc_address)
    monkeypatch.setattr("sys.argv", ["buy.py", *arguments])
    return buy.main()


def request_id_in(output: str) -> str:
    found = re.search(r"^request id (\S+)$", output, re.MULTILINE)
    assert found
    return found[1]


def test_a_package_is_sold(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gateway, monkeypatch) == 0
    first = capsys.readouterr().out
    assert re.search(r"^sold \S+ to customer \S+$", first, re.MULTILINE)
    assert re.search(r"^not started; starts by itself at \S+Z$", first, re.MULTILINE)

    request_id = request_id_in(first)
    assert run(gateway, monkeypatch, "--request-id", request_id) == 0
    assert capsys.readouterr().out == first
    assert gateway.sales_of(request_id) == 1


def test_a_refusal_names_its_reason(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gateway, monkeypatch, "--price", "8.99") == 1
    output = capsys.readouterr().out
    assert "\nrefused: PRICE_MISMATCH, NOT_APPLIED: " in output
    assert output.endswith("nothing was bought: a new request id buys anew\n")
    assert gateway.sales_of(request_id_in(output)) == 0


def test_the_id_of_another_order_buys_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gateway, monkeypatch) == 0
    request_id = request_id_in(capsys.readouterr().out)
    # The effect of this refusal is that the first order was sold.
    assert run(gateway, monkeypatch, "--request-id", request_id, "--price", "8.99") == 1
    output = capsys.readouterr().out
    assert output.endswith("stands for another order: this one was not bought\n")
    assert gateway.sales_of(request_id) == 1


def test_a_lost_answer_is_asked_for_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The sale happens after the customer's patience, and the vendor never answers the gateway.
    late = {"path": REGISTER, "fault": "commit_late", "params": {"delay": "1500ms"}}
    gateway.sandbox("faults", late)
    assert run(gateway, monkeypatch, "--patience", "1") == 1
    output = capsys.readouterr().out
    assert re.search(r"^not known yet whether purchase \S+ was made$", output, re.MULTILINE)
    request_id = request_id_in(output)
    assert output.endswith(f"ask again later with --request-id {request_id}\n")

    assert run(gateway, monkeypatch, "--request-id", request_id) == 0
    assert gateway.sales_of(request_id) == 1


def test_a_task_in_asyncio_buys(gateway: Gateway) -> None:
    request = gigagate.RegisterRequest(
        request_id=f"order-{uuid.uuid4()}",
        inventory_item_id="6513270e-269e-4d37-b2a7-4de452e6b438",
        metatag="asyncio",
        user_ip="203.0.113.24",
        user_country="GR",
    )

    async def register() -> gigagate.RegisterResponse:
        async with gigagate.aio.connect(gateway.grpc_address) as channel:
            return await gigagate.aio.register(channel, request)

    assert gateway.sales_of(asyncio.run(register()).purchase_id) == 1


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ("EFFECT_NOT_STARTED", "with the same request id"),
        ("EFFECT_NOT_APPLIED", "a new request id buys anew"),
        ("EFFECT_APPLIED", "it was sold, as purchase 01JD"),
    ],
)
def test_every_effect_has_its_advice(effect: str, words: str) -> None:
    outcome = gigagate.Outcome(effect=gigagate.Effect.Value(effect), purchase_id="01JD")
    assert words in buy.what_now(gigagate.Refused("sentence", outcome))
    outcome.reason = gigagate.ErrorReason.ERROR_REASON_UNAUTHENTICATED
    assert "the credential is wrong" in buy.what_now(gigagate.Refused("sentence", outcome))
    outcome.reason = gigagate.ErrorReason.ERROR_REASON_REQUEST_ID_REUSED
    assert "this one was not bought" in buy.what_now(gigagate.Refused("sentence", outcome))
