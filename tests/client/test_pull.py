"""Pull: byte-identical folders, what may be replaced, and nothing taken on trust."""

from __future__ import annotations

import filecmp
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from support import Server

import regsvc
from regsvc import errors
from regsvc.client import destination
from regsvc.client.client import Client
from regsvc.client.connection import Connection
from regsvc.client.destination import Destination
from regsvc.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    capabilities_pb2,
    capabilities_pb2_grpc,
)


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of a bit of everything."""
    root = tmp_path / "source"
    files = {
        "weights.bin": os.urandom(6 << 20),
        "same/again.bin": b"\0" * (3 << 20),
        "same/twice.bin": b"\0" * (3 << 20),
        "text": b"hello " * 100_000,
        "empty": b"",
        "deep/er/ü 名.json": b"{}",
    }
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def same(left: Path, right: Path) -> bool:
    """As `diff -r` sees it."""
    return subprocess.run(["diff", "-r", left, right], capture_output=True, check=False).returncode == 0


def beside(dest: Path) -> list[str]:
    return sorted(entry.name for entry in dest.parent.iterdir() if entry.name.startswith(f".{dest.name}."))


def test_a_pulled_folder_is_the_source(client: Client, source: Path, tmp_path: Path) -> None:
    pushed = client.push(source, "team/round")
    pulled = client.pull("team/round:1", tmp_path / "new" / "out")
    assert same(source, tmp_path / "new" / "out")
    assert (pulled.reference, pulled.digest) == ("team/round:1", pushed.digest)
    assert (pulled.files, pulled.bytes) == (6, pushed.bytes)
    assert 6 << 20 <= pulled.bytes_received < pulled.bytes
    assert beside(tmp_path / "new" / "out") == [".out.regsvc.json"]


def test_every_kind_of_reference_and_a_single_file(client: Client, source: Path, tmp_path: Path) -> None:
    pushed = client.push(source / "text", "team/kinds", aliases=["prod"])
    refs = ["team/kinds", "team/kinds@prod", f"team/kinds@b3:{pushed.digest}"]
    refs.append(f"regsvc://{client.endpoint}/team/kinds:1")
    for number, ref in enumerate(refs):
        assert client.pull(ref, tmp_path / str(number)).reference == "team/kinds:1"
        assert filecmp.cmp(source / "text", tmp_path / str(number) / "text", shallow=False)


def test_300_small_files(client: Client, tmp_path: Path) -> None:
    root = tmp_path / "many"
    for i in range(300):
        (root / str(i % 7)).mkdir(parents=True, exist_ok=True)
        (root / str(i % 7) / str(i)).write_bytes(random.randbytes(i * 17))
    client.push(root, "team/many")
    assert client.pull("team/many", tmp_path / "out").files == 300
    assert same(root, tmp_path / "out")


def test_the_same_version_again_moves_nothing(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/again")
    out = tmp_path / "out"
    client.pull("team/again", out)
    inode = out.stat().st_ino
    assert client.pull("team/again", out).bytes_received == 0
    assert out.stat().st_ino == inode


def test_verify_finds_and_repairs_what_rotted(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/rot")
    out = tmp_path / "out"
    client.pull("team/rot", out)
    status = (out / "text").stat()
    with open(out / "text", "r+b") as file:
        file.write(b"J")
    os.utime(out / "text", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert client.pull("team/rot", out).bytes_received == 0
    assert client.pull("team/rot", out, verify=True).bytes_received > 0
    assert same(source, out)


def test_the_next_version_fetches_only_what_changed(
    client: Client, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.push(source, "team/next")
    out = tmp_path / "out"
    client.pull("team/next", out)
    (source / "empty").write_bytes(b"not any more")
    (source / "text").unlink()
    client.push(source, "team/next")
    pulled = client.pull("team/next", out)
    assert pulled.reference == "team/next:2"
    assert pulled.bytes_received == len(b"not any more")
    assert same(source, out)
    assert client.pull("team/next:1", out).bytes_received == 0  # the cache has it
    monkeypatch.setenv("REGSVC_CACHE", "off")
    assert client.pull("team/next", out).bytes_received == len(b"not any more")
    assert beside(out) == [".out.regsvc.json"]


def test_a_link_to_the_folder_stays_a_link(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/link")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    client.pull("team/link", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(source, tmp_path / "real")


def test_an_empty_folder_is_filled(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/fill")
    (tmp_path / "out").mkdir()
    client.pull("team/fill", tmp_path / "out")
    assert same(source, tmp_path / "out")


def test_a_foreign_folder_or_file_is_not_touched(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/foreign")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("precious")
    with pytest.raises(regsvc.FailedPrecondition, match="not made by a pull"):
        client.pull("team/foreign", tmp_path / "mine")
    with pytest.raises(regsvc.FailedPrecondition, match="not a folder"):
        client.pull("team/foreign", tmp_path / "mine" / "precious")
    assert os.listdir(tmp_path / "mine") == ["precious"]
    assert beside(tmp_path / "mine") == []


def _edit(out: Path) -> None:
    (out / "text").write_text("edited")


def _add(out: Path) -> None:
    (out / "deep" / "notes").write_text("mine")


def _add_folder(out: Path) -> None:
    (out / "notes").mkdir()


def _remove(out: Path) -> None:
    (out / "empty").unlink()


def _link(out: Path) -> None:
    (out / "empty").unlink()
    (out / "empty").symlink_to("text")


@pytest.mark.parametrize("change", [_edit, _add, _add_folder, _remove, _link])
def test_a_pulled_folder_that_was_changed_is_not_replaced(
    client: Client, source: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    client.push(source, "team/changed")
    out = tmp_path / "out"
    client.pull("team/changed:1", out)
    change(out)
    before = subprocess.run(["ls", "-laR", out], capture_output=True, check=True).stdout
    (source / "new").write_text("new")
    client.push(source, "team/changed")
    with pytest.raises(regsvc.FailedPrecondition, match="was changed since it was pulled"):
        client.pull("team/changed", out)
    assert subprocess.run(["ls", "-laR", out], capture_output=True, check=True).stdout == before


def test_a_second_pull_into_the_same_folder_is_refused(client: Client, source: Path, tmp_path: Path) -> None:
    client.push(source, "team/two")
    with Destination(tmp_path / "out").locked():
        with pytest.raises(regsvc.FailedPrecondition, match="another pull"):
            client.pull("team/two", tmp_path / "out")
    client.pull("team/two", tmp_path / "out")


def test_an_unknown_reference_leaves_nothing(client: Client, tmp_path: Path) -> None:
    with pytest.raises(regsvc.NotFound):
        client.pull("team/nothing:9", tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_without_exchange_the_folder_is_replaced_by_two_renames(
    client: Client, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "_exchange", lambda left, right: False)
    client.push(source, "team/renames")
    out = tmp_path / "out"
    client.pull("team/renames", out)
    (source / "new").write_text("new")
    client.push(source, "team/renames")
    client.pull("team/renames", out)
    assert same(source, out)
    assert beside(out) == [".out.regsvc.json"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_pull_killed_at_any_step_of_the_swap_is_settled_by_the_next(
    client: Client, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    class Killed(BaseException):
        pass

    if not exchange:
        monkeypatch.setattr(destination, "_exchange", lambda left, right: False)
    model = f"team/killed-{exchange}".lower()
    client.push(source, model)
    (source / "new").write_text("new")
    client.push(source, model)
    out = tmp_path / "out"
    step, finished = 0, False
    while not finished:
        client.pull(f"{model}:1", out)
        calls = 0
        with monkeypatch.context() as patch:
            for module, name in (
                (os, "rename"),
                (os, "replace"),
                (os, "unlink"),
                (destination, "_write_json"),
            ):
                real = getattr(module, name)

                def dying(*args: object, real=real, at: int = step, **kwargs: object) -> object:
                    nonlocal calls
                    calls += 1
                    if calls > at:
                        raise Killed
                    return real(*args, **kwargs)

                patch.setattr(module, name, dying)
            try:
                client.pull(f"{model}:2", out)
                finished = True
            except Killed:
                step += 1
        pulled = client.pull(f"{model}:2", out)
        assert pulled.bytes_received <= 3
        assert same(source, out)
        assert beside(out) == [".out.regsvc.json"]
    assert step > 3


def test_a_full_disk_is_one_line_and_leaves_nothing_half(
    client: Client, source: Path, tmp_path: Path
) -> None:
    client.push(source, "team/full")
    program = (
        "import resource, sys, regsvc.cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "regsvc.cli.main()\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", program, "--server", client.endpoint, "pull", "team/full", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("regsvc: File too large")
    assert done.stderr.count("\n") == 1
    assert not out.exists()
    client.pull("team/full", out)
    assert same(source, out)


class _Tampering(
    artifact_pb2_grpc.ArtifactServiceServicer, capabilities_pb2_grpc.CapabilitiesServiceServicer
):
    """Passes reads on to a real server and changes the answers."""

    def __init__(self, target: str, change: Callable[[object], None]) -> None:
        self._connection = Connection(target)
        self._channels = self._connection.bulk()
        self._change = change

    def GetCapabilities(self, request, context):
        return capabilities_pb2.GetCapabilitiesResponse(capabilities=self._connection.capabilities())

    def ReadManifest(self, request, context):
        yield from self._changed(self._connection.artifacts.ReadManifest(request))

    def ReadChunks(self, request, context):
        for message in self._channels.stream(0).ReadChunks(request):
            message.head.data = bytes(message.data)
            yield from self._changed([message.head])

    def _changed(self, responses):
        for response in responses:
            self._change(response)
            yield response


@pytest.fixture
def tampered(shared_server: Server) -> Iterator[Callable[[Callable[[object], None]], Client]]:
    """A client of a server that changes what it sends."""
    servers, clients = [], []

    def start(change: Callable[[object], None]) -> Client:
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        servicer = _Tampering(shared_server.endpoint, change)
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(servicer, server)
        capabilities_pb2_grpc.add_CapabilitiesServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        clients.append(regsvc.connect(f"127.0.0.1:{port}"))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for server in servers:
        server.stop(None).wait()


def _flip(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadChunksResponse):
        data = bytearray(response.data)
        data[len(data) // 2] ^= 1
        response.data = bytes(data)


def _swap_digest(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadChunksResponse):
        response.frames[0].digest = b"\1" * 32


def _wrong_codec(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadChunksResponse):
        response.frames[0].codec = artifact_pb2.CODEC_PLANES2_ZSTD


def _huge(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadManifestResponse):
        response.files[0].size = 1 << 50


def _other_file_digest(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadManifestResponse):
        response.files[0].digest = "0" * 64


def _short_chunks(response: object) -> None:
    if isinstance(response, artifact_pb2.ReadManifestResponse):
        for file in response.files:
            del file.chunks[1:]


def _other_chunks(response: object) -> None:
    """Chunks of another file of the same size: each is right, the file is not."""
    if isinstance(response, artifact_pb2.ReadManifestResponse):
        for file in response.files:
            if len(file.chunks) > 1:
                first, second = artifact_pb2.ChunkRef(), artifact_pb2.ChunkRef()
                first.CopyFrom(file.chunks[0])
                second.CopyFrom(file.chunks[1])
                file.chunks[0].CopyFrom(second)
                file.chunks[1].CopyFrom(first)


@pytest.mark.parametrize(
    "change", [_flip, _swap_digest, _wrong_codec, _huge, _other_file_digest, _short_chunks, _other_chunks]
)
def test_a_tampered_transfer_is_refused(
    tampered, client: Client, source: Path, tmp_path: Path, change: Callable[[object], None]
) -> None:
    client.push(source, "team/tampered")
    out = tmp_path / "out"
    with pytest.raises(errors.DigestMismatch):
        tampered(change).pull("team/tampered", out)
    assert not out.exists()
    client.pull("team/tampered", out)
    assert same(source, out)


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", "a\\b", "x\n", "", "text/below"])
def test_a_path_from_the_wire_cannot_leave_the_folder(
    tampered, client: Client, source: Path, tmp_path: Path, path: str
) -> None:
    client.push(source, "team/paths")

    def rename(response: object) -> None:
        if isinstance(response, artifact_pb2.ReadManifestResponse):
            response.files[0].path = path

    with pytest.raises(errors.PathInvalid):
        tampered(rename).pull("team/paths", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["source"]


def test_chunks_are_copied_from_a_folder_beside(
    client: Client, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_CACHE", "off")
    client.push(source, "team/beside")
    (source / "text").write_bytes(b"changed")
    client.push(source, "team/beside")
    client.pull("team/beside:1", tmp_path / "old")
    pulled = client.pull("team/beside:2", tmp_path / "new", beside=tmp_path / "old")
    assert same(source, tmp_path / "new")
    assert pulled.bytes_received < 1000
    (tmp_path / "old" / "weights.bin").write_bytes(b"not what was pulled")
    again = client.pull("team/beside:2", tmp_path / "newer", beside=tmp_path / "old")
    assert same(source, tmp_path / "newer")
    assert again.bytes_received > 6 << 20
