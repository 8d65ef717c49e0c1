"""API keys. The scenarios use one over TLS, against a gateway."""

from pathlib import Path

import grpc
import pytest
from scripted_gateway import REQUEST, ScriptedGateway, sold

import gigagate
from gigagate._key import _KeyFile
from gigagate.v1.activation_service_pb2_grpc import ActivationServiceStub


def test_the_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    plugin = _KeyFile(path)
    for key in ("gg_first", "gg_second"):
        path.write_text(f"{key}\n")
        sent: list[object] = []
        plugin(None, lambda metadata, error, sent=sent: sent.extend([*metadata, error]))  # type: ignore[arg-type, misc]
        assert sent == [("authorization", f"Bearer {key}"), None]


def test_a_key_that_cannot_be_used_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    with pytest.raises(OSError, match="No such file"):
        gigagate.key_file(path)
    for text in ("", "\n", "gg_secret gg_secret", "gg_secret\n\ngg_secret", "gg_secreté"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="has no API key") as error:
            gigagate.key_file(path)
        assert "secret" not in str(error.value)


def test_a_key_is_not_sent_without_tls(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    path.write_text("gg_secret")
    credentials = gigagate.key_file(path)
    assert "secret" not in repr(credentials)
    gateway = ScriptedGateway(sold)
    with gateway.serving() as address, gigagate.connect(address) as channel:
        with pytest.raises(grpc.RpcError) as error:
            ActivationServiceStub(channel).Register(REQUEST, timeout=10, credentials=credentials)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert "secret" not in str(error.value)
    assert gateway.received == []
