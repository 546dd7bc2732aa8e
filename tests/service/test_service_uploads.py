"""Uploads below the wire: what is read, what is pinned, what a full disk leaves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from regsvc.catalog.requests import Request
from regsvc.errors import RegsvcError, ResourceExhausted
from regsvc.refs import ModelName, VersionRef
from regsvc.service.app import RegistryApp
from regsvc.service.incoming import IncomingFrame, RecipePart, WritingStream
from regsvc.service.limits import Limits
from regsvc.service.uploads import Commit
from regsvc.store import AlreadyLocked, StoreFull

NO_ID = Request("", "test", b"")
MODEL = ModelName("n", "m")
DATA = random.Random(10).randbytes(3 << 20)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RegistryApp]:
    made = RegistryApp(tmp_path / "data", Limits(max_open_uploads=3, max_files_per_version=5))
    yield made
    made.close()


def push(app: RegistryApp, files: dict[str, bytes]) -> VersionRef:
    upload = app.uploads.start(MODEL, None, NO_ID).id
    for path, data in files.items():
        write(app, upload, path, data)
    return app.uploads.commit(upload, Commit(), NO_ID).ref


def write(app: RegistryApp, upload: str, path: str, data: bytes) -> None:
    stream = WritingStream()
    draft = app.uploads.open_file(upload, path, len(data), stream)
    app.uploads.write(upload, draft, 0, data, stream)
    app.uploads.finish_file(upload, draft, len(data), None, stream)


def read(app: RegistryApp, ref: VersionRef, path: str) -> bytes:
    _, parts = app.files.file(ref, path, 0, 0)
    return b"".join(parts)


def test_a_file_that_is_proven_is_not_read_again(app: RegistryApp, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = push(app, {"a": DATA})
    _, parts = app.files.manifest(ref, include_chunks=True)
    chunks = [chunk for part in parts for chunk in part.chunks]
    reads: list[object] = []
    real = app.store.read_many
    monkeypatch.setattr(app.store, "read_many", lambda pack, wanted: reads.append(pack) or real(pack, wanted))
    upload = app.uploads.start(MODEL, None, NO_ID).id
    part = RecipePart("moved/here", 0, chunks, True, blake3(DATA).digest())
    app.uploads.take(upload, [], [part], WritingStream())
    again = app.uploads.commit(upload, Commit(), NO_ID)
    assert reads == []
    assert read(app, again.ref, "moved/here") == DATA
    assert reads != []


def test_chunks_that_were_never_one_file_are_hashed_whatever_the_client_says(app: RegistryApp) -> None:
    ref = push(app, {"a": DATA})
    _, parts = app.files.manifest(ref, include_chunks=True)
    chunks = [chunk for part in parts for chunk in part.chunks]
    upload = app.uploads.start(MODEL, None, NO_ID).id
    backwards = RecipePart("b", 0, chunks[::-1], True, blake3(DATA).digest())
    with pytest.raises(RegsvcError) as refused:
        app.uploads.take(upload, [], [backwards], WritingStream())
    assert refused.value.reason == "DIGEST_MISMATCH"


def test_uploads_and_files_have_limits(app: RegistryApp) -> None:
    opened = [app.uploads.start(MODEL, None, NO_ID).id for _ in range(3)]
    with pytest.raises(ResourceExhausted):
        app.uploads.start(MODEL, None, NO_ID)
    app.uploads.abort(opened.pop())
    app.uploads.start(MODEL, None, NO_ID)
    for number in range(5):
        write(app, opened[0], f"{number}", b"1")
    with pytest.raises(ResourceExhausted):
        write(app, opened[0], "one more", b"1")
    assert app.uploads.commit(opened[0], Commit(), NO_ID).file_count == 5


def test_a_full_disk_never_leaves_a_file_out_of_the_version(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stream meets the full disk while this one writes on."""
    upload = app.uploads.start(MODEL, None, NO_ID).id
    stream = WritingStream()
    draft = app.uploads.open_file(upload, "mine", None, stream)
    app.uploads.write(upload, draft, 0, DATA[:100], stream)

    def full(*_: object, **__: object) -> None:
        raise StoreFull("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(app.store, "create", full)
        frame = IncomingFrame(blake3(b"x").digest(), 1, 1, memoryview(b"x"))
        with pytest.raises(RegsvcError) as refused:
            app.uploads.take(upload, [frame], [], WritingStream())
    assert refused.value.reason == "STORAGE_FULL"
    assert str(app.store.path("0" * 32).parents[2]) not in refused.value.message
    acknowledged = True
    try:
        app.uploads.write(upload, draft, 100, DATA[100:200], stream)
        app.uploads.finish_file(upload, draft, 200, blake3(DATA[:200]).digest(), stream)
    except RegsvcError:
        acknowledged = False
    write(app, upload, "other", b"1")
    try:
        version = app.uploads.commit(upload, Commit(), NO_ID)
    except RegsvcError:
        return  # refused whole: nothing half
    paths = {part.file.path for part in app.files.manifest(version.ref, include_chunks=False)[1]}
    assert paths == ({"mine", "other"} if acknowledged else {"other"})


def test_a_seal_that_fails_makes_no_version_and_the_next_push_works(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regsvc.store import PackWriter

    def full(_: object) -> None:
        raise StoreFull("no space left")

    upload = app.uploads.start(MODEL, None, NO_ID).id
    write(app, upload, "a", DATA)
    with monkeypatch.context() as patched:
        patched.setattr(PackWriter, "seal", full)
        with pytest.raises(RegsvcError) as refused:
            app.uploads.commit(upload, Commit(), NO_ID)
    assert refused.value.reason == "STORAGE_FULL"
    with pytest.raises(RegsvcError):
        app.registry.version(VersionRef(MODEL))
    write(app, upload, "a", DATA)
    assert read(app, app.uploads.commit(upload, Commit(), NO_ID).ref, "a") == DATA


def test_a_second_registry_on_the_directory_is_refused(app: RegistryApp, tmp_path: Path) -> None:
    with pytest.raises(AlreadyLocked):
        RegistryApp(tmp_path / "data", Limits())


def test_a_registry_opens_again_with_all_it_had(tmp_path: Path) -> None:
    first = RegistryApp(tmp_path / "data", Limits())
    ref = push(first, {"a": DATA, "b": b""})
    first.close()
    second = RegistryApp(tmp_path / "data", Limits())
    assert (read(second, ref, "a"), read(second, ref, "b")) == (DATA, b"")
    assert push(second, {"a": DATA}).number == 2
    second.close()
