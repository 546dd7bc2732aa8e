"""docs/promotion.md is so: its gates are read, its commands print what it shows, its workflow promotes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import Server

import regsvc
from regsvc.service.gates import read_gate
from regsvc.service.limits import Limits

from .reading import ROOT, blocks, console

DOCUMENT = ROOT / "docs/promotion.md"
SETUP = "regsvc gate set team/fraud@prod --gate 'version.metrics.f1 > 0.7' --approvals 1"


@pytest.fixture(scope="module")
def registry(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """What the document speaks of: versions of f1 0.8, 0.64 and 0.9 by alice; the last is approved."""
    folder = tmp_path_factory.mktemp("model")
    with regsvc.connect(shared_server.endpoint) as client:
        for f1 in (0.8, 0.64, 0.9):
            (folder / "a").write_text(str(f1))
            client.push(folder, "team/fraud", metrics={"f1": f1}, author="alice", capture=False)
        client.promote("team/fraud:1", "prod")
        assert SETUP in DOCUMENT.read_text()
        shell(shared_server, SETUP)
        client.approve("team/fraud:3", "prod", author="bob")
    return shared_server


def shell(server: Server, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint, "PATH": path, **env},
        check=False,
    )


def test_every_gate_of_the_page_is_one() -> None:
    gates = [
        line for block in blocks(DOCUMENT) if block.language == "cel" for line in block.text.splitlines()
    ]
    assert len(gates) > 5
    for gate in gates:
        read_gate(gate, Limits())


def test_commands_print_what_the_page_shows(registry: Server) -> None:
    shown = [
        each for block in blocks(DOCUMENT) if block.language == "console" for each in console(block.text)
    ]
    assert len(shown) == 2
    for command, output in shown:
        done = shell(registry, command)
        assert done.returncode == 1
        printed = done.stdout + done.stderr
        assert [line.rstrip() for line in printed.splitlines()] == output.splitlines()


def test_the_workflow_promotes_and_its_failure_is_status_1(registry: Server) -> None:
    (workflow,) = [yaml.safe_load(block.text) for block in blocks(DOCUMENT) if block.language == "yaml"]
    job = workflow["jobs"]["promote"]
    assert set(job["env"]) == {"REGSVC_ENDPOINT", "REGSVC_AUTHOR", "MODEL", "N", "REGSVC_PACKAGE"}
    command = next(step["run"] for step in job["steps"] if "promote" in step["run"])
    env = {"MODEL": job["env"]["MODEL"], "REGSVC_AUTHOR": "octocat", "GITHUB_SHA": "5ca1ab1e"}
    assert shell(registry, command, N="2", **env).returncode == 1
    assert shell(registry, command.replace("--reason", "--raison"), N="3", **env).returncode == 2
    assert shell(registry, command, N="3", **env).returncode == 0
    with regsvc.connect(registry.endpoint) as client:
        last = next(iter(client.alias_history("team/fraud@prod")))
        assert (last.reference, last.author, last.reason) == ("team/fraud:3", "octocat", "5ca1ab1e")
        back = re.search(r"`(regsvc rollback \"[^`]*)`", DOCUMENT.read_text())
        assert back is not None
        assert shell(registry, back[1], **env).returncode == 0
        assert client.version("team/fraud@prod").number == 1


def test_the_script_of_the_page_runs(registry: Server) -> None:
    (script,) = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    shell(registry, "regsvc alias set team/fraud:2 candidate")
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "REGSVC_ENDPOINT": registry.endpoint},
        check=True,
    )
    assert done.stdout.splitlines()[0] == "version.metrics.f1 > 0.7 version.metrics.f1 is 0.64"


def test_the_table_of_rollbacks_is_so(registry: Server, tmp_path: Path) -> None:
    with regsvc.connect(registry.endpoint) as client:
        for number in range(1, 5):
            (tmp_path / "a").write_text(str(number))
            client.push(tmp_path, "team/walk", capture=False)

        def promote(number: int) -> None:
            client.promote(f"team/walk:{number}", "prod")

        def goes_to(number: int) -> None:
            assert client.rollback("team/walk@prod").alias.reference == f"team/walk:{number}"

        rows = re.findall(
            r"^\| (promote [^|]*|rollback [^|]*) \| goes to (\d) \|$", DOCUMENT.read_text(), re.MULTILINE
        )
        assert len(rows) == 4
        for moves, where in rows:
            for number in re.findall(r"\d", moves):
                if "--to" in moves:
                    client.rollback("team/walk@prod", to=f"team/walk:{number}")
                else:
                    promote(int(number))
            goes_to(int(where))
