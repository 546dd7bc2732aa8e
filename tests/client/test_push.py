"""Push: what becomes a version, what is refused, and what is sent."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Server

import regsvc
from regsvc import errors
from regsvc.client import reading
from regsvc.client.client import Client
from regsvc.client.scan import scan


@pytest.fixture
def client(shared_server: Server):
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        location = root / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(data)
    return root


def b3sum_digest(root: Path) -> str:
    """What `find | sort | xargs b3sum | b3sum` prints."""
    paths = sorted((str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()), key=os.fsencode)
    text = "".join(f"{blake3((root / path).read_bytes()).hexdigest()}  {path}\n" for path in paths)
    return blake3(text.encode()).hexdigest()


def test_a_folder_becomes_a_version(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"big": os.urandom(5 << 20), "sub/deep/ü 名.txt": b"x", "empty": b""})
    (tmp_path / "no files here").mkdir()
    pushed = client.push(
        tmp_path,
        "team/folder",
        params={"lr": 1e-3, "epochs": 3, "adam": True, "name": "a"},
        metrics={"f1": 0.81},
        tags={"stage": "dev"},
        description="first",
        aliases=["candidate"],
    )
    assert (pushed.reference, pushed.files, pushed.bytes) == ("team/folder:1", 3, (5 << 20) + 1)
    assert pushed.digest == b3sum_digest(tmp_path)
    assert pushed.chunks == pushed.chunks_sent
    assert pushed.bytes_sent == pushed.bytes
    shown = client.version("team/folder@candidate")
    assert shown.params == {"lr": 1e-3, "epochs": 3, "adam": True, "name": "a"}
    assert [type(shown.params[key]) for key in ("lr", "epochs", "adam")] == [float, int, bool]
    assert shown.metrics == {"f1": 0.81}
    assert shown.tags == {"stage": "dev"}
    assert (shown.description, shown.aliases, shown.build) == ("first", ("candidate",), None)
    assert [file.path for file in client.files("team/folder:1")] == ["big", "empty", "sub/deep/ü 名.txt"]


def test_a_file_becomes_a_version_of_one_file(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"model.bin": b"weights"})
    pushed = client.push(tmp_path / "model.bin", "single")
    assert pushed.reference == "default/single:1"
    assert [file.path for file in client.files(pushed.reference)] == ["model.bin"]


def test_the_second_push_sends_nothing(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"a": os.urandom(3 << 20), "b": b"b", "empty": b""})
    first = client.push(tmp_path, "team/twice")
    second = client.push(tmp_path, "team/twice")
    assert (second.chunks_sent, second.bytes_sent) == (0, 0)
    assert (second.number, second.digest, second.chunks) == (2, first.digest, first.chunks)


def test_a_chunk_that_occurs_twice_is_sent_once(client: Client, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    write(tmp_path, {"a": data, "b": data})
    pushed = client.push(tmp_path, "team/doubles")
    assert pushed.chunks == 2 * pushed.chunks_sent
    assert pushed.bytes_sent == len(data)


def test_many_small_files(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {f"{i % 7}/{i}": os.urandom(1000 + i) for i in range(300)})
    pushed = client.push(tmp_path, "team/small")
    assert (pushed.files, pushed.chunks_sent) == (300, 300)
    assert pushed.digest == b3sum_digest(tmp_path)


def test_the_same_request_id_makes_one_version(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"a": os.urandom(2 << 20)})
    first = client.push(tmp_path, "team/once", request_id="once-1")
    again = client.push(tmp_path, "team/once", request_id="once-1")
    assert again.reference == first.reference
    assert again.chunks_sent == 0
    assert len(list(client.versions("team/once"))) == 1


def test_the_same_request_id_with_other_bytes_is_refused(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"a": b"one"})
    client.push(tmp_path, "team/other", request_id="other-1")
    write(tmp_path, {"a": b"two"})
    with pytest.raises(errors.RequestIdReused):
        client.push(tmp_path, "team/other", request_id="other-1")
    assert len(list(client.versions("team/other"))) == 1


def test_progress_ends_at_the_whole(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"a": os.urandom(3 << 20)})
    seen = []
    client.push(tmp_path, "team/progress", progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].moved) == (3 << 20, 3 << 20, 3 << 20)


def test_a_bad_metric_is_named_and_nothing_is_stored(client: Client, tmp_path: Path) -> None:
    write(tmp_path, {"a": b"a"})
    with pytest.raises(errors.MetricNotFinite, match="loss"):
        client.push(tmp_path, "team/nan", metrics={"loss": float("nan")})
    with pytest.raises(regsvc.NotFound):
        client.model("team/nan")


@pytest.mark.parametrize("model", ["", "Team/x", "a/b/c", "team/x:3", "team/x@prod", "../x"])
def test_a_bad_model_name_is_refused(client: Client, tmp_path: Path, model: str) -> None:
    write(tmp_path, {"a": b"a"})
    with pytest.raises(errors.NameInvalid):
        client.push(tmp_path, model)


def test_an_empty_folder_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(regsvc.InvalidArgument, match="holds no file"):
        client.push(tmp_path, "team/empty")


def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"12345"})
    files = scan(tmp_path)
    (tmp_path / "a").write_bytes(b"123456")
    with pytest.raises(regsvc.FailedPrecondition, match="'a' changed"):
        list(reading.windows(files))


def test_symlinks_inside_are_followed(tmp_path: Path) -> None:
    write(tmp_path, {"blobs/1": b"one"})
    (tmp_path / "link").symlink_to("blobs/1")
    (tmp_path / "folder").symlink_to("blobs")
    assert [file.path for file in scan(tmp_path)] == ["blobs/1", "folder/1", "link"]


def test_a_symlink_that_leaves_is_refused_unless_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret": b"s", "in/a": b"a"})
    (tmp_path / "in" / "out").symlink_to("../outside/secret")
    with pytest.raises(errors.PathInvalid, match="'out' leads outside"):
        scan(tmp_path / "in")
    assert [file.path for file in scan(tmp_path / "in", follow_symlinks=True)] == ["a", "out"]


@pytest.mark.parametrize("follow", [False, True])
def test_a_symlink_that_loops_or_dangles_is_refused(tmp_path: Path, follow: bool) -> None:
    write(tmp_path, {"loop/a": b"a", "dangle/a": b"a", "self/a": b"a"})
    (tmp_path / "loop" / "again").symlink_to(".")
    (tmp_path / "dangle" / "gone").symlink_to("nowhere")
    (tmp_path / "self" / "me").symlink_to("me")
    for name, link in (("loop", "again"), ("dangle", "gone"), ("self", "me")):
        with pytest.raises(errors.PathInvalid, match=link):
            scan(tmp_path / name, follow_symlinks=follow)


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": b"a"})
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes only
        listener.bind("sock")
    with pytest.raises(errors.PathInvalid, match="sock"):
        scan(tmp_path)
    os.unlink(tmp_path / "sock")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(errors.PathInvalid, match="fifo"):
        scan(tmp_path)


@pytest.mark.parametrize("name", [b"bad\xff", b"new\nline", b"back\\slash", b"esc\x1b"])
def test_a_name_that_no_version_may_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
        file.write(b"x")
    with pytest.raises(errors.PathInvalid) as caught:
        scan(tmp_path)
    assert caught.value.message.isprintable()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3 << 20), max_size=4), st.integers(1, 50))
def test_windows_hold_every_byte_in_order(tmp_path_factory, sizes: list[int], most: int) -> None:
    root = tmp_path_factory.mktemp("windows")
    content = {f"{i}": blake3(bytes([i])).digest(size) for i, size in enumerate(sizes)}
    write(root, content)
    found: dict[str, bytes] = {}
    digests: dict[str, bytes] = {}
    for window in reading.windows(scan(root) if sizes else [], most_chunks=most):
        for stretch in window:
            assert stretch.offset == len(found.get(stretch.file.path, b""))
            for chunk in stretch.chunks:
                assert chunk.digest == blake3(chunk.data).digest()
                assert chunk.offset == len(found.get(stretch.file.path, b""))
                found[stretch.file.path] = found.get(stretch.file.path, b"") + bytes(chunk.data)
            if stretch.digest is not None:
                digests[stretch.file.path] = stretch.digest
    assert {path: found.get(path, b"") for path in content} == content
    assert digests == {path: blake3(data).digest() for path, data in content.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"k": "\udcff"}},
        {"tags": {"k": "\udcff"}},
        {"tags": {"\udcff": "v"}},
        {"metrics": {"\udcff": 1.0}},
        {"description": "\udcff"},
        {"card": "\udcff"},
        {"labels": ["\udcff"]},
        {"parents": {"hf:\udcff": ""}},
        {"framework": "\udcff"},
        {"aliases": ["\udcff"]},
        {"attachments": {"../a": b""}},
        {"attachments": {"a": "text"}},
        {"record": regsvc.Record(labels=[1])},  # type: ignore[list-item]
    ],
)
def test_what_no_message_can_carry_is_refused_before_anything_is_sent(
    shared_server: Server, tmp_path: Path, options: dict[str, Any]
) -> None:
    (tmp_path / "w").write_bytes(b"w")
    with regsvc.connect(shared_server.endpoint) as client:
        with pytest.raises(regsvc.InvalidArgument):
            client.push(tmp_path / "w", "push/refused", **options)
        with pytest.raises(regsvc.NotFound):
            client.model("push/refused")


def test_arguments_that_are_not_utf8_are_one_line(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"w")
    for option in ("--description", "--framework", "--label"):
        done = shared_server.cli("push", str(tmp_path / "w"), "push/refused", option, "\udcff", check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "UTF-8" in done.stderr


def test_a_push_that_is_repeated_with_other_attachments_keeps_the_first(
    shared_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "w").write_bytes(b"w")
    with regsvc.connect(shared_server.endpoint) as client:
        for text in (b"first", b"second"):
            options = {"attachments": {"a.txt": text}, "request_id": "twice-with-attachments"}
            made = client.push(tmp_path / "w", "push/repeated", **options)
        assert made.reference == "push/repeated:1"
        assert client.attachment("push/repeated", "a.txt") == b"first"
