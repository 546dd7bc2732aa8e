"""Pushes of content whose chunks a collection is taking at that moment: every version that was made is whole."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from server.wire import stored_bytes
from support import Server

import regsvc
from regsvc.errors import CollectionRunning

PUSHERS = 3
ROUNDS = 12
MIB = 1 << 20


def test_pushes_race_collections_of_the_very_chunks_they_rely_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_CACHE", "off")  # what is pulled comes from the server
    chance = random.Random(5)
    parts = [chance.randbytes(2 * MIB), chance.randbytes(700_000), chance.randbytes(90_000)]
    stop = threading.Event()
    collections = 0

    def collect() -> None:
        nonlocal collections
        with regsvc.connect(server.endpoint) as client:
            while not stop.is_set():
                try:
                    collections += client.collect(full=True).versions > 0
                except CollectionRunning:
                    continue

    def pusher(number: int) -> None:
        """Pushes the same few files again and again; before each push what it made before is deleted for good."""
        own = random.Random(number)
        with regsvc.connect(server.endpoint) as client:
            for turn in range(ROUNDS):
                folder = tmp_path / f"in-{number}-{turn}"
                folder.mkdir()
                for place in own.sample(range(len(parts)), 2):
                    (folder / f"part-{place}").write_bytes(parts[place])
                if own.random() < 0.5:
                    (folder / "both").write_bytes(parts[0] + parts[1])
                version = client.push(folder, f"race/m{number}")
                out = tmp_path / f"out-{number}-{turn}"
                client.pull(version.reference, out)
                assert contents(out) == contents(folder), version.reference
                client.delete(version.reference, keep=timedelta())

    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        with ThreadPoolExecutor(PUSHERS) as pool:
            for done in [pool.submit(pusher, number) for number in range(PUSHERS)]:
                done.result()
    finally:
        stop.set()
        collecting.join()
    assert collections > 3
    with regsvc.connect(server.endpoint) as client:
        client.collect(full=True)
        assert client.stats().usage.versions == client.stats().deleted.versions == 0
    assert stored_bytes(server.data) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
