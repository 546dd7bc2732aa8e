"""Deleting, undeleting and collecting in any order, beside a model that is a dictionary."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wait_until

from regsvc.catalog import storage
from regsvc.catalog.aliases import Move
from regsvc.catalog.chunks import pack_names
from regsvc.catalog.database import Reader
from regsvc.catalog.requests import Request
from regsvc.catalog.storage import Chosen
from regsvc.content.codec import Codec
from regsvc.errors import ChunkDamaged, CollectionRunning, NotFound, Unavailable, VersionDeleted
from regsvc.refs import ModelName, VersionRef
from regsvc.service import collecting
from regsvc.service.app import RegistryApp
from regsvc.service.incoming import WritingStream
from regsvc.service.lifecycle import Deletion
from regsvc.service.limits import Limits
from regsvc.service.paging import PageRequest
from regsvc.service.reading import FILES, FileRange
from regsvc.service.uploads import Commit
from regsvc.store import Kind, PackWriter, StoreFull, layout

NO_ID = Request("", "test", b"")
HOUR = 3600 * 1_000_000
PIECES = [random.Random(n).randbytes(size) for n, size in enumerate((1, 70_000, 300_000, 1 << 20, 3 << 20))]
MODEL = ModelName("n", "m")

pieces = st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=3)
operations = st.one_of(
    st.tuples(st.just("push"), st.lists(pieces, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["delete", "keep", "undelete"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["collect", "full"]), st.none()),
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RegistryApp]:
    made = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    yield made
    made.close()


def push(app: RegistryApp, model: ModelName, files: dict[str, bytes]) -> int:
    upload = app.uploads.start(model, None, NO_ID).id
    for path, data in files.items():
        stream = WritingStream()
        draft = app.uploads.open_file(upload, path, len(data), stream)
        app.uploads.write(upload, draft, 0, memoryview(data), stream)
        app.uploads.finish_file(upload, draft, len(data), None, stream)
    return app.uploads.commit(upload, Commit(), NO_ID).number


def read(app: RegistryApp, ref: VersionRef) -> dict[str, bytes]:
    _, parts = app.files.manifest(ref, include_chunks=False)
    found = {}
    for part in parts:
        _, data = app.files.file(ref, part.file.path, 0, 0)
        found[part.file.path] = b"".join(data)
    return found


def delete(app: RegistryApp, ref: VersionRef, keep_us: int = 0) -> int:
    return app.lifecycle.delete(Deletion(ref, False, keep_us, Move()), NO_ID).freed_size


def stored(app: RegistryApp) -> int:
    return sum(app.store.path(pack).stat().st_size for pack in app.store.list())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(operations, min_size=3, max_size=14))
def test_any_order_of_operations_does_as_a_dictionary_does(
    app: RegistryApp, steps: list[tuple[str, object]]
) -> None:
    model = ModelName("n", f"m{next_number()}")
    there: dict[int, dict[str, bytes]] = {}
    deleted: dict[int, dict[str, bytes]] = {}
    due: set[int] = set()
    purged: set[int] = set()

    def ref(number: int) -> VersionRef:
        return VersionRef(model, number=number)

    for kind, argument in steps:
        if kind == "push":
            files = {f"{place}": b"".join(PIECES[n] for n in parts) for place, parts in enumerate(argument)}  # type: ignore[call-overload]
            there[push(app, model, files)] = files
        elif kind in ("delete", "keep") and there:
            number = sorted(there)[argument % len(there)]  # type: ignore[operator]
            delete(app, ref(number), 0 if kind == "delete" else HOUR)
            deleted[number] = there.pop(number)
            due |= {number} if kind == "delete" else set()
        elif kind == "undelete" and deleted:
            number = sorted(deleted)[argument % len(deleted)]  # type: ignore[operator]
            app.lifecycle.undelete(ref(number), "", NO_ID)
            there[number] = deleted.pop(number)
            due.discard(number)
        elif kind in ("collect", "full"):
            full = kind == "full"
            foretold, before = app.collector.would_collect(full=full), stored(app)
            done = app.collector.begin(full=full).result()
            assert done == foretold
            assert done.freed_size == before - stored(app)
            assert done.versions == len(due)
            purged |= due
            for number in due:
                del deleted[number]
            due.clear()
        assert_both_ways_agree(app)
        assert {number: read(app, ref(number)) for number in there} == there
        for number in [*deleted, *purged]:
            with pytest.raises(VersionDeleted):
                read(app, ref(number))
        assert listed(app, model) == sorted([*there, *deleted], reverse=True)
    for number in there:
        delete(app, ref(number))
    for number in deleted:
        delete(app, ref(number), 0)
    app.collector.begin(full=True).result()
    assert stored(app) == 0
    assert app.catalog.read(pack_names) == set()


def assert_both_ways_agree(app: RegistryApp) -> None:
    """What all versions take, told by leaving out what others need and by asking of each chunk who needs it."""

    def both(db: Reader) -> list[tuple[storage.Usage, storage.Usage]]:
        ids = [row[0] for row in db.rows("SELECT id FROM versions")]
        return [
            (
                storage.usage(db, Chosen(everything=True), deleted=deleted),
                storage.usage(db, Chosen(ids), deleted=deleted),
            )
            for deleted in (False, True, None)
        ]

    for one, other in app.catalog.read(both):
        assert one == other


def listed(app: RegistryApp, model: ModelName) -> list[int]:
    try:
        page = app.registry.list_versions(model, PageRequest(0, ""), deleted=True)
    except NotFound:  # nothing was pushed yet
        return []
    return [version.number for version in page.items]


_numbers = iter(range(1 << 30))


def next_number() -> int:
    return next(_numbers)


def test_what_records_take_is_what_the_format_says() -> None:
    for size in range(20):
        record = layout.Record(1, 0, bytes(32), size, size, 0)
        assert record.end + layout.ENTRY_SIZE == 112 + (size + 7) // 8 * 8
    assert storage.PACK_BYTES == layout.HEADER_SIZE + layout.TRAILER_SIZE
    assert (storage.RECIPE, storage.MANIFEST) == (2, 3)


def test_a_reader_in_the_middle_goes_on_while_packs_are_rewritten(app: RegistryApp) -> None:
    big = random.Random(1).randbytes(200 << 20 >> 3)
    push(app, MODEL, {"big": big, "b": PIECES[3]})
    push(app, MODEL, {"big": big})
    _, parts = app.files.file(VersionRef(MODEL, number=2), "big", 0, 0)
    got = [next(parts)]
    delete(app, VersionRef(MODEL, number=1))
    assert app.collector.begin(full=True).result().packs_rewritten == 1
    got += parts
    assert b"".join(got) == big


def test_a_reader_of_a_version_that_is_purged_gets_a_clean_end(app: RegistryApp) -> None:
    big = random.Random(2).randbytes(80 << 20)
    push(app, MODEL, {"big": big})
    ref = VersionRef(MODEL, number=1)
    _, parts = app.files.file(ref, "big", 0, 0)
    frames = app.files.frames(ref, [FileRange("big", 0, 0)], frozenset())
    next(parts), next(frames)
    delete(app, ref)
    app.collector.begin(full=True).result()
    for reader in (parts, frames):
        with pytest.raises(VersionDeleted):
            list(reader)
    assert app.catalog.read(lambda db: db.value("SELECT count(*) FROM chunks WHERE damaged = 1")) == 0
    push(app, MODEL, {"big": big})
    assert read(app, VersionRef(MODEL, number=2)) == {"big": big}


@pytest.mark.parametrize("rows", [20, 5_000])
def test_a_file_that_is_being_forgotten_is_read_to_a_clean_end(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Its rows go a few at a time, and whoever reads it meets every stage."""
    big = random.Random(3).randbytes(40 << 20)
    smalls = {f"small{n:04}": b"%d" % n for n in range(700)}
    push(app, MODEL, {"big": big, **smalls})
    ref = VersionRef(MODEL, number=1)
    monkeypatch.setattr(collecting, "ROWS", rows)
    _, manifest = app.files.manifest(ref, include_chunks=True)
    _, parts = app.files.file(ref, "big", 0, 0)
    names = [next(manifest).file.path]
    got = next(parts)
    delete(app, ref)
    running = app.collector.begin(full=True)
    whole, ended = ["big", *smalls], [True, True]
    try:
        names += (part.file.path for part in manifest)
    except VersionDeleted:
        ended[0] = False
    try:
        for part in parts:
            got += part
    except VersionDeleted:
        ended[1] = False
    running.result()
    told = list(dict.fromkeys(names))
    assert told == whole if ended[0] else told == whole[: len(told)]
    assert got == big if ended[1] else big.startswith(got)


