"""The README's commands, in an empty folder."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from conftest import ROOT, Gateway, serving_with_tls


def test_few_commands_lead_from_an_empty_folder_to_a_purchase(
    gateway: Gateway, gigagate_binary: Path, tmp_path: Path
) -> None:
    def paste(commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-eu", "-c", commands],
            cwd=tmp_path,
            env=os.environ | {"GIGAGATE_ADDRESS": gateway.grpc_address},
            check=False,
            capture_output=True,
            text=True,
        )

    readme = (ROOT / "clients/python/README.md").read_text()
    commands, lost, secured = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    first, *others = commands.splitlines()
    assert first.startswith("gigagate=")
    assert len(others) <= 5

    bought = paste("\n".join([f"gigagate={shlex.quote(str(ROOT))}", *others]))
    assert bought.returncode == 0, bought.stderr
    request_id = re.search(r"^request id (\S+)\nsold \S+ to customer", bought.stdout, re.MULTILINE)
    assert request_id, bought.stdout
    assert gateway.sales_of(request_id[1]) == 1

    assert "refused: PRICE_MISMATCH, NOT_APPLIED" in bought.stdout

    found = paste(lost.replace("http://127.0.0.1:8089/_sandbox", gateway.sandbox_url))
    assert found.returncode == 0, found.stderr
    assert "ask again later with --request-id order-lost" in found.stdout
    assert gateway.sales_of("order-lost") == 1

    with serving_with_tls(gigagate_binary, tmp_path) as gateway_with_tls:
        bought = paste(secured.replace("127.0.0.1:9190", gateway_with_tls.grpc_address))
        assert bought.returncode == 0, bought.stderr
        request_id = re.search(r"^request id (\S+)\nsold ", bought.stdout, re.MULTILINE)
        assert request_id, bought.stdout
        assert gateway_with_tls.sales_of(request_id[1]) == 1
