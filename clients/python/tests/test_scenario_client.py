"""The client program of the scenarios keeps to their protocol."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import Gateway

PROGRAM = Path(__file__).parent / "scenario_client.py"


def register(request_id: str, **changes: str) -> dict[str, Any]:
    request = {
        "requestId": request_id,
        "inventoryItemId": "6513270e-269e-4d37-b2a7-4de452e6b438",
        "metatag": "scenario",
        "userIp": "203.0.113.24",
        "userCountry": "GR",
        "activationMode": "ACTIVATION_MODE_ON_DEMAND",
    }
    return {"method": "gigagate.v1.ActivationService/Register", "request": request | changes}


def test_one_answer_for_each_line(gateway: Gateway) -> None:
    steps = [
        register("scenario-1"),
        register("scenario-1") | {"deadlineMs": 20000},
        register("scenario-1", metatag="another"),
        {"method": "gigagate.v1.CustomerService/GetCustomer", "request": {"uid": "nobody"}},
        {"method": "gigagate.v1.InventoryService/ListInventoryItems", "request": {}},
        register("scenario-2") | {"deadlineMs": 400},
        {"method": "gigagate.v1.PurchaseService/ListPurchases", "request": {"pageSize": 1}},
        register("scenario-1") | {"helper": True},
        register("scenario-1", metatag="another") | {"helper": True, "deadlineMs": 20000},
    ]
    ended = subprocess.run(
        [sys.executable, PROGRAM, gateway.grpc_address],
        input="".join(json.dumps(step) + "\n" for step in steps),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    sold, replayed, mismatch, nobody, inventory, late, purchases, helped, refused = answers

    balance = sold["response"]["activatedItem"]["balance"]
    assert balance["activationMode"] == "ACTIVATION_MODE_ON_DEMAND"
    assert balance["activationDeadline"].endswith("Z")
    assert sold["replayed"] is False
    assert replayed == {"response": sold["response"], "replayed": True}

    outcome = mismatch["error"]["outcome"]
    assert mismatch["error"]["code"] == "ALREADY_EXISTS"
    assert outcome["reason"] == "ERROR_REASON_REQUEST_ID_REUSED"
    assert [violation["field"] for violation in outcome["fieldViolations"]] == ["metatag"]

    assert nobody["error"]["code"] == "NOT_FOUND"
    assert inventory["response"]["items"]
    assert late["error"]["outcome"]["reason"] == "ERROR_REASON_DEADLINE_TOO_SHORT"
    assert purchases["response"]["purchases"][0]["requestId"] == "scenario-1"

    assert helped == {"response": sold["response"]}
    assert refused["refused"].pop("message")
    (violation,) = refused["refused"].pop("fieldViolations")
    assert violation["field"] == "metatag"
    assert refused["refused"] == {
        "reason": "REQUEST_ID_REUSED",
        "effect": "APPLIED",
        "purchaseId": sold["response"]["purchaseId"],
    }
