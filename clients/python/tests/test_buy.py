"""The example, against a gateway with a sandbox."""

import re
import uuid

import buy
import grpc
import pytest
from conftest import Gateway

import gigagate
from gigagate.v1 import outcome_pb2
from gigagate.v1.activation_service_pb2 import RegisterRequest

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
    assert "FAILED_PRECONDITION" in output
    assert output.endswith("nothing was bought: ERROR_REASON_PRICE_MISMATCH\n")
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


def test_an_unsettled_purchase_is_waited_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def outcome_of(error: grpc.RpcError) -> outcome_pb2.Outcome | None:
        told.append(gigagate_outcome_of(error))
        return told[-1]

    gigagate_outcome_of = gigagate.outcome_of
    monkeypatch.setattr(gigagate, "outcome_of", outcome_of)
    # The sale happens after this caller was answered, and the vendor never answers the gateway.
    late = {"path": REGISTER, "fault": "commit_late", "params": {"delay": "1500ms"}}
    gateway.sandbox("faults", late)
    request = RegisterRequest(
        request_id=f"order-{uuid.uuid4()}",
        inventory_item_id="6513270e-269e-4d37-b2a7-4de452e6b438",
        metatag="late",
        user_ip="203.0.113.24",
        user_country="GR",
    )
    with gigagate.connect(gateway.grpc_address) as channel:
        sold = buy.buy(channel, request, timeout=1)

    assert [outcome and outcome.reason for outcome in told] == [
        outcome_pb2.ERROR_REASON_OUTCOME_UNKNOWN
    ]
    assert sold.activated_item.purchase_id == sold.purchase_id
    assert gateway.sales_of(sold.purchase_id) == 1


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, "may have been bought"),
        (outcome_pb2.Outcome(), "may have been bought"),
        (outcome_pb2.Outcome(effect=outcome_pb2.EFFECT_INDETERMINATE), "may have been bought"),
        (outcome_pb2.Outcome(effect=outcome_pb2.EFFECT_NOT_STARTED), "an earlier one may have"),
        (outcome_pb2.Outcome(effect=outcome_pb2.EFFECT_APPLIED), "it was bought"),
    ],
)
def test_every_effect_has_its_advice(outcome: outcome_pb2.Outcome | None, words: str) -> None:
    assert words in buy.what_now(outcome)
    if outcome:
        outcome.reason = outcome_pb2.ERROR_REASON_REQUEST_ID_REUSED
        assert "this one was not bought" in buy.what_now(outcome)


def test_a_reason_newer_than_the_stubs_is_no_fault() -> None:
    outcome = outcome_pb2.Outcome.FromString(b"\x08\xe7\x07\x10\x02")
    assert buy.what_now(outcome) == "nothing was bought: reason 999"