def test_a_dropped_files_id_is_not_given_to_another(app: RegistryApp) -> None:
    push(app, MODEL, {"first": PIECES[2]})
    [before] = app.catalog.read(lambda db: db.rows("SELECT max(id) FROM files"))
    delete(app, VersionRef(MODEL, number=1))
    app.collector.begin(full=True).result()
    push(app, MODEL, {"other": PIECES[3]})
    ids = app.catalog.read(lambda db: db.rows("SELECT id FROM files WHERE length(digest) = 32"))
    assert all(file_id > before[0] for (file_id,) in ids)


def test_a_pack_whose_needed_records_are_damaged_is_left(app: RegistryApp) -> None:
    push(app, MODEL, {"a": PIECES[3], "b": PIECES[4]})
    push(app, MODEL, {"b": PIECES[4]})
    delete(app, VersionRef(MODEL, number=1))
    [pack] = [p for p in app.store.list() if app.store.path(p).stat().st_size > 4 << 20]
    path = app.store.path(pack)
    data = bytearray(path.read_bytes())
    data[-300_000] ^= 1
    path.write_bytes(data)
    done = app.collector.begin(full=True).result()
    assert (done.packs_rewritten, done.dead_size > 1 << 20) == (0, True)
    assert path.exists()
    assert list((path.parent.parent / "open").iterdir()) == []
    with pytest.raises(ChunkDamaged):
        read(app, VersionRef(MODEL, number=2))


