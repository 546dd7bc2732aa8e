"""One writer, many readers: group commit, snapshots, an unsound library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsvc.catalog import database, models
from regsvc.catalog.database import Catalog, Reader, TooSlow, Transaction, UnsoundSqlite
from regsvc.errors import EventsGone, PageTokenInvalid, SeqAhead, StorageFull, Unavailable
from regsvc.refs import ModelName
from regsvc.service.events import Events
from regsvc.service.limits import Limits
from regsvc.service.paging import Pager, PageRequest


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "catalog.sqlite")
    yield made
    made.close()


def add(catalog: Catalog, name: str) -> None:
    catalog.write(lambda tx: models.create(tx, ModelName("n", name), ""))


def names(db: Reader) -> list[str]:
    return [name for (name,) in db.rows("SELECT name FROM models ORDER BY name")]


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def test_a_failing_operation_does_not_undo_those_that_share_its_commit(catalog: Catalog) -> None:
    gate = threading.Event()
    catalog.submit(lambda _: gate.wait(30))

    def fail(tx: Transaction) -> None:
        models.create(tx, ModelName("n", "half"), "")
        raise ValueError("on purpose")

    good = [catalog.submit(lambda tx, i=i: models.create(tx, ModelName("n", f"m{i}"), "")) for i in range(3)]
    bad = catalog.submit(fail)
    broken = catalog.submit(lambda tx: tx.run("SELECT * FROM nothing"))
    late = catalog.submit(lambda tx: models.create(tx, ModelName("n", "z"), ""))
    gate.set()
    for future in (*good, late):
        future.result(30)
    with pytest.raises(ValueError, match="on purpose"):
        bad.result(30)
    assert broken.exception(30) is not None
    assert catalog.read(names) == ["m0", "m1", "m2", "z"]


def test_a_listener_hears_of_commits_only(catalog: Catalog) -> None:
    heard: list[frozenset[str]] = []
    catalog.on_commit(heard.append)

    def fail(tx: Transaction) -> None:
        tx.notify("refused")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised above
        catalog.write(fail)
    catalog.write(lambda tx: tx.notify("done"))
    catalog.write(lambda _: None)
    assert heard == [frozenset({"done"})]


def test_a_reader_sees_one_snapshot(catalog: Catalog) -> None:
    add(catalog, "a")

    def twice(db: Reader) -> tuple[list[str], list[str]]:
        first = names(db)
        thread = threading.Thread(target=add, args=[catalog, "b"])
        thread.start()
        thread.join(30)
        return first, names(db)

    assert catalog.read(twice) == (["a"], ["a"])
    assert catalog.read(names) == ["a", "b"]


def test_a_reader_cannot_write(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="readonly"):
        catalog.read(lambda db: db.rows("DELETE FROM models"))
    assert catalog.read(names) == []


def test_a_closed_catalog_is_unavailable_and_closes_twice(catalog: Catalog) -> None:
    catalog.close()
    catalog.close()
    with pytest.raises(Unavailable):
        catalog.write(lambda _: None)


def test_a_full_disk_is_told_as_such(catalog: Catalog) -> None:
    pages = catalog.read(lambda db: db.value("PRAGMA page_count"))
    catalog.write(lambda tx: tx.rows(f"PRAGMA max_page_count={pages + 2}"))
    with pytest.raises(StorageFull):
        catalog.write(lambda tx: tx.run("INSERT INTO settings VALUES ('k', ?)", ["x" * 1_000_000]))
    catalog.write(lambda tx: tx.rows("PRAGMA max_page_count=1000000"))
    add(catalog, "after")
    assert catalog.read(names) == ["after"]


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 51, 2)])
def test_an_unsound_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(database.sqlite, "sqlite_version_info", version)
    with pytest.raises(UnsoundSqlite):
        Catalog(tmp_path / "catalog.sqlite")
    assert not (tmp_path / "catalog.sqlite").exists()


def test_what_is_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    first = Catalog(tmp_path / "c")
    add(first, "kept")
    identity = first.read(database.store_id)
    first.close()
    second = Catalog(tmp_path / "c")
    assert second.read(names) == ["kept"]
    assert second.read(database.store_id) == identity
    second.close()


def test_events_that_are_gone_are_told(catalog: Catalog) -> None:
    for name in ("a", "b", "c", "d"):
        add(catalog, name)
    catalog.write(lambda tx: tx.run("DELETE FROM events WHERE seq < 3"))
    events = Events(catalog, Limits())
    with pytest.raises(EventsGone) as gone:
        events.start(1)
    assert gone.value.metadata["first_seq"] == "3"
    found, seen = events.after(events.start(2), events.filter(""))
    assert ([event.seq for event in found], seen) == ([3, 4], 4)
    assert events.start(None) == 4
    with pytest.raises(SeqAhead):
        events.start(5)


@given(keys=st.sets(st.text(max_size=5)), size=st.integers(1, 7), added=st.sets(st.text(max_size=5)))
@settings(max_examples=60, deadline=None)
def test_keyset_pages_miss_and_double_nothing_while_others_write(
    keys: set[str], size: int, added: set[str]
) -> None:
    present = set(keys)

    def fetch(after: str | None, limit: int) -> list[str]:
        return [key for key in sorted(present) if after is None or key > after][:limit]

    pager, seen, token = Pager("secret"), [], ""
    while True:
        page = pager.page(PageRequest(size, token), "list", None, fetch, lambda key: key, len)
        assert len(page.items) <= size
        seen += page.items
        token = page.next_token
        if not token:
            break
        with pytest.raises(PageTokenInvalid):
            pager.page(PageRequest(size, token), "other", None, fetch, lambda key: key, len)
        with pytest.raises(PageTokenInvalid):
            Pager("another").page(PageRequest(size, token), "list", None, fetch, lambda key: key, len)
        present |= added
    assert seen == sorted(set(seen))
    assert keys <= set(seen) <= keys | added


@given(token=st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_made_up_token_opens_a_page(token: str) -> None:
    if token:
        with pytest.raises(PageTokenInvalid):
            Pager("secret").page(
                PageRequest(1, token), "list", 0, lambda *_: [], lambda key: key, lambda _: 1
            )


class _NoCheckpoint:
    """A connection whose checkpoints fail, as they do on a full disk."""

    def __init__(self, connection: object):
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: object) -> object:
        if "wal_checkpoint" in sql:
            raise database.sqlite.OperationalError("database or disk is full")
        return self._connection.execute(sql, *parameters)  # type: ignore[attr-defined]


def test_a_failing_checkpoint_does_not_stop_the_writer(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 0)
    connection = catalog._writer_connection
    catalog._writer_connection = _NoCheckpoint(connection)
    for number in range(3):
        add(catalog, f"m{number}")
    catalog._writer_connection = connection
    add(catalog, "after")
    assert catalog.read(names) == ["after", "m0", "m1", "m2"]


class _Counting:
    """A connection that notes the modes of its checkpoints."""

    def __init__(self, connection: object):
        self.modes: list[str] = []
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: object) -> object:
        if "wal_checkpoint" in sql:
            self.modes.append(sql.partition("(")[2].rstrip(")"))
        return self._connection.execute(sql, *parameters)  # type: ignore[attr-defined]


def test_a_busy_writer_checkpoints_now_and_then(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "GROUP", 1)
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 1 << 20)
    counting = _Counting(catalog._writer_connection)
    catalog._writer_connection = counting
    gate = threading.Event()
    catalog.submit(lambda _: gate.wait(30))
    commits = 200
    for number in range(commits):  # about 20 MiB of WAL, and always one more that waits
        catalog.submit(
            lambda tx, n=number: models.create(tx, ModelName("n", f"m{n}"), "x" * 30_000)  # type: ignore[misc]
        )
    last = catalog.submit(names)
    gate.set()
    assert len(last.result(60)) == commits
    assert 3 <= counting.modes.count("PASSIVE") <= 40
    assert (tmp_path / "catalog.sqlite-wal").stat().st_size < 4 << 20


def test_a_checkpoint_does_not_wait_for_a_slow_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(database, "BUSY_MS", 600_000)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    add(catalog, "first")
    reading, done = threading.Event(), threading.Event()

    def read_slowly(db: Reader) -> list[str]:
        found = names(db)
        reading.set()
        done.wait(60)
        return found + names(db)

    seen: list[list[str]] = []
    reader = threading.Thread(target=lambda: seen.append(catalog.read(read_slowly)))
    reader.start()
    assert reading.wait(30)
    for name in ("second", "third"):
        catalog.submit(lambda tx, name=name: models.create(tx, ModelName("n", name), "")).result(30)  # type: ignore[misc]
    done.set()
    reader.join()
    assert seen == [["first", "first"]]
    catalog.close()


def test_a_defect_of_a_listener_does_not_stop_the_writer(catalog: Catalog) -> None:
    def defect(topics: frozenset[str]) -> None:
        raise RuntimeError("on purpose")

    catalog.on_commit(defect)
    add(catalog, "first")
    catalog._listeners.clear()
    add(catalog, "second")
    assert catalog.read(names) == ["first", "second"]


def test_a_file_that_is_no_catalog_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(database.CannotOpen, match="cannot be opened"):
        Catalog(tmp_path / "catalog.sqlite")


def test_a_read_that_takes_too_long_is_ended_and_its_reader_goes_on(catalog: Catalog) -> None:
    for _ in range(2 * database.READERS):
        with pytest.raises(TooSlow):
            catalog.read_within(0.05, lambda db: db.value(ENDLESS))
    assert catalog.read(lambda db: db.value("SELECT 1")) == 1
    assert catalog.read_within(60, lambda db: db.value("SELECT 2")) == 2


def test_two_queries_are_read_at_once_and_see_the_same(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = count_calls(monkeypatch, "_at_once")
    count: database.Statement = ("SELECT count(*) FROM models", ())
    add(catalog, "a")
    assert catalog.read_within(60, lambda db: db.values(count, ("SELECT ?", [7]))) == [1, 7]
    assert len(at_once) == 1

    def while_others_write(db: Reader) -> list[object]:
        thread = threading.Thread(target=add, args=[catalog, "b"])
        thread.start()
        thread.join(30)
        return db.values(count, count)

    assert catalog.read_within(60, while_others_write) == [1, 1], "not what was committed meanwhile"
    assert len(at_once) == 1, "another connection would have seen it"
    assert catalog.read(lambda db: db.values(count, count)) == [2, 2]


def test_two_queries_are_read_one_by_one_when_no_connection_is_free(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = count_calls(monkeypatch, "_at_once")
    together = threading.Barrier(database.READERS)

    def read(db: Reader) -> list[object]:
        together.wait(30)
        found = db.values(("SELECT 1", ()), ("SELECT 2", ()))
        together.wait(30)
        return found

    with ThreadPoolExecutor(database.READERS) as threads:
        results = [threads.submit(catalog.read_within, 60, read) for _ in range(database.READERS)]
        assert [each.result() for each in results] == [[1, 2]] * database.READERS
    assert at_once == []


def test_two_queries_that_take_too_long_are_both_ended(catalog: Catalog) -> None:
    endless: database.Statement = (ENDLESS, ())
    for _ in range(2 * database.READERS):
        with pytest.raises(TooSlow):
            catalog.read_within(0.05, lambda db: db.values(endless, endless))
    broken: database.Statement = ("SELECT absent", ())
    with pytest.raises(Exception, match="no such column"):
        catalog.read_within(60, lambda db: db.values(("SELECT 1", ()), broken))
    assert catalog.read_within(60, lambda db: db.values(("SELECT 1", ()), ("SELECT 2", ()))) == [1, 2]
    with pytest.raises(TooSlow):
        catalog.read_within(
            0.05, lambda db: [db.values(("SELECT 1", ()), ("SELECT 2", ())), db.value(ENDLESS)]
        )


def count_calls(monkeypatch: pytest.MonkeyPatch, method: str) -> list[object]:
    """Grows by one with each call of a method of `Reader`."""
    calls: list[object] = []
    original = getattr(Reader, method)

    def counted(*args: object) -> object:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(Reader, method, counted)
    return calls
