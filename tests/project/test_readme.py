"""The README is run: its commands on a real server, its output compared in shape."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import Server

from regsvc.server.config import ServerConfig

from .reading import ROOT, blocks, console, shape

README = ROOT / "README.md"


def run(command: str | list[str], folder: Path, server: Server) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "REGSVC_ENDPOINT": server.endpoint,
        "REGSVC_CAPTURE": "",
    }
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def test_the_tour_prints_what_the_readme_shows(server: Server, tmp_path: Path) -> None:
    commands = 0
    for block in blocks(README):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "python":
            assert run([sys.executable, "-c", block.text], tmp_path, server) == "1 train epoch 1\n"
        elif block.language == "console":
            for command, expected in console(block.text):
                assert shape(run(command, tmp_path, server)) == shape(expected), command
                commands += 1
    assert commands >= 6


def test_the_server_starts_as_the_readme_says() -> None:
    script = next(block.text for block in blocks(README) if block.language == "sh")
    serve = next(line for line in script.splitlines() if line.startswith("regsvc serve"))
    flags = dict(re.findall(r"--(\w+) (\S+)", serve))
    assert flags["listen"] == ServerConfig.listen
    assert f"REGSVC_ENDPOINT={flags['listen']}" in script


@pytest.mark.parametrize(
    "document", [*sorted(ROOT.glob("docs/*.md")), README, ROOT / "CHANGELOG.md"], ids=lambda p: p.name
)
def test_links_lead_to_files(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target


def test_folders_that_the_readme_names_exist() -> None:
    for name in re.findall(r"`((?:protos|clients|bench|docs)/[\w./-]+)`", README.read_text()):
        assert (ROOT / name).exists(), name
