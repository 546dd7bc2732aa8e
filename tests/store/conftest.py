"""Makes `faults` importable in every import mode, and a store to each test that asks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from regsvc.store import PackStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PackStore]:
    with PackStore(tmp_path / "data") as made:
        yield made
