"""`client.open`: a file object held against the source; what it fetches, and what it survives."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from blake3 import blake3
from cutting_proxy import CuttingProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Server, wait_until

import regsvc
from regsvc import errors
from regsvc.client import chunk_source, read_ahead
from regsvc.client.client import Client
from regsvc.client.remote_file import RemoteFile

MIB = 1 << 20
SIZE = 12 * MIB + 12_345


def mixed(size: int, seed: int = 1) -> bytes:
    """Bytes that are stored in every way: random, text, zeros, 16-bit floats."""
    rng = random.Random(seed)
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        parts.append(rng.randbytes(rng.randrange(3 * MIB)))
        parts.append(b"%d words of text\n" % rng.randrange(9) * rng.randrange(40_000))
        parts.append(bytes(rng.randrange(2 * MIB)))
        parts.append(np.random.default_rng(seed).standard_normal(400_000).astype("<f2").tobytes())
    return b"".join(parts)[:size]


DATA = mixed(SIZE)


@pytest.fixture(scope="module")
def registry(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with the version team/files:1."""
    root: Path = tmp_path_factory.mktemp("source")
    (root / "deep").mkdir()
    (root / "deep" / "data.bin").write_bytes(DATA)
    (root / "empty").touch()
    (root / "text").write_text("".join(f"line {number} ü\n" for number in range(60_000)))
    (root / "small").write_bytes(b"abc")
    np.save(root / "array.npy", np.arange(1_000_000, dtype="<f8"))
    with zipfile.ZipFile(root / "archive.zip", "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}", random.Random(number).randbytes(200_000))
    (root / "pickle").write_bytes(pickle.dumps([b"x" * 3_000_000, list(range(10_000))]))
    with regsvc.connect(shared_server.endpoint) as client:
        client.push(root, "team/files", aliases=["prod"])
    return shared_server


@pytest.fixture
def client(registry: Server) -> Iterator[Client]:
    with regsvc.connect(registry.endpoint) as client:
        yield client


@pytest.fixture
def file(client: Client) -> Iterator[RemoteFile]:
    with client.open("team/files", "deep/data.bin") as file:
        yield file


class Watched:
    """Counts, and may change, what ReadChunks answers to one client."""

    def __init__(self, client: Client) -> None:
        self.calls: list[Any] = []
        self.change: Callable[[Any], Any] | None = None
        self._channel = client._connection(None).ranged()
        self._real = self._channel.ReadChunks
        self._channel.ReadChunks = self._read

    def _read(self, request: Any) -> Any:
        self.calls.append(self._real(request))
        return self.calls[-1] if self.change is None else map(self.change, self.calls[-1])


def drain(file: RemoteFile) -> bytes:
    return b"".join(iter(lambda: file.read(MIB), b""))


