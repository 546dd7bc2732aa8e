"""Pushes and pulls over connections that break at random bytes, and across kills: always the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from random_proxy import RandomProxy
from safetensors.numpy import save_file
from support import Server, run_cli

import regsvc
from regsvc import errors
from regsvc.client import fetching

SOAK = int(os.environ.get("REGSVC_SOAK", "1"))
"""Multiplies the number of seeds."""
STREAMS = ("1", "3")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large file, tensors, small files."""
    root = tmp_path_factory.mktemp("source")
    random_bytes = random.Random(11)
    (root / "large.bin").write_bytes(random_bytes.randbytes(24 << 20))
    weights = np.random.default_rng(3).standard_normal((20, 1 << 18), dtype=np.float32)
    save_file({f"layer.{n}": weights[n] for n in range(20)}, root / "model.safetensors")
    (root / "small").mkdir()
    for number in range(200):
        (root / "small" / f"{number}").write_bytes(random_bytes.randbytes(random_bytes.randrange(5000)))
    return root


def same(left: Path, right: Path) -> bool:
    return subprocess.run(["diff", "-r", left, right], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("seed", range(2 * SOAK))
def test_cut_connections_change_nothing(
    server: Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, streams: str
) -> None:
    monkeypatch.setenv("REGSVC_STREAMS", streams)
    monkeypatch.setenv("REGSVC_CACHE", "off")
    monkeypatch.setenv("REGSVC_STATE", "off")
    with RandomProxy(server.endpoint, seed=seed, cuts=8, most=9 << 20) as proxy:
        with regsvc.connect(proxy.endpoint) as client:
            pushed = client.push(source, "cut/model")
        assert proxy.broken
    with RandomProxy(server.endpoint, seed=seed + 1000, cuts=8, most=9 << 20) as proxy:
        with regsvc.connect(proxy.endpoint) as client:
            pulled = client.pull("cut/model", tmp_path / "out")
        assert proxy.broken
    assert pushed.number == 1
    assert pulled.digest == pushed.digest
    assert same(source, tmp_path / "out")
    with regsvc.connect(server.endpoint) as client:
        assert [version.number for version in client.versions("cut/model")] == [1]


def test_a_silent_connection_is_given_up(
    server: Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SILENCE", 1.0)
    monkeypatch.setenv("REGSVC_CACHE", "off")
    with regsvc.connect(server.endpoint) as client:
        client.push(source, "cut/stalled")
    # The first connection is for calls, which have deadlines of their own; the next ones carry the bytes.
    with RandomProxy(server.endpoint, seed=5, cuts=2, most=9 << 20, spared=1, stall=True) as proxy:
        with regsvc.connect(proxy.endpoint) as client:
            client.pull("cut/stalled", tmp_path / "out")
        assert proxy.broken
    assert same(source, tmp_path / "out")


@pytest.mark.parametrize("seed", range(SOAK))
def test_a_client_killed_again_and_again_gets_there(
    server: Server, source: Path, tmp_path: Path, seed: int
) -> None:
    moments = random.Random(seed)
    environment = {"REGSVC_STREAMS": "3", "REGSVC_CACHE": str(tmp_path / "cache")}
    out = tmp_path / "out"
    for verb, arguments in (("push", (str(source), "cut/kills")), ("pull", ("cut/kills", str(out)))):
        for _ in range(4):
            command = [sys.executable, "-m", "regsvc", "--server", server.endpoint, verb, *arguments]
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(moments.uniform(0.3, 1.0))  # the moment is the point, whatever it hits
            process.kill()
            process.wait()
            if verb == "pull" and out.exists():
                assert same(source, out)  # never half under its name
        run_cli(verb, *arguments, endpoint=server.endpoint, env=environment)
    assert same(source, out)


@pytest.mark.parametrize("seed", range(SOAK))
def test_a_server_killed_again_and_again_loses_nothing(
    server: Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("REGSVC_STREAMS", "3")
    monkeypatch.setenv("REGSVC_CACHE", "off")
    monkeypatch.setenv("REGSVC_STATE", "off")
    moments, ended = random.Random(seed), threading.Event()

    def restart() -> None:
        for _ in range(4):
            if ended.wait(moments.uniform(0.1, 0.7)):
                return
            server.kill()
            server.start()

    for work in ("push", "pull"):
        ended.clear()
        restarting = threading.Thread(target=restart)
        with regsvc.connect(server.endpoint) as client:
            list(client.models())
            restarting.start()
            try:
                if work == "push":
                    client.push(source, "cut/server", request_id="once")
                else:
                    client.pull("cut/server", tmp_path / "out")
            finally:
                ended.set()
                restarting.join()
    assert same(source, tmp_path / "out")
    with regsvc.connect(server.endpoint) as client:
        assert [version.number for version in client.versions("cut/server")] == [1]


def test_wrong_bytes_in_the_cache_never_come_out(
    server: Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("REGSVC_CACHE", str(cache))
    with regsvc.connect(server.endpoint) as client:
        client.push(source, "cut/cache")
        client.pull("cut/cache", tmp_path / "first")
        kept = [
            path for path in (cache / "files").rglob("*") if path.is_file() and path.stat().st_size > 4096
        ]
        assert kept
        for path in kept:
            status = path.stat()
            with open(path, "r+b") as file:
                file.seek(status.st_size // 2)
                byte = file.read(1)
                file.seek(status.st_size // 2)
                file.write(bytes([byte[0] ^ 1]))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        again = client.pull("cut/cache", tmp_path / "second")
        assert 0 < again.bytes_received < again.bytes
        assert same(source, tmp_path / "second")
        assert client.pull("cut/cache", tmp_path / "third").bytes_received == 0
        assert same(source, tmp_path / "third")


def test_wrong_bytes_in_a_pack_are_told_and_healed(server: Server, source: Path, tmp_path: Path) -> None:
    with regsvc.connect(server.endpoint) as client:
        client.push(source, "cut/pack")
        packs = [path for path in server.data.rglob("*.pack") if path.stat().st_size > 1 << 20]
        with open(packs[0], "r+b") as pack:
            pack.seek(packs[0].stat().st_size // 3)
            byte = pack.read(1)
            pack.seek(-1, os.SEEK_CUR)
            pack.write(bytes([byte[0] ^ 1]))
        with pytest.raises(errors.DataLoss):
            client.pull("cut/pack", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        healed = client.push(source, "cut/pack")
        assert healed.chunks_sent == 1
        client.pull("cut/pack", tmp_path / "out")
    assert same(source, tmp_path / "out")