def test_one_collection_at_a_time_and_none_when_the_server_stops(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(app, MODEL, {"a": PIECES[3]})
    delete(app, VersionRef(MODEL, number=1))
    entered, go_on = threading.Event(), threading.Event()
    real = app.store.remove

    def slow(pack: str) -> None:
        entered.set()
        go_on.wait()
        real(pack)

    monkeypatch.setattr(app.store, "remove", slow)
    running = app.collector.begin(full=True)
    entered.wait()
    with pytest.raises(CollectionRunning):
        app.collector.begin(full=False)
    go_on.set()
    assert running.result().packs_removed == 1
    app.collector.stop()
    with pytest.raises(Unavailable):
        app.collector.begin(full=False)


def test_a_collection_that_is_stopped_leaves_the_rest_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    for number in (1, 2, 3):
        push(app, MODEL, {"a": PIECES[3], "b": PIECES[number], "n": b"%d" % number})
    for number in (1, 2):
        delete(app, VersionRef(MODEL, number=number))
    entered, go_on = threading.Event(), threading.Event()
    real = app.store.remove

    def slow(pack: str) -> None:
        entered.set()
        go_on.wait()
        real(pack)

    monkeypatch.setattr(app.store, "remove", slow)
    running = app.collector.begin(full=True)
    entered.wait()
    stopping = threading.Thread(target=app.collector.stop)
    stopping.start()
    wait_until(lambda: app.collector._stopping, what="the stop")
    go_on.set()
    stopping.join()
    with pytest.raises(Unavailable):
        running.result()
    app.close()
    again = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    try:
        assert again.collector.begin(full=True).result().freed_size > 0
        assert again.collector.would_collect(full=True).dead_size == 0
        assert read(again, VersionRef(MODEL, number=3)) == {"a": PIECES[3], "b": PIECES[3], "n": b"3"}
    finally:
        again.close()


@pytest.mark.parametrize("fails", ["append_many", "seal"])
def test_without_room_to_rewrite_a_pack_it_is_left_and_others_are_removed(
    app: RegistryApp, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    push(app, MODEL, {"a": PIECES[3], "b": PIECES[2]})
    push(app, MODEL, {"a": PIECES[3]})
    push(app, MODEL, {"c": PIECES[4]})
    for number in (1, 3):
        delete(app, VersionRef(MODEL, number=number))

    def full(*_: object) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, fails, full)
        done = app.collector.begin(full=True).result()
    assert done.packs_removed == 1
    assert done.dead_size > len(PIECES[2])
    assert read(app, VersionRef(MODEL, number=2)) == {"a": PIECES[3]}
    assert app.collector.begin(full=True).result().freed_size == done.dead_size
    assert read(app, VersionRef(MODEL, number=2)) == {"a": PIECES[3]}


def test_a_collection_goes_by_itself_when_it_is_due(tmp_path: Path) -> None:
    app = RegistryApp(tmp_path / "data", Limits(collect_every_us=1))
    try:
        push(app, MODEL, {"a": PIECES[3]})
        delete(app, VersionRef(MODEL, number=1))
        app.housekeeping.wake()

        def collected() -> bool:
            app.housekeeping.wake()
            return stored(app) == 0

        wait_until(collected, what="the collection")
    finally:
        app.close()


def test_packs_of_an_older_release_are_noted_at_the_start(tmp_path: Path) -> None:
    older = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    push(older, MODEL, {"a": PIECES[4], "b": PIECES[3]})
    push(older, MODEL, {"a": PIECES[4]})

    def notes(app: RegistryApp) -> list[object]:
        return app.catalog.read(
            lambda db: db.rows("SELECT * FROM pack_notes ORDER BY pack_id, record_offset")
        )

    before = notes(older)
    older.catalog.write(lambda tx: tx.run("DELETE FROM pack_notes"))
    older.catalog.write(lambda tx: tx.run("UPDATE packs SET noted = 0"))
    # Nobody knows what else they hold, so nothing of them is collected.
    delete(older, VersionRef(MODEL, number=1))
    assert older.collector.begin(full=True).result().freed_size == 0
    older.close()
    app = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    try:
        assert len(before) >= 3
        assert notes(app) == before
        assert app.collector.begin(full=True).result().freed_size > len(PIECES[3])
        assert read(app, VersionRef(MODEL, number=2)) == {"a": PIECES[4]}
    finally:
        app.close()


def test_words_that_are_not_in_the_index_keep_nothing_from_being_purged(app: RegistryApp) -> None:
    push(app, MODEL, {"a": PIECES[3]})
    app.catalog.write(lambda tx: tx.run("INSERT INTO version_text (version_text) VALUES ('delete-all')"))
    app.catalog.write(lambda tx: tx.run("INSERT INTO model_text (model_text) VALUES ('delete-all')"))
    delete(app, VersionRef(MODEL, number=1))
    assert app.collector.begin(full=True).result().versions == 1
    assert stored(app) == 0
    renamed = app.copying.rename(MODEL, ModelName("n", "other"), "", NO_ID)
    assert str(renamed.model.name) == "n/other"


def test_what_a_start_adopts_stays_for_the_uploads_that_were_open(tmp_path: Path) -> None:
    before = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    upload = before.uploads.start(MODEL, None, NO_ID).id
    writer = before.store.create()
    digest = blake3(PIECES[2]).digest()
    writer.append(Kind.CHUNK, Codec.RAW, digest, len(PIECES[2]), PIECES[2])
    writer.seal()  # and a crash before the catalog knows of it
    before.close()
    app = RegistryApp(tmp_path / "data", Limits(collect_every_us=0))
    try:
        assert app.collector.begin(full=True).result().freed_size == 0
        assert app.uploads.find_missing(upload, [digest]) == []
        app.uploads.abort(upload)
        assert app.collector.begin(full=True).result().packs_removed == 1
        assert stored(app) == 0
    finally:
        app.close()


def test_many_files_are_forgotten(app: RegistryApp) -> None:
    number = push(app, MODEL, {f"f{n}": b"%d" % n for n in range(FILES + 10)})
    delete(app, VersionRef(MODEL, number=number))
    app.collector.begin(full=True).result()
    assert stored(app) == 0
    for table in ("version_files", "file_chunks", "chunks", "pack_notes", "packs"):
        assert app.catalog.read(lambda db, t=table: db.value(f"SELECT count(*) FROM {t}")) == 0, table  # type: ignore[misc]  # noqa: S608