def read_ahead_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "regsvc-read-ahead"]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are forgotten soon, and little is read ahead."""
    monkeypatch.setattr(chunk_source, "CACHE_BYTES", 3 * MIB)
    monkeypatch.setattr(read_ahead, "AHEAD_BYTES", MIB)
    monkeypatch.setattr(read_ahead, "FIRST_REQUEST", 2 * MIB)


@pytest.mark.usefixtures("small_memory")
@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["read", "readinto", "seek", "skip", "back", "pread", "read1", "peek", "end"]),
            st.integers(0, SIZE + 1000),
            st.one_of(st.integers(0, 200_000), st.integers(0, 4 * MIB)),
        ),
        min_size=3,
        max_size=25,
    )
)
def test_every_way_to_read_gives_the_source(registry: Server, steps: list[tuple[str, int, int]]) -> None:
    with regsvc.connect(registry.endpoint) as client, client.open("team/files", "deep/data.bin") as file:
        model = io.BytesIO(DATA)
        for step, offset, size in steps:
            if step == "read":
                assert file.read(size) == model.read(size)
            elif step == "readinto":
                buffer = bytearray(size)
                count = file.readinto(buffer)
                assert buffer[:count] == model.read(size)
            elif step == "seek":
                assert file.seek(offset) == model.seek(offset)
            elif step == "skip":
                assert file.seek(size, os.SEEK_CUR) == model.seek(size, os.SEEK_CUR)
            elif step == "back":
                back = -min(size, model.tell())
                assert file.seek(back, os.SEEK_CUR) == model.seek(back, os.SEEK_CUR)
            elif step == "end":
                assert file.seek(-size, os.SEEK_END) == model.seek(-size, os.SEEK_END)
            elif step == "pread":
                assert file.pread(offset, size) == DATA[offset : offset + size]
            elif step == "read1":
                piece = file.read1(size)
                assert piece == model.read(len(piece))
                assert piece or not size or model.tell() >= SIZE
            elif step == "peek":
                piece = file.peek()
                assert piece == DATA[model.tell() : model.tell() + len(piece)]
                assert piece or model.tell() >= SIZE
            assert file.tell() == model.tell()


@pytest.mark.usefixtures("small_memory")
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.one_of(st.integers(1, 100_000), st.integers(1, 5 * MIB)), min_size=1, max_size=30))
def test_reading_on_and_on_gives_the_source(registry: Server, sizes: list[int]) -> None:
    with regsvc.connect(registry.endpoint) as client, client.open("team/files", "deep/data.bin") as file:
        position = 0
        for size in sizes:
            assert file.read(size) == DATA[position : position + size]
            position = min(SIZE, position + size)
        assert file.read() == DATA[position:]
    assert not read_ahead_threads()


def test_it_says_what_it_is(client: Client, file: RemoteFile) -> None:
    assert (file.name, file.mode, file.size, file.version) == ("deep/data.bin", "rb", SIZE, "team/files:1")
    assert file.digest == blake3(DATA).hexdigest()
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    with pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    with pytest.raises(io.UnsupportedOperation):
        file.fileno()
    file.close()
    for use in (
        file.read,
        file.tell,
        file.seekable,
        file.peek,
        lambda: file.pread(0, 1),
        lambda: file.seek(0),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert client.open("team/files", "empty").read() == b""
    assert client.open("team/files", "small").read() == b"abc"


@pytest.mark.parametrize(
    "misuse",
    [
        lambda file: file.seek(-1),
        lambda file: file.seek(0, 3),
        lambda file: file.seek(-SIZE - 1, os.SEEK_END),
        lambda file: file.pread(-1, 1),
        lambda file: file.pread(0, -1),
    ],
)
def test_positions_before_the_start_are_refused(
    file: RemoteFile, misuse: Callable[[RemoteFile], Any]
) -> None:
    with pytest.raises(ValueError, match=r"not|before"):
        misuse(file)
    assert file.tell() == 0


def test_what_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(regsvc.NotFound, match="no-such"):
        client.open("team/files", "no-such")
    with pytest.raises(regsvc.NotFound):
        client.open("team/files:7", "small")
    for path in ("", "/etc/passwd", "../x", "a\ud800"):
        with pytest.raises(errors.PathInvalid):
            client.open("team/files", path)


def test_other_libraries_read_it(client: Client, tmp_path: Path) -> None:
    with client.open("team/files", "array.npy") as file:
        assert np.array_equal(np.load(file), np.arange(1_000_000, dtype="<f8"))
    with client.open("team/files", "archive.zip") as file, zipfile.ZipFile(file) as archive:
        for number in (19, 3, 4, 5, 0):
            assert archive.read(f"{number}") == random.Random(number).randbytes(200_000)
    with client.open("team/files", "pickle") as file:
        assert pickle.load(file) == [b"x" * 3_000_000, list(range(10_000))]
    with client.open("team/files", "text") as file:
        lines = list(io.TextIOWrapper(file, encoding="utf-8"))
        assert (len(lines), lines[777]) == (60_000, "line 777 ü\n")
    with client.open("team/files", "text") as file:
        assert [file.readline() for _ in range(3)][2] == "line 2 ü\n".encode()
    with client.open("team/files", "deep/data.bin") as file, open(tmp_path / "copy", "wb") as copy:
        shutil.copyfileobj(file, copy)
    assert (tmp_path / "copy").read_bytes() == DATA


def test_threads_pread_at_once(file: RemoteFile) -> None:
    def check(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(10):
            offset, size = rng.randrange(SIZE), rng.randrange(3 * MIB)
            assert file.pread(offset, size) == DATA[offset : offset + size]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(8)))
    assert file.tell() == 0


def test_a_read_fetches_only_chunks_that_it_touches_in_one_call(client: Client, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(16 * MIB)
    (tmp_path / "f").write_bytes(data)
    client.push(tmp_path / "f", "team/touched")
    watched = Watched(client)
    with client.open("team/touched", "f") as file:
        for number, offset in enumerate(range(77, 16 * MIB, 4 * MIB)):
            before = file.bytes_received
            assert file.pread(offset, 64 << 10) == data[offset : offset + (64 << 10)]
            assert len(watched.calls) == number + 1
            assert 0 < file.bytes_received - before <= 4 * MIB
        received = file.bytes_received
        assert file.pread(offset + 5, 1000) == data[offset + 5 : offset + 1005]
        assert (len(watched.calls), file.bytes_received) == (4, received)
    with client.open("team/touched", "f") as file:
        for offset in (9 * MIB, MIB, 13 * MIB, 5 * MIB):
            file.seek(offset)
            assert file.read(600_000) == data[offset : offset + 600_000]
        assert len(watched.calls) == 8
        assert not read_ahead_threads()
    assert all(call.code() is grpc.StatusCode.OK for call in watched.calls)


def test_a_chunk_that_is_kept_does_not_keep_its_message(file: RemoteFile) -> None:
    assert file.pread(0, SIZE) == DATA
    for raw in file._source._kept.values():
        assert memoryview(raw).nbytes <= len(raw)
        assert len(memoryview(raw).obj) < len(raw) + 5000


def test_a_file_is_read_from_front_to_back_in_few_calls_and_once(client: Client) -> None:
    watched = Watched(client)
    with client.open("team/files", "deep/data.bin") as file:
        seen = bytearray()
        while piece := file.read(64 << 10):
            seen += piece
            assert len(read_ahead_threads()) <= 1
        assert seen == DATA
        assert len(watched.calls) <= 5
        assert file.bytes_received < SIZE
    with client.open("team/files", "deep/data.bin") as file:
        before = len(watched.calls)
        assert file.readinto(bytearray(SIZE)) == SIZE
        assert len(watched.calls) == before + 1


def test_the_version_is_the_one_that_was_opened(client: Client, tmp_path: Path) -> None:
    for data in (b"first" * 300_000, b"other" * 300_000):
        (tmp_path / "f").write_bytes(data)
        client.push(tmp_path / "f", "team/moving", aliases=["prod"])
        if data.startswith(b"first"):
            opened = client.open("team/moving@prod", "f")
            pinned = client.open(f"team/moving@b3:{client.version('team/moving').digest}", "f")
    for file in (opened, pinned):
        assert file.version == "team/moving:1"
        assert file.read() == b"first" * 300_000
    assert client.open("team/moving@prod", "f").version == "team/moving:2"


@pytest.mark.parametrize("cut", [1 * MIB, 3 * MIB + 4321, 6 * MIB])
def test_a_disconnect_is_not_noticed(registry: Server, cut: int) -> None:
    with CuttingProxy(registry.endpoint, down=cut) as proxy, regsvc.connect(proxy.endpoint) as client:
        with client.open("team/files", "deep/data.bin") as file:
            releasing = threading.Thread(target=lambda: (proxy.reached.wait(60), proxy.release()))
            releasing.start()
            seen = bytearray()
            while piece := file.read(300_000):
                seen += piece
            releasing.join()
            assert seen == DATA
            assert file.bytes_received < SIZE + 4 * MIB


def test_a_restart_of_the_server_is_not_noticed(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    data = random.Random(5).randbytes(40 * MIB)
    (tmp_path / "f").write_bytes(data)
    with regsvc.connect(server.endpoint) as client:
        client.push(tmp_path / "f", "team/restart")
        with client.open("team/restart", "f") as file:
            head = file.read(5 * MIB)
            server.kill()
            server.start()
            assert head + file.read(20 * MIB) == data[: 25 * MIB]
            server.restart()
            assert file.pread(39 * MIB, MIB) == data[39 * MIB :]
            assert file.read() == data[25 * MIB :]


def test_a_damaged_chunk_is_told_and_the_others_read(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    data = random.Random(6).randbytes(12 * MIB)
    (tmp_path / "f").write_bytes(data)
    with regsvc.connect(server.endpoint) as client:
        client.push(tmp_path / "f", "team/damaged")
        [pack] = (server.data / "packs").rglob("*.pack")
        with open(pack, "r+b") as stored:
            stored.seek(7 * MIB)
            stored.write(b"damaged!")
        with client.open("team/damaged", "f") as file:
            with pytest.raises(errors.ChunkDamaged) as caught:
                drain(file)
            assert str(server.data) not in caught.value.message
            assert file.pread(0, 4 * MIB) == data[: 4 * MIB]
            assert file.pread(10 * MIB, 2 * MIB) == data[10 * MIB :]
            with pytest.raises(errors.ChunkDamaged):
                file.pread(0, len(data))
        assert not read_ahead_threads()


def test_bytes_that_are_not_those_of_the_manifest_are_refused(client: Client) -> None:
    def flip(message: Any) -> Any:
        data = bytearray(message.data)
        data[len(data) // 2] ^= 1
        message.payloads = (bytes(data),)
        return message

    watched = Watched(client)
    watched.change = flip
    with client.open("team/files", "deep/data.bin") as file:
        for read in (lambda: file.pread(0, 100), lambda: file.read(9 * MIB)):
            with pytest.raises(regsvc.DigestMismatch, match=r"deep/data\.bin"):
                read()
        watched.change = None
        assert file.read(9 * MIB) == DATA[: 9 * MIB]


def test_a_wrong_whole_is_found_out_at_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = client._connection(None).artifacts
    real = stub.ReadManifest

    def other_digest(request: Any) -> Any:
        """Each chunk is right, the file is not."""
        for response in real(request):
            response.files[0].digest = "0" * 64
            yield response

    monkeypatch.setattr(stub, "ReadManifest", other_digest)
    with client.open("team/files", "deep/data.bin") as file:
        assert file.read(SIZE - 1) == DATA[:-1]
        assert file.pread(SIZE - 1, 1) == DATA[-1:]
        for _ in range(2):
            with pytest.raises(regsvc.DigestMismatch, match="another digest"):
                file.read(1)
        file.seek(0)
        with pytest.raises(regsvc.DigestMismatch, match="another digest"):
            drain(file)


@pytest.mark.parametrize(
    "lie",
    [
        lambda file: file.chunks.pop(),
        lambda file: setattr(file, "size", file.size + 1),
        lambda file: setattr(file, "size", 1 << 60),
        lambda file: setattr(file.chunks[0], "digest", b"short"),
        lambda file: setattr(file.chunks[0], "size", 1 << 30),
        lambda file: setattr(file, "path", "other"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Any], Any]
) -> None:
    stub = client._connection(None).artifacts
    real = stub.ReadManifest

    def lying(request: Any) -> Any:
        for response in real(request):
            lie(response.files[0])
            yield response

    monkeypatch.setattr(stub, "ReadManifest", lying)
    with pytest.raises(regsvc.DigestMismatch):
        client.open("team/files", "deep/data.bin")


@pytest.mark.parametrize("path", ["small", "empty"])
def test_the_digest_of_a_file_of_one_chunk_is_that_chunks(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stub = client._connection(None).artifacts
    real = stub.ReadManifest

    def lying(request: Any) -> Any:
        for response in real(request):
            response.files[0].digest = "0" * 64
            yield response

    monkeypatch.setattr(stub, "ReadManifest", lying)
    with pytest.raises(regsvc.DigestMismatch):
        client.open("team/files", path)


def test_another_version_than_the_digest_names_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = client._connection(None).artifacts
    real, digest = stub.ReadManifest, client.version("team/files").digest

    def other(request: Any) -> Any:
        for response in real(request):
            response.digest = "0" * 64
            yield response

    monkeypatch.setattr(stub, "ReadManifest", other)
    with pytest.raises(regsvc.DigestMismatch, match="another version"):
        client.open(f"team/files@b3:{digest}", "small")


class Cut(grpc.RpcError):
    """How a stream ends when a server that stops has no more time for it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "CANCELLED"

    def trailing_metadata(self) -> tuple[()]:
        return ()


