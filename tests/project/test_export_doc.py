"""docs/export.md is run: the check of an archive, and the way through a pipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import Server

import regsvc

from .reading import ROOT, blocks


def check(script: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), str(archive)], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_check_of_an_archive_needs_nothing_but_blake3(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"weights" * 1000)
    with regsvc.connect(server.endpoint) as client:
        client.push(tmp_path / "w.bin", "team/fraud")
        client.export_archive(tmp_path / "a.regsvc", ["team/fraud"])
    [script] = [block.text for block in blocks(ROOT / "docs/export.md") if block.file == "check.py"]
    (tmp_path / "check.py").write_text(script)
    done = check(tmp_path / "check.py", tmp_path / "a.regsvc")
    assert done.returncode == 0, done.stderr
    assert " records, " in done.stdout
    data = bytearray((tmp_path / "a.regsvc").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.regsvc").write_bytes(data)
    assert check(tmp_path / "check.py", tmp_path / "a.regsvc").returncode != 0
