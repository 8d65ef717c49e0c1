"""A gateway with a sandbox, for the tests that buy."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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
def gigagate_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("binary") / "gigagate"
    subprocess.run(["go", "build", "-o", binary, "./cmd/gigagate"], cwd=ROOT, check=True)
    return binary


@pytest.fixture(scope="session")
def gateway(gigagate_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(gigagate_binary, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
CALLERS = """callers:
  - name: shop
    identities: [{{key: {line}}}]
    may: {{methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all]}}
"""


@contextmanager
def serving_with_tls(binary: Path, folder: Path) -> Iterator[Gateway]:
    """Serves over TLS for one caller, and writes its ca.pem and shop.key to the folder."""
    name = "-subj /CN=gateway -addext subjectAltName=IP:127.0.0.1 -extensions usr_cert"
    files = "-CA ca.pem -CAkey ca-key.pem -keyout tls-key.pem -out tls.pem"
    for arguments in ("-subj /CN=ca -keyout ca-key.pem -out ca.pem", f"{name} {files}"):
        command = f"{CERTIFICATE} {arguments}".split()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    made = subprocess.run(
        [binary, "keys", "new", "--caller=shop"], check=True, capture_output=True, text=True
    )
    (folder / "shop.key").write_text(made.stdout)
    line = made.stderr.split("- key:")[1].strip()
    (folder / "callers.yaml").write_text(CALLERS.format(line=line))
    tls = (f"--tls-cert={folder}/tls.pem", f"--tls-key={folder}/tls-key.pem")
    with serving(binary, folder, *tls, f"--callers-file={folder}/callers.yaml") as gateway:
        yield gateway


@contextmanager
def serving(binary: Path, folder: Path, *flags: str) -> Iterator[Gateway]:
    listen = [f"--{port}-listen=127.0.0.1:0" for port in ("grpc", "http", "admin", "sandbox")]
    # The vendor is given up after two seconds, so that a late sale takes little of a test's time.
    settings = [f"--journal=sqlite:{folder}/g.db", "--gigastore-timeout=2s"]
    command = [str(binary), "serve", "--sandbox", *settings, *listen, *flags]
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
