"""The SQLite file: one thread that writes, a small pool that reads, and what differs from PostgreSQL.

All commits and checkpoints go through one connection on one thread, so no caller ever meets
SQLITE_BUSY, and the WAL-reset corruption of SQLite 3.7.0 to 3.51.2 (sqlite.org/wal.html#walresetbug)
lacks its second party; an affected library is refused all the same. Whatever waits when a commit
begins shares it: each operation runs in its own savepoint, and one fsync acknowledges them all.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import sqlite_utils
from pysqlite3 import dbapi2 as sqlite

from regsvc.catalog.schema import MIGRATIONS
from regsvc.errors import StorageFull, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = tuple[Any, ...]
Statement = tuple[str, Sequence[object]]
"""A query and its parameters."""

FIRST_SOUND_SQLITE = (3, 51, 3)
READERS = 8
GROUP = 256
"""Most operations that share one commit."""
PAGE = 8192
BUSY_MS = 5000
"""How long to wait for another process, such as a backup."""
CHECKPOINT_BYTES = 8 << 20
"""What the WAL may hold before the writer checkpoints between commits: two more fsyncs, so not after each."""
LARGEST_WAL = 64 << 20
"""Size from which the WAL is cut even while operations wait."""
_LOOK = "SELECT 1 FROM settings LIMIT 1"
"""A snapshot is taken by the first read, not by BEGIN."""
_PROGRESS = 10_000
"""Steps of SQLite's machine between looks at the clock: about a millisecond."""
PARAMETERS = 900
"""Most `?` in one statement; SQLite's own limit was 999 for years."""


class CannotOpen(RuntimeError):
    """The catalog file cannot be opened or written: no space, no permission, or not a catalog."""


class TooSlow(RuntimeError):
    """A query took longer than it was given."""


class UnsoundSqlite(RuntimeError):
    """The SQLite library has the WAL-reset corruption bug."""


def now_us() -> int:
    """The present, in microseconds since 1970."""
    return time.time_ns() // 1000


class Reader:
    """A read-only view of the catalog, for one thread at a time."""

    def __init__(self, connection: Any, beside: Callable[[], _Beside] | None = None):
        self._connection = connection
        self._deadline = math.inf
        self._beside = beside

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        result: list[Row] = self._connection.execute(sql, parameters).fetchall()
        return result

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        result: Row | None = self._connection.execute(sql, parameters).fetchone()
        return result

    def value(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, parameters)
        return None if row is None else row[0]

    def values(self, *statements: Statement) -> list[Any]:
        """`value` of one or two; two are read at once if a connection is free and nothing was committed meanwhile."""
        if self._beside is not None and len(statements) == 2:
            with self._beside() as other:
                if other is not None:
                    return self._at_once(other, statements)
        return [self.value(*each) for each in statements]

    def _at_once(self, other: Reader, statements: Sequence[Statement]) -> list[Any]:
        # A progress handler wants the interpreter's lock a thousand times a second: each would wait for the other.
        self._connection.set_progress_handler(None, 0)
        try:
            with ThreadPoolExecutor(2) as threads:
                reads = [
                    threads.submit(db.value, *each)
                    for db, each in zip((self, other), statements, strict=True)
                ]
                left = None if self._deadline == math.inf else self._deadline - time.monotonic()
                late = wait(reads, left).not_done
                if late:
                    self._connection.interrupt()
                    other._connection.interrupt()
            if late:
                raise TooSlow("the queries were interrupted")
            return [each.result() for each in reads]
        finally:
            self._look_at_clock()

    def rows_in(self, sql: str, values: Sequence[object], before: Sequence[object] = ()) -> Iterator[Row]:
        """Rows of a query with `IN ({})`, for any number of values; `before` are the parameters before it."""
        step = PARAMETERS - len(before)
        for start in range(0, len(values), step):
            part = values[start : start + step]
            yield from self.rows(sql.format(",".join("?" * len(part))), [*before, *part])

    def rows_within(self, seconds: float, sql: str, parameters: Sequence[object] = ()) -> list[Row] | None:
        """Like `rows`, but None when that takes longer. Raises `TooSlow` when all has lasted too long already."""
        try:
            with self._limited(seconds):
                return self.rows(sql, parameters)
        except TooSlow:
            if time.monotonic() > self._deadline:
                raise
            return None

    @contextlib.contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """What is read in the block raises `TooSlow` after so long, or when a block around it would."""
        outer = self._deadline
        self._deadline = deadline = min(outer, time.monotonic() + seconds)
        self._look_at_clock()
        try:
            yield
        except sqlite.OperationalError as error:
            if time.monotonic() > deadline:
                raise TooSlow("the query was interrupted") from error
            raise
        finally:
            self._deadline = outer
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        if self._deadline == math.inf:
            self._connection.set_progress_handler(None, 0)
        else:
            self._connection.set_progress_handler(lambda: time.monotonic() > self._deadline, _PROGRESS)


