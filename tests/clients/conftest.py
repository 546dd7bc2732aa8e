"""Clients in other languages, built once a session."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

GO = Path(__file__).parents[2] / "clients/go"


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binary of clients/go. Needs Go, and its module proxy the first time."""
    binary = tmp_path_factory.mktemp("go") / "regsvc-go"
    built = subprocess.run(
        ["go", "build", "-o", str(binary), "./cmd/regsvc-go"],
        cwd=GO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return binary
