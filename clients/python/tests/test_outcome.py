"""What outcome_of reads from an error, on a channel that sends once."""

import socket

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from scripted_gateway import REQUEST, UNKNOWN, ScriptedGateway, details, refused

from gigagate import outcome_of
from gigagate.v1.activation_service_pb2_grpc import ActivationServiceStub

ABORTED = grpc.StatusCode.ABORTED


def error_at(address: str) -> grpc.RpcError:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as raised:
        ActivationServiceStub(channel).Register(REQUEST)
    return raised.value


def error_with(trailers: dict[str, str | bytes]) -> grpc.RpcError:
    with ScriptedGateway(refused(ABORTED, trailers)).serving() as address:
        return error_at(address)


def test_the_outcome_is_found_among_other_details() -> None:
    error = error_with(details(ABORTED, Duration(seconds=1), UNKNOWN))
    assert outcome_of(error) == UNKNOWN


@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param({}, id="no details"),
        pytest.param(details(ABORTED), id="empty details"),
        pytest.param(details(ABORTED, Duration(seconds=1)), id="only other details"),
        pytest.param(details(grpc.StatusCode.NOT_FOUND, UNKNOWN), id="of another status"),
        pytest.param({"grpc-status-details-bin": b"\xff\xff"}, id="unreadable"),
    ],
)
def test_there_is_none(trailers: dict[str, str | bytes]) -> None:
    error = error_with(trailers)
    assert error.code() == ABORTED
    assert outcome_of(error) is None


def test_there_is_none_without_a_connection() -> None:
    # Bound and not listening: every connection is refused, and nobody else can take the port.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = error_at(f"127.0.0.1:{closed.getsockname()[1]}")
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert outcome_of(error) is None
