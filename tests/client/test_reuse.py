"""What need not be read, sent or fetched again: by state, by the latest version, the cache, the old folder."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from support import Server, run_cli

import regsvc
from regsvc import errors
from regsvc.client import push, reading, sending, unchanged
from regsvc.client.client import Client
from regsvc.client.known import FileState, KnownFile, packed
from regsvc.client.scan import SourceFile, scan
from regsvc.client.selection import Selection
from regsvc.content.layout import Layout
from regsvc.content.plans import MAX_CHUNK

OLD = 10**18
"""A time in nanoseconds at which a file was surely settled."""


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as made:
        yield made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that a push reads and cuts."""
    found: list[str] = []
    cutting = reading._read

    def read(file: SourceFile, spans: object) -> object:
        found.append(file.path)
        return cutting(file, spans)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "_read", read)
    return found


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGSVC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("REGSVC_CACHE", str(tmp_path / "cache"))


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        os.utime(root / path, ns=(OLD, OLD))
    return root


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been changed long ago: ctime cannot be set."""
    monkeypatch.setattr(reading, "is_settled", lambda file: True)
    monkeypatch.setattr(unchanged, "is_settled", lambda file: True)


def same(left: Path, right: Path) -> bool:
    return subprocess.run(["diff", "-r", left, right], capture_output=True, check=False).returncode == 0


def data(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


KNOWN = st.builds(
    lambda digest, chunks: KnownFile(digest, packed(chunks)),
    st.binary(min_size=32, max_size=32),
    st.lists(
        st.tuples(st.binary(min_size=32, max_size=32), st.integers(1, 2 << 20), st.sampled_from(list(Layout)))
    ),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), KNOWN, max_size=5))
def test_what_is_remembered_is_recalled(tmp_path: Path, known: dict[str, KnownFile]) -> None:
    state = FileState("/some/root", str(tmp_path / "s"))
    files = [SourceFile(path, f"/x/{path}", n, n, n, n, n) for n, path in enumerate(known)]
    state.remember(files, known)
    assert state.recall(files) == known


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode", "device"])
def test_every_part_of_the_identity_counts(tmp_path: Path, field: str) -> None:
    file = SourceFile("a", "/x/a", 1, 2, 3, 4, 5)
    state = FileState("/root", str(tmp_path / "s"))
    state.remember([file], {"a": KnownFile(bytes(32), b"")})
    assert set(state.recall([file])) == {"a"}
    other = SourceFile(**{**vars(file), field: 99})
    assert state.recall([other]) == {}


def test_a_damaged_state_is_none_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    os.utime(folder / "mine.txt", (0, 0))
    for name in ("ab" * 16, "ab" * 16 + ".123.0123abcd"):
        (folder / name).write_text("old state of ours, whole or left by a push that was killed")
        os.utime(folder / name, (0, 0))
    file = SourceFile("a", "/x/a", 1, 2, 3, 4, 5)
    state = FileState("/root", str(folder))
    state.remember([file], {"a": KnownFile(bytes(32), packed([(bytes(32), 7, Layout.WIDTH2)]))})
    assert sorted(path.name for path in folder.iterdir() if path.suffix or path.name == "ab" * 16) == [
        "mine.txt"
    ]
    [written] = [path for path in folder.iterdir() if not path.suffix]
    whole = written.read_bytes()
    for broken in (b"", whole[:-1], whole[: len(whole) // 2], bytes([whole[0] ^ 1]) + whole[1:]):
        written.write_bytes(broken)
        assert state.recall([file]) == {}


def test_an_unchanged_folder_is_not_read(
    client: Client, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    source = write(tmp_path / "source", {"large": data(1, 3 << 20), "small": b"x", "empty": b""})
    first = client.push(source, "reuse/state")
    assert sorted(reads) == ["empty", "large", "small"]
    reads.clear()
    second = client.push(source, "reuse/state")
    assert (second.number, second.digest, second.chunks_sent) == (2, first.digest, 0)
    assert reads == []
    write(source, {"large": data(2, 3 << 20)})
    assert client.push(source, "reuse/state").digest != first.digest
    assert reads == ["large"]


def test_a_file_that_was_just_changed_is_not_remembered(
    client: Client, tmp_path: Path, reads: list[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for content in (b"one", b"two"):
        (source / "a").write_bytes(content)
        pushed = client.push(source, "reuse/racy")
        [file] = client.files(pushed.reference)
        assert file.digest == regsvc_digest(content)
    client.push(source, "reuse/racy")
    assert len(reads) >= 2


def test_two_pushes_at_once_share_their_state(
    client: Client, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    source = write(tmp_path / "source", {"large": data(3, 3 << 20), "small": b"y"})
    with ThreadPoolExecutor(2) as pool:
        pushed = list(pool.map(lambda _: client.push(source, "reuse/two"), range(2)))
    assert {each.number for each in pushed} == {1, 2}
    assert len({each.digest for each in pushed}) == 1
    assert len(list((tmp_path / "state").iterdir())) == 1
    reads.clear()
    assert client.push(source, "reuse/two").chunks_sent == 0
    assert reads == []


def test_chunks_that_are_there_are_named_while_the_rest_is_read(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    content = data(4, 12 << 20)
    client.push(write(tmp_path / "first", {"a": content}), "reuse/named")
    messages: list[int] = []
    real = sending._Batch.message

    def message(batch: sending._Batch, *args: Any) -> Any:
        messages.append(batch.size)
        return real(batch, *args)

    monkeypatch.setattr(sending._Batch, "message", message)
    monkeypatch.setattr(sending, "NAMED_BYTES", 2 << 20)
    again = client.push(write(tmp_path / "second", {"b": content}), "reuse/named-again")
    assert again.chunks_sent == 0
    assert len(messages) >= 4
    assert sum(messages) == len(content)
    assert max(messages) <= (2 << 20) + MAX_CHUNK
    messages.clear()
    client.push(tmp_path / "second", "reuse/named-again")
    assert messages == [len(content)]  # what is not read is named at once


def regsvc_digest(content: bytes) -> str:
    from blake3 import blake3

    return blake3(content).hexdigest()


def test_warm_state_serves_a_registry_that_has_nothing(
    client: Client, start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    source = tmp_path / "source"
    source.mkdir()
    weights = np.random.default_rng(1).standard_normal((4, 1 << 18), dtype=np.float32)
    save_file({f"w{n}": weights[n] for n in range(4)}, source / "m.safetensors")
    first = client.push(source, "reuse/second")
    with regsvc.connect(start_server().endpoint) as other:
        second = other.push(source, "reuse/second")
        assert second.chunks_sent == first.chunks_sent
        assert second.bytes_sent == first.bytes_sent  # encoded as the first time
        other.pull("reuse/second", tmp_path / "out")
    assert same(source, tmp_path / "out")


def test_state_that_is_wrong_is_noticed(
    client: Client, start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    source = write(tmp_path / "source", {"a": data(1, 1 << 20)})
    client.push(source, "reuse/wrong")
    (source / "a").write_bytes(data(2, 1 << 20))
    recall = FileState.recall
    old = recall(FileState(source), [])
    assert old == {}

    def forged(self: FileState, files: list[SourceFile]) -> dict[str, KnownFile]:
        monkeypatch.setattr("regsvc.client.known._identity", lambda file: [])
        from regsvc.client import known

        remembered = known._parse(known._read(self._path))
        return {file.path: remembered[file.path][1] for file in files}

    with regsvc.connect(start_server().endpoint) as other:
        monkeypatch.setattr(FileState, "recall", forged)
        other.push(source, "reuse/wrong")
        monkeypatch.setattr(FileState, "recall", recall)
        other.pull("reuse/wrong", tmp_path / "out")
    assert same(source, tmp_path / "out")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, (3 << 20) - 1))
def test_one_changed_byte_is_found_without_state(client: Client, tmp_path: Path, position: int) -> None:
    os.environ["REGSVC_STATE"] = "off"
    content = data(7, 3 << 20)
    source = write(tmp_path / "source", {"a": content})
    first = client.push(source, "reuse/byte")
    changed = bytearray(content)
    changed[position] ^= 1
    write(source, {"a": bytes(changed)})
    second = client.push(source, "reuse/byte")
    assert second.digest != first.digest
    assert 1 <= second.chunks_sent <= 4


def test_without_state_the_latest_version_is_compared_with(
    client: Client, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_STATE", "off")
    source = write(tmp_path / "source", {"large": data(3, 5 << 20), "small": b"x", "empty": b""})
    first = client.push(source, "reuse/latest")
    reads.clear()
    second = client.push(source, "reuse/latest")
    assert (second.digest, second.chunks_sent, second.chunks) == (first.digest, 0, first.chunks)
    assert reads == ["empty"]


def test_a_new_file_of_the_same_size_costs_samples_only(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_STATE", "off")
    source = write(tmp_path / "source", {"a": data(4, 64 << 20)})
    client.push(source, "reuse/samples")
    write(source, {"a": data(5, 64 << 20)})
    compared: list[int] = []
    compare = unchanged._compare

    def counting(descriptor: int, remote: object, run: range, differs: threading.Event) -> None:
        if not differs.is_set():
            compared.append(len(run))
        compare(descriptor, remote, run, differs)  # type: ignore[arg-type]

    monkeypatch.setattr(unchanged, "_compare", counting)
    client.push(source, "reuse/samples")
    assert sum(compared) <= 8


@pytest.mark.parametrize("streams", ["1", "4"])
def test_several_streams_make_one_version(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streams: str
) -> None:
    monkeypatch.setenv("REGSVC_STREAMS", streams)
    monkeypatch.setenv("REGSVC_CACHE", "off")
    files = {f"f{n}": data(n, n << 18) for n in range(12)} | {"zeros": bytes(5 << 20)}
    source = write(tmp_path / "source", files)
    done: list[regsvc.Progress] = []
    before = threading.active_count()
    pushed = client.push(source, f"reuse/streams{streams}", progress=done.append)
    assert (done[-1].done, done[-1].total) == (pushed.bytes, pushed.bytes)
    pulled = client.pull(pushed.reference, tmp_path / "out", progress=done.append)
    assert (done[-1].done, done[-1].total) == (pulled.bytes, pulled.bytes)
    assert pushed.number == 1
    assert same(source, tmp_path / "out")
    assert threading.active_count() <= before + 1  # gRPC's own


def test_one_stream_that_fails_stops_the_others(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGSVC_STREAMS", "4")
    source = write(tmp_path / "source", {f"f{n}": data(n, 2 << 20) for n in range(8)})
    read = reading._read

    def failing(file: SourceFile, spans: object) -> object:
        if file.path == "f5":
            raise OSError(5, "Input/output error", file.location)
        return read(file, spans)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "_read", failing)
    with pytest.raises(OSError, match="Input/output error"):
        client.push(source, "reuse/failing")
    with pytest.raises(errors.NotFound):
        client.version("reuse/failing")
    names = {thread.name.partition("_")[0] for thread in threading.enumerate()}
    assert not {"regsvc-read", "regsvc-ask", "regsvc-encode"} & names


def test_chunks_come_from_the_cache_wherever_they_stand(client: Client, tmp_path: Path) -> None:
    content = data(20, 12 << 20)
    source = write(tmp_path / "source", {"a": content})
    client.push(source, "reuse/moved")
    client.pull("reuse/moved", tmp_path / "one")
    write(source, {"a": data(21, 300_000) + content, "sub/b": content[5 << 20 :]})
    pushed = client.push(source, "reuse/moved")
    pulled = client.pull(pushed.reference, tmp_path / "two")
    assert pulled.bytes_received <= 8 << 20  # until the cuts fall into step again, in either file
    assert same(source, tmp_path / "two")


@pytest.mark.parametrize("cache", ["off", "on"])
def test_an_old_folder_that_lies_costs_its_chunks_only(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    if cache == "off":
        monkeypatch.setenv("REGSVC_CACHE", "off")
    content = data(30, 12 << 20)
    source = write(tmp_path / "source", {"a": content, "b": b"1"})
    client.push(source, f"reuse/lies-{cache}")
    out = tmp_path / "out"
    client.pull(f"reuse/lies-{cache}", out)
    status = (out / "a").stat()
    with open(out / "a", "r+b") as file:
        file.seek(6 << 20)
        file.write(b"not what it was")
    os.utime(out / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    write(source, {"b": b"2"})
    client.push(source, f"reuse/lies-{cache}")
    pulled = client.pull(f"reuse/lies-{cache}", out)
    assert same(source, out)
    assert pulled.bytes_received <= 4 << 20


def test_hardlinks_only_when_asked_for(client: Client, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a": data(40, 1 << 20), "b": data(41, 100)})
    client.push(source, "reuse/links")
    client.pull("reuse/links", tmp_path / "one")
    copied = client.pull("reuse/links", tmp_path / "two")
    linked = client.pull("reuse/links", tmp_path / "three", hardlink=True)
    assert (copied.bytes_received, linked.bytes_received) == (0, 0)
    assert linked.links == ("hardlink",)
    inode = (tmp_path / "three" / "a").stat().st_ino
    assert inode != (tmp_path / "two" / "a").stat().st_ino
    assert any(path.stat().st_ino == inode for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert same(source, tmp_path / "two")
    assert same(source, tmp_path / "three")


def test_a_thousand_small_files(client: Client, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {f"{n % 10}/{n}": data(n, n % 300) for n in range(1000)})
    client.push(source, "reuse/many")
    client.pull("reuse/many", tmp_path / "out")
    assert same(source, tmp_path / "out")
    again = client.pull("reuse/many", tmp_path / "two")
    assert again.bytes_received == 0
    assert same(source, tmp_path / "two")


def test_a_part_of_a_version_then_the_rest(client: Client, tmp_path: Path) -> None:
    files = {"model.bin": data(50, 1 << 20), "onnx/model.onnx": data(51, 1 << 20), "README.md": b"x"}
    source = write(tmp_path / "source", files)
    client.push(source, "reuse/part")
    out = tmp_path / "out"
    part = client.pull("reuse/part", out, include=["*.bin", "*.md"], exclude=["README*"])
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["model.bin"]
    assert (part.files, part.bytes) == (1, 1 << 20)
    whole = client.pull("reuse/part", out)
    assert whole.bytes_received <= (1 << 20) + 100
    assert same(source, out)
    with pytest.raises(errors.NotFound, match="no file"):
        client.pull("reuse/part", out, include=["*.gguf"])
    assert same(source, out)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (Selection(), {"a.bin", "d/a.bin", "d/e/b.txt"}),
        (Selection(["*.bin"]), {"a.bin", "d/a.bin"}),
        (Selection(["d/"]), {"d/a.bin", "d/e/b.txt"}),
        (Selection(["d/*"]), {"d/a.bin", "d/e/b.txt"}),
        (Selection(["a.bin"]), {"a.bin", "d/a.bin"}),
        (Selection([], ["d/*"]), {"a.bin"}),
        (Selection(["*"], ["b.*"]), {"a.bin", "d/a.bin"}),
    ],
)
def test_patterns(patterns: Selection, chosen: set[str]) -> None:
    from regsvc.client.listing import RemoteFile

    files = [RemoteFile(path, 0, b"") for path in ("a.bin", "d/a.bin", "d/e/b.txt")]
    assert {file.path for file in patterns.choose(files)} == chosen


def test_the_command_line_takes_a_part(shared_server: Server, client: Client, tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a.bin": b"1", "b.txt": b"2"})
    client.push(source, "reuse/cli")
    out = str(tmp_path / "out")
    run_cli("pull", "reuse/cli", out, "--exclude", "*.txt", "--hardlink", endpoint=shared_server.endpoint)
    assert os.listdir(out) == ["a.bin"]
    missing = run_cli(
        "pull", "reuse/cli", out, "--include", "x", endpoint=shared_server.endpoint, check=False
    )
    assert missing.returncode == 1
    assert missing.stderr.startswith("regsvc: no file of the version matches")


def test_scanning_tells_what_identifies_a_file(tmp_path: Path) -> None:
    [file] = scan(write(tmp_path / "s", {"a": b"1"}))
    status = os.stat(file.location)
    assert (file.inode, file.device, file.ctime_ns) == (status.st_ino, status.st_dev, status.st_ctime_ns)
    assert push.streams_for(0) >= 1


def test_a_cache_that_nobody_placed_is_not_filled_by_copies(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsvc.client.linking.hardlink", lambda source, dest: False)
    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    source = write(tmp_path / "source", {"a": data(60, 1 << 20)})
    client.push(source, "reuse/copies")
    client.pull("reuse/copies", tmp_path / "one")
    assert client.pull("reuse/copies", tmp_path / "two").bytes_received == 0
    monkeypatch.delenv("REGSVC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for out in ("three", "four"):
        assert client.pull("reuse/copies", tmp_path / out).bytes_received == 1 << 20
        assert same(source, tmp_path / out)