def test_a_stream_that_the_server_cancels_is_opened_again(client: Client, file: RemoteFile) -> None:
    watched = Watched(client)

    def cut_once(message: Any) -> Any:
        if len(watched.calls) == 1 and file.bytes_received:
            raise Cut
        return message

    watched.change = cut_once
    assert file.pread(0, 8 * MIB) == DATA[: 8 * MIB]
    assert len(watched.calls) == 2


def test_a_reader_that_rests_holds_no_stream(
    registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "IDLE", 0.05)
    data = random.Random(8).randbytes(80 * MIB)
    (tmp_path / "f").write_bytes(data)
    with regsvc.connect(registry.endpoint) as client:
        client.push(tmp_path / "f", "team/idle")
        watched = Watched(client)
        with client.open("team/idle", "f") as file:
            head = file.read(2 * MIB) + file.read(MIB)
            wait_until(lambda: len(watched.calls) > 2, what="a stream that runs ahead")
            wait_until(lambda: not any(each.is_active() for each in watched.calls), what="no open stream")
            assert file.bytes_received < 40 * MIB
            assert head + file.read() == data


def test_a_jump_ends_what_is_fetched_ahead(client: Client, tmp_path: Path) -> None:
    data = random.Random(9).randbytes(64 * MIB)
    (tmp_path / "f").write_bytes(data)
    client.push(tmp_path / "f", "team/jump")
    with client.open("team/jump", "f") as file:
        assert file.read(2 * MIB) + file.read(MIB) == data[: 3 * MIB]
        [thread] = read_ahead_threads()
        file.seek(62 * MIB)
        assert file.read(1000) == data[62 * MIB : 62 * MIB + 1000]
        assert not thread.is_alive()
        assert file.bytes_received < 40 * MIB


