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
from regsvc.errors import CollectionRunning, VersionDeleted

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


def test_a_pull_of_what_is_deleted_meanwhile_is_whole_or_says_so(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_CACHE", "off")
    chance = random.Random(6)
    whole = broken = 0
    with regsvc.connect(server.endpoint) as client, ThreadPoolExecutor(2) as pool:
        for turn in range(12):
            folder, out = tmp_path / f"in-{turn}", tmp_path / f"out-{turn}"
            folder.mkdir()
            for place in range(40):
                (folder / f"part-{place}").write_bytes(chance.randbytes(400_000))
            reference = client.push(folder, "race/pulled").reference
            client.push(folder / "part-0", "race/kept")  # so that packs are rewritten, too
            pulling = pool.submit(client.pull, reference, out)
            pool.submit(_after, chance.random() * 0.15, client, reference).result()
            try:
                pulling.result()
            except VersionDeleted:
                broken += 1
                assert not out.exists() or not any(path.name.startswith("part-") for path in out.iterdir())
            else:
                whole += 1
                assert contents(out) == contents(folder)
    assert whole + broken == 12


def _after(seconds: float, client: regsvc.Client, reference: str) -> None:
    """Delete a version, and collect it at once, a while later: earlier or later in its pull."""
    threading.Event().wait(seconds)
    client.delete(reference, keep=timedelta())
    client.collect(full=True)


def test_an_unchanged_folder_whose_version_is_gone_is_pushed_whole(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w").write_bytes(random.Random(7).randbytes(3 * MIB))
    with regsvc.connect(server.endpoint) as client:
        first = client.push(folder, "again/m")
        client.delete(first.reference, keep=timedelta())
        client.collect(full=True)
        again = client.push(folder, "again/m")
        assert (again.number, again.digest) == (2, first.digest)
        assert again.bytes_sent >= 3 * MIB
        client.pull(again.reference, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)