_Beside = contextlib.AbstractContextManager[Reader | None]


class Transaction(Reader):
    """The writer's view: what it writes is committed, or undone, as one."""

    def __init__(self, connection: Any):
        super().__init__(connection)
        self.now = now_us()
        self.topics: set[str] = set()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement; gives the number of rows it changed."""
        count: int = self._connection.execute(sql, parameters).rowcount
        return count

    def run_many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """Run one statement for many parameter rows."""
        self._connection.executemany(sql, parameters)

    def attempt(self, sql: str, parameters: Sequence[object] = ()) -> bool:
        """Run one statement; whether it succeeded. One that fails changes nothing."""
        self._connection.execute("SAVEPOINT attempt")
        try:
            self._connection.execute(sql, parameters)
        except sqlite.OperationalError:
            raise  # the disk is full, and with it the whole transaction gone
        except sqlite.DatabaseError:
            self._connection.execute("ROLLBACK TO attempt")
            return False
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE attempt")
        return True

    def insert(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one `INSERT ... RETURNING id`; gives the id."""
        return int(self._connection.execute(sql, parameters).fetchone()[0])

    def notify(self, topic: str) -> None:
        """Wake whoever watches this topic, once the commit is durable."""
        self.topics.add(topic)


class _Operation:
    __slots__ = ("function", "future", "topics")

    def __init__(self, function: Callable[[Transaction], Any]):
        self.function = function
        self.future: Future[Any] = Future()
        self.topics: frozenset[str] = frozenset()