def test_closing_ends_what_is_under_way(registry: Server) -> None:
    with CuttingProxy(registry.endpoint, down=4 * MIB) as proxy, regsvc.connect(proxy.endpoint) as client:
        file = client.open("team/files", "deep/data.bin")
        assert file.read(MIB) + file.read(MIB) == DATA[: 2 * MIB]
        assert proxy.reached.wait(60)
        [thread] = read_ahead_threads()
        file.close()
        assert not thread.is_alive()
        file.close()


@pytest.mark.parametrize("compressible", [False, True])
def test_memory_stays_bounded(registry: Server, tmp_path: Path, compressible: bool) -> None:
    with open(tmp_path / "f", "wb") as big:
        for number in range(256):
            big.write(b"%015d\n" % number * 65_536 if compressible else random.randbytes(MIB))
    model = f"team/memory-{compressible}".lower()
    program = """
import sys, regsvc
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10
with regsvc.connect(sys.argv[1]) as client, client.open(sys.argv[2], "f") as file:
    buffer = bytearray(1 << 20)
    file.pread(0, 100)
    before, total = peak(), 0
    while count := file.readinto(buffer):
        total += count
    print(total, peak() - before)
"""
    with regsvc.connect(registry.endpoint) as client:
        client.push(tmp_path / "f", model)
    command = [sys.executable, "-c", program, registry.endpoint, model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    total, grown = map(int, done.stdout.split())
    assert total == 256 * MIB
    assert grown < 160 * MIB  # 32 MiB of chunks kept, 16 MiB ahead, what gRPC and malloc hold
