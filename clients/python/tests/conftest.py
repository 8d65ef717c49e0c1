"""A gateway with a sandbox, for the tests that buy."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    grpc_address: str
    sandbox_url: str  # of the control API, without a slash at its end

    def sandbox(self, path: str, body: object = None) -> Any:
        """Calls the sandbox's control API: POST with a body, GET without."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.sandbox_url}/{path}", data=data) as answer:
            return json.load(answer)

    def sales_of(self, text: str) -> int:
        """Counts the sales in the sandbox's ledger whose metatag has this text."""
        return sum(text in sale["metatag"] for sale in self.sandbox("ledger")["sales"] or [])


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    binary = folder / "gigagate"
    subprocess.run(["go", "build", "-o", binary, "./cmd/gigagate"], cwd=ROOT, check=True)
    listen = [f"--{port}-listen=127.0.0.1:0" for port in ("grpc", "http", "admin", "sandbox")]
    # The vendor is given up after two seconds, so that a late sale takes little of a test's time.
    settings = [f"--journal=sqlite:{folder}/g.db", "--gigastore-timeout=2s"]
    command = [str(binary), "serve", "--sandbox", *settings, *listen]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        greeting = ""
        for line in process.stdout:
            greeting += line
            if found := re.search(
                r"^ *gRPC +(\S+)$.*^ *sandbox +(\S+)/ledger", greeting, re.MULTILINE | re.DOTALL
            ):
                break
        else:
            pytest.fail(f"the gateway ended:\n{(folder / 'log').read_text()}")
        yield Gateway(found[1], found[2])
    finally:
        process.terminate()
        process.communicate(timeout=30)
