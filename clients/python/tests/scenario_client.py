"""The client program that internal/scenarios drives: proto/scenarios/README.md has the protocol.

Usage: scenario_client.py ADDRESS
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import ServiceDescriptor

import gigagate
from gigagate.v1 import (
    activation_service_pb2,
    activation_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    budget_service_pb2,
    budget_service_pb2_grpc,
    customer_service_pb2,
    customer_service_pb2_grpc,
    freeze_service_pb2,
    freeze_service_pb2_grpc,
    inventory_service_pb2,
    inventory_service_pb2_grpc,
    purchase_service_pb2,
    purchase_service_pb2_grpc,
)

SERVICES = (
    (activation_service_pb2, activation_service_pb2_grpc.ActivationServiceStub),
    (audit_service_pb2, audit_service_pb2_grpc.AuditServiceStub),
    (budget_service_pb2, budget_service_pb2_grpc.BudgetServiceStub),
    (customer_service_pb2, customer_service_pb2_grpc.CustomerServiceStub),
    (freeze_service_pb2, freeze_service_pb2_grpc.FreezeServiceStub),
    (inventory_service_pb2, inventory_service_pb2_grpc.InventoryServiceStub),
    (purchase_service_pb2, purchase_service_pb2_grpc.PurchaseServiceStub),
)


class Methods:
    """The contract's methods by their full names, such as gigagate.v1.ActivationService/TopUp."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._methods: dict[str, tuple[Any, Any]] = {}
        for module, stub_class in SERVICES:
            stub = stub_class(channel)
            service: ServiceDescriptor
            for service in module.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    request_class = message_factory.GetMessageClass(method.input_type)
                    self._methods[f"{service.full_name}/{method.name}"] = (
                        getattr(stub, method.name),
                        request_class,
                    )

    def call(self, name: str, request: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """Makes one call and returns the answer as the protocol has it."""
        method, request_class = self._methods[name]
        message = json_format.ParseDict(request, request_class())
        try:
            response, call = method.with_call(message, timeout=timeout)
        except grpc.RpcError as error:
            outcome = gigagate.outcome_of(error)
            return {
                "error": {
                    "code": error.code().name,
                    "message": error.details(),
                    "outcome": outcome and json_format.MessageToDict(outcome),
                }
            }
        headers = dict(call.initial_metadata())
        return {
            "response": json_format.MessageToDict(response),
            "replayed": headers.get("gigagate-replayed") == "true",
        }


PURCHASES: dict[str, tuple[Any, Any]] = {
    "gigagate.v1.ActivationService/Register": (gigagate.register, gigagate.RegisterRequest),
    "gigagate.v1.ActivationService/TopUp": (gigagate.top_up, gigagate.TopUpRequest),
}


def buy(channel: grpc.Channel, name: str, request: dict[str, Any], options: Any) -> dict[str, Any]:
    """Makes a paid call through the purchase helper."""
    function, request_class = PURCHASES[name]
    message = json_format.ParseDict(request, request_class())
    try:
        response = function(channel, message, **options)
    except gigagate.Refused as refused:
        return {
            "refused": {
                "reason": refused.reason,
                "effect": refused.effect,
                "message": refused.message,
                "purchaseId": refused.purchase_id,
                "fieldViolations": [
                    {"field": violation.field, "description": violation.description}
                    for violation in refused.field_violations
                ],
            }
        }
    except gigagate.NotKnownYet as unknown:
        return {"notKnownYet": {"purchaseId": unknown.purchase_id}}
    return {"response": json_format.MessageToDict(response)}


def security() -> grpc.ChannelCredentials | None:
    """TLS and the credential that the environment names."""

    def content(variable: str) -> bytes | None:
        return Path(os.environ[variable]).read_bytes() if variable in os.environ else None

    authorities = content("GIGAGATE_TLS_CA")
    if authorities is None:
        return None
    key, certificate = content("GIGAGATE_CLIENT_TLS_KEY"), content("GIGAGATE_CLIENT_TLS_CERT")
    credentials = grpc.ssl_channel_credentials(authorities, key, certificate)
    if file := os.environ.get("GIGAGATE_API_KEY_FILE"):
        return grpc.composite_channel_credentials(credentials, gigagate.key_file(file))
    return credentials


def connect_without_policy(
    address: str, credentials: grpc.ChannelCredentials | None
) -> grpc.Channel:
    """Unlike gigagate.connect, it repeats nothing: the scenarios count on seeing each answer."""
    options = [("grpc.enable_retries", 0)]
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def main() -> None:
    """Answers each line of stdin with one on stdout."""
    address, credentials = sys.argv[1], security()
    with (
        connect_without_policy(address, credentials) as channel,
        gigagate.connect(address, credentials) as helper_channel,
    ):
        methods = Methods(channel)
        for line in sys.stdin:
            step = json.loads(line)
            options = {"timeout": step["deadlineMs"] / 1000} if "deadlineMs" in step else {}
            if step.get("helper"):
                answer = buy(helper_channel, step["method"], step["request"], options)
            else:
                answer = methods.call(step["method"], step["request"], options.get("timeout"))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