class Catalog:
    """The open catalog. `write` and `read` may be called from any thread."""

    def __init__(self, path: Path):
        if sqlite.sqlite_version_info < FIRST_SOUND_SQLITE:
            raise UnsoundSqlite(
                f"SQLite {sqlite.sqlite_version} can corrupt a WAL; 3.51.3 or newer is needed"
            )
        self._path = path
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._operations: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._readers: queue.LifoQueue[Any] = queue.LifoQueue()
        self._commits = 0
        """Counted before and after each: odd while one is under way."""
        self._closed = False
        self._close_lock = threading.Lock()  # orders `write` against `close`: nothing is queued after None
        try:
            self._writer_connection = self._open_writer()
        except sqlite.Error as error:
            raise CannotOpen(f"the catalog cannot be opened: {error}") from error
        for _ in range(READERS):
            self._readers.put(self._open_reader())
        self._thread = threading.Thread(target=self._write_loop, name="catalog-writer", daemon=True)
        self._thread.start()

    def write(self, function: Callable[[Transaction], T]) -> T:
        """Run `function` in a durable transaction and give its result; its error undoes it alone."""
        return self.submit(function).result()

    def submit(self, function: Callable[[Transaction], T]) -> Future[T]:
        """Like `write`, without waiting: the future is done when the commit is durable."""
        operation = _Operation(function)
        with self._close_lock:
            if self._closed:
                raise Unavailable("the registry is shutting down")
            self._operations.put(operation)
        return operation.future

    def read(self, function: Callable[[Reader], T]) -> T:
        """Run `function` on one consistent snapshot of the catalog."""
        connection = self._readers.get()
        try:
            connection.execute("BEGIN")
            try:
                return function(Reader(connection))
            finally:
                connection.execute("COMMIT")
        finally:
            self._readers.put(connection)

    def read_within(self, seconds: float, function: Callable[[Reader], T]) -> T:
        """Like `read`, but what takes longer ends with `TooSlow`, and may read with two connections at once."""

        def bounded(db: Reader) -> T:
            before = self._commits
            db.row(_LOOK)
            if before == self._commits and before % 2 == 0:
                db._beside = lambda: self._seeing(before)
            with db._limited(seconds):
                return function(db)

        return self.read(bounded)

    @contextlib.contextmanager
    def _seeing(self, commits: int) -> Iterator[Reader | None]:
        """Another view of the same snapshot; None if there have been commits since, or no connection is free."""
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            yield None
            return
        try:
            connection.execute("BEGIN")
            try:
                connection.execute(_LOOK).fetchone()
                yield Reader(connection) if self._commits == commits else None
            finally:
                connection.execute("COMMIT")
        finally:
            self._readers.put(connection)

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener` on the writer thread with the topics of each durable commit; it must not block."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what is queued, checkpoint, and close. Closing twice is fine."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._operations.put(None)
        self._thread.join()
        for _ in range(READERS):
            self._readers.get().close()
        with contextlib.suppress(sqlite.Error):  # a full disk; the next start has the WAL to read
            self._writer_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._writer_connection.close()

    def _open_writer(self) -> Any:
        connection = sqlite.connect(str(self._path), isolation_level=None, check_same_thread=False)
        for pragma in (
            f"page_size={PAGE}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MS}",
            "temp_store=MEMORY",
            "mmap_size=0",
            "wal_autocheckpoint=0",
            "cache_size=-65536",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        MIGRATIONS.apply(sqlite_utils.Database(connection))
        return connection

    def _open_reader(self) -> Any:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        for pragma in (f"busy_timeout={BUSY_MS}", "mmap_size=0", "wal_autocheckpoint=0", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def _write_loop(self) -> None:
        while True:
            first = self._operations.get()
            if first is None:
                return
            batch, stopping = [first], False
            while len(batch) < GROUP:
                try:
                    operation = self._operations.get_nowait()
                except queue.Empty:
                    break
                if operation is None:
                    stopping = True
                    break
                batch.append(operation)
            try:
                self._commit(batch)
            except Exception as error:  # a defect must fail its callers, not hang all who come after them
                log.exception("the catalog's writer met a defect")
                for operation in batch:
                    if not operation.future.done():
                        operation.future.set_exception(error)
            if stopping:
                return
            self._checkpoint_if_large()

    def _commit(self, batch: list[_Operation]) -> None:
        connection = self._writer_connection
        done: list[tuple[_Operation, Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for operation in batch:
                if operation.future.set_running_or_notify_cancel():
                    self._run_one(connection, operation, done)
            self._commits += 1
            try:
                connection.execute("COMMIT")
            finally:
                self._commits += 1
        except sqlite.Error as error:
            with contextlib.suppress(sqlite.Error):
                connection.execute("ROLLBACK")
            failure = _domain_error(error)
            for operation in batch:
                if not operation.future.done():
                    operation.future.set_exception(failure)
            return
        topics: set[str] = set()
        for operation, result in done:
            topics |= operation.topics
            operation.future.set_result(result)
        if topics:
            for listener in self._listeners:
                listener(frozenset(topics))

    def _run_one(self, connection: Any, operation: _Operation, done: list[tuple[_Operation, Any]]) -> None:
        transaction = Transaction(connection)
        connection.execute("SAVEPOINT operation")
        try:
            result = operation.function(transaction)
        except Exception as error:
            if not connection.in_transaction:
                raise  # a full disk has undone the whole transaction: every operation of it has failed
            connection.execute("ROLLBACK TO operation")
            connection.execute("RELEASE operation")
            full = isinstance(error, sqlite.Error)
            operation.future.set_exception(_domain_error(error) if full else error)
            return
        connection.execute("RELEASE operation")
        operation.topics = frozenset(transaction.topics)
        done.append((operation, result))

    def _checkpoint_if_large(self) -> None:
        wal = self._path.with_name(self._path.name + "-wal")
        try:
            size = wal.stat().st_size
        except FileNotFoundError:
            return
        if size <= CHECKPOINT_BYTES:
            return
        try:
            if self._operations.empty() or size > LARGEST_WAL:
                self._checkpoint("TRUNCATE")
            elif self._checkpoint("NOOP") > CHECKPOINT_BYTES:
                self._checkpoint("PASSIVE")
        except sqlite.Error as error:
            # Nothing is lost: the WAL keeps it all, and the next commit tries again. A full disk gets here.
            log.warning("the catalog could not be checkpointed", extra={"error": type(error).__name__})

    def _checkpoint(self, mode: str) -> int:
        """Move what no reader holds up from the WAL; gives the bytes that are left to be moved.

        NOOP only asks: the file keeps its size when its room is used again, so the size does not tell.
        """
        connection = self._writer_connection
        connection.execute("PRAGMA busy_timeout=0").fetchall()  # writers do not wait for a slow reader
        try:
            _, frames, moved = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}").fetchall()
        return int(frames - moved) * PAGE


def store_id(db: Reader) -> str:
    """The random identity of this registry, made with its catalog."""
    return str(db.value("SELECT value FROM settings WHERE key = 'store_id'"))


def page_secret(db: Reader) -> str:
    """What page tokens are sealed with; it never leaves the server."""
    return str(db.value("SELECT value FROM settings WHERE key = 'page_secret'"))


def _domain_error(error: BaseException) -> BaseException:
    """A full disk is the caller's to know; any other SQLite error is a defect and stays what it is."""
    if isinstance(error, sqlite.OperationalError) and "full" in str(error):
        return StorageFull("the registry's disk is full")
    return error
