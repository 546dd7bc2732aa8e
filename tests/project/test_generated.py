"""Generated code is what the protos generate, and the protos break no client of the last release.

That of the Go and TypeScript clients is compared beside their tests, in tests/clients.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .reading import ROOT

BUF = Path(sys.executable).parent / "buf"
PROTOS = sorted((ROOT / "protos/regsvc/v1").glob("*.proto"))


def test_the_python_code_is_what_the_protos_generate(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *outputs, *map(str, PROTOS)]
    subprocess.run(command, check=True, timeout=120)
    made = {path.name: path.read_text() for path in (tmp_path / "regsvc/v1").iterdir()}
    committed = {path.name: path.read_text() for path in (ROOT / "src/regsvc/v1").glob("*_pb2*")}
    assert made.keys() == committed.keys()
    stale = [name for name, text in made.items() if committed[name] != text]
    assert not stale, f"run `make generate`: {stale}"


def test_the_protos_are_clean_and_break_no_client() -> None:
    for arguments in (["lint", "protos"], ["breaking", "protos", "--against", "protos/landed.binpb"]):
        done = subprocess.run(
            [BUF, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
