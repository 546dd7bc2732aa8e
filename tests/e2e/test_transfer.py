"""A registry is copied to another server: what comes there is what was here, and comes once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from registries import difference, everything, fill
from support import Server

import regsvc


def test_a_copy_is_equal_and_a_second_one_adds_nothing(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path)
    with regsvc.connect(source.endpoint) as client:
        first = client.export_to(target.endpoint)
        assert first.failed == []
        assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
        again = client.export_to(target.endpoint)
    assert (again.failed, again.created, again.bytes_sent) == ([], [], 0)
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
