"""One version everywhere."""

from __future__ import annotations

import tomllib
from pathlib import Path

import regsvc

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def test_the_package_says_what_the_project_says() -> None:
    assert regsvc.__version__ == tomllib.loads(PROJECT.read_text())["project"]["version"]
