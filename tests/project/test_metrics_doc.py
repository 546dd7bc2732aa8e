"""docs/metrics.md is run: its code, its commands, its file of points."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import Server

import regsvc

from .reading import ROOT, blocks, indented

DOCUMENT = ROOT / "docs/metrics.md"


@pytest.fixture(scope="module")
def folder(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the document's code has run, with its files."""
    folder = tmp_path_factory.mktemp("doc")
    (folder / "model").write_bytes(b"weights")
    lines = indented(DOCUMENT)
    start = lines.index("key,value,step,time")
    (folder / "monitoring.csv").write_text("\n".join(lines[start : start + 3]) + "\n")
    (folder / "monitoring.jsonl").write_text(next(line for line in lines if line.startswith('{"key"')))
    scripts = {block.file: block.text for block in blocks(DOCUMENT) if block.language == "python"}
    assert set(scripts) == {"train.py", ""}
    for _ in range(2):
        printed = run(shared_server, folder, [sys.executable, "-c", scripts["train.py"]])
        assert "loss 100 0.01 0.01 100" in printed.splitlines()
        assert printed.endswith("20 1 100\n")
    run(shared_server, folder, [sys.executable, "-c", scripts[""]])
    with regsvc.connect(shared_server.endpoint) as client:
        best = {series.key: series.best for series in client.metrics("team/fraud:1") if not series.source}
        assert best == {"loss": 0.01, "f1": 0.99, "cost_saved": 50.0}
    return folder


def run(server: Server, folder: Path, command: list[str]) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.mark.parametrize("line", [line for line in indented(DOCUMENT) if line.startswith("regsvc ")])
def test_each_command_works(shared_server: Server, folder: Path, line: str) -> None:
    printed = run(shared_server, folder, [sys.executable, "-m", *shlex.split(line)])
    if "--json" in line:
        assert len(json.loads(printed)) == 100
    elif "--follow" in line:
        assert len(printed.splitlines()) == 300
    assert printed


@pytest.mark.parametrize(("name", "count"), [("monitoring.csv", 2), ("monitoring.jsonl", 1)])
def test_the_files_of_points_are_taken(shared_server: Server, folder: Path, name: str, count: int) -> None:
    with regsvc.connect(shared_server.endpoint) as client:
        assert client.evaluate_file("team/fraud", name, folder / name) == count
        assert client.series("team/fraud", "f1", source=name)[0].step == 1
