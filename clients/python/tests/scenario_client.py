"""The client program that internal/scenarios drives: proto/scenarios/README.md has the protocol.

Usage: scenario_client.py ADDRESS
"""

import json
import sys
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import ServiceDescriptor

import gigagate
from gigagate.v1 import (
    activation_service_pb2,
    activation_service_pb2_grpc,
    customer_service_pb2,
    customer_service_pb2_grpc,
    inventory_service_pb2,
    inventory_service_pb2_grpc,
    purchase_service_pb2,
    purchase_service_pb2_grpc,
)

SERVICES = (
    (activation_service_pb2, activation_service_pb2_grpc.ActivationServiceStub),
    (customer_service_pb2, customer_service_pb2_grpc.CustomerServiceStub),
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


def main() -> None:
    """Answers each line of stdin with one on stdout."""
    # Not gigagate.connect: the scenarios count on seeing each answer.
    with grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_retries", 0)]) as channel:
        methods = Methods(channel)
        for line in sys.stdin:
            step = json.loads(line)
            deadline = step.get("deadlineMs")
            timeout = None if deadline is None else deadline / 1000
            print(json.dumps(methods.call(step["method"], step["request"], timeout)), flush=True)


if __name__ == "__main__":
    main()
