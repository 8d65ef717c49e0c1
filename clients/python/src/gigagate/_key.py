"""API keys from a file."""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import grpc


def key_file(path: str | PathLike[str]) -> grpc.CallCredentials:
    """Makes credentials that send the API key in a file with every call.

    The file is read at every call, so a new key needs no restart. Replace the file in one step
    (mv). gRPC sends the key only over TLS. For a key that is not in a file, gRPC itself has
    grpc.access_token_call_credentials(key).

    Raises:
        OSError: The file cannot be read.
        ValueError: The file has no key. The message does not contain the file's text.
    """
    plugin = _KeyFile(Path(path))
    plugin.key()
    return grpc.metadata_call_credentials(plugin, name="gigagate-key")


class _KeyFile(grpc.AuthMetadataPlugin):
    def __init__(self, path: Path) -> None:
        self._path = path

    def key(self) -> str:
        key = self._path.read_text("utf-8", "replace").strip()
        if not re.fullmatch("[!-~]+", key):
            raise ValueError(f"{self._path} has no API key")
        return key

    def __call__(
        self,
        context: grpc.AuthMetadataContext,
        callback: Callable[[tuple[tuple[str, str], ...], Exception | None], None],
    ) -> None:
        callback((("authorization", f"Bearer {self.key()}"),), None)
