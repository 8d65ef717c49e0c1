"""The README's commands, in an empty folder, and its code."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from textwrap import indent

from conftest import ROOT, Gateway

PACKAGE = ROOT / "clients/python"


def blocks(language: str) -> list[str]:
    readme = (PACKAGE / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def test_five_commands_lead_from_an_empty_folder_to_a_purchase(
    gateway: Gateway, tmp_path: Path
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

    commands, lost = blocks("sh")
    first, *others = commands.splitlines()
    assert first.startswith("gigagate=")
    assert len(others) <= 4

    bought = paste("\n".join([f"gigagate={shlex.quote(str(ROOT))}", *others]))
    assert bought.returncode == 0, bought.stderr
    request_id = re.search(r"^request id (\S+)\nsold \S+ to customer", bought.stdout, re.MULTILINE)
    assert request_id, bought.stdout
    assert gateway.sales_of(request_id[1]) == 1

    refused = paste(f"{others[-1]} --price 8.99")
    assert refused.returncode == 1, refused.stderr
    assert "refused: PRICE_MISMATCH, NOT_APPLIED" in refused.stdout

    found = paste(lost.replace("http://127.0.0.1:8089/_sandbox", gateway.sandbox_url))
    assert found.returncode == 0, found.stderr
    assert "ask again later with --request-id order-lost" in found.stdout
    assert gateway.sales_of("order-lost") == 1


def test_the_code_is_the_examples() -> None:
    example = (PACKAGE / "examples/buy.py").read_text()
    snippets = blocks("python")
    assert snippets
    for snippet in snippets:
        assert any(indent(snippet, " " * depth) in example for depth in (0, 4, 8))
