"""kill -9 under collections: what is kept is whole, what is deleted goes in the end, and nothing is left behind."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from server.wire import stored_bytes
from support import Server

import regsvc
from regsvc.errors import RegsvcError

MIB = 1 << 20
KILLS = 6
SCRIPT = Path(__file__).with_name("collect_killed.py")


def test_a_collection_may_be_killed_at_every_point(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60


def test_a_server_killed_under_collections_loses_nothing_that_is_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_CACHE", "off")  # what is pulled comes from the server
    chance = random.Random(11)
    kept: dict[str, dict[str, bytes]] = {}
    with regsvc.connect(server.endpoint) as client:
        shared = [chance.randbytes(MIB) for _ in range(6)]
        for number in range(1, 25):
            files = {f"part-{i}": shared[i] for i in chance.sample(range(6), 3)}
            files["own"] = chance.randbytes(chance.randrange(1, 600_000))
            folder = tmp_path / f"in-{number}"
            folder.mkdir()
            for name, data in files.items():
                (folder / name).write_bytes(data)
            reference = client.push(folder, "k/m").reference
            if number % 3:
                kept[reference] = files
            else:
                client.delete(reference, keep=timedelta())
    for _ in range(KILLS):
        ended = threading.Event()
        asking = threading.Thread(target=collect, args=(server.endpoint, ended))
        asking.start()
        ended.wait(chance.random() * 0.3)
        server.kill()
        server.start()
        asking.join()  # its call was repeated
    with regsvc.connect(server.endpoint) as client:
        collect(server.endpoint, threading.Event())
        assert client.collect(full=True).dead_bytes == 0
        assert {version.reference for version in client.versions("k/m", deleted=True)} == set(kept)
        for number, (reference, files) in enumerate(kept.items()):
            out = tmp_path / f"out-{number}"
            client.pull(reference, out)
            assert {path.name: path.read_bytes() for path in out.iterdir()} == files
        whole = client.stats()
        assert whole.usage.freed_bytes == whole.pack_bytes == stored_bytes(server.data)


def collect(endpoint: str, ended: threading.Event) -> None:
    with regsvc.connect(endpoint) as client, contextlib.suppress(RegsvcError):
        client.collect(full=True)
    ended.set()
