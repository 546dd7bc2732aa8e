"""Build logs: append, read, and seal into a blob when the build has ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import zstandard

from regsvc.catalog import builds, chunks, logs
from regsvc.catalog.builds import Build
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.logs import LogBatch
from regsvc.errors import (
    ChunkDamaged,
    InvalidArgument,
    LogLineTooLong,
    OutOfRange,
    ResourceExhausted,
    SeqGap,
    Superseded,
)
from regsvc.refs import BuildName
from regsvc.service.blobs import BlobWriter
from regsvc.service.checks import check_step_name, check_time
from regsvc.service.limits import Limits
from regsvc.service.loglines import LogLine, from_json_lines, to_json_line
from regsvc.service.packing import Packer
from regsvc.service.reading import VersionReader
from regsvc.store import PackStore

PAGE_BYTES = 256 << 10
"""Stored bytes of one batch, and of what is read at once: what one slow reader may hold in memory."""


@dataclass(frozen=True)
class LogState:
    """Where a log stands, for its publisher."""

    committed_seq: int
    cancel_requested: bool


@dataclass(frozen=True)
class LogPage:
    """A stretch of a log, for a reader."""

    lines: Sequence[LogLine]
    seq: int
    """Everything up to this number has been seen."""
    moved: bool
    """`seq` is past the number that was asked for."""
    ended: bool
    """The build has ended and there is nothing after `seq`."""


class Logs:
    """The logs of all builds."""

    def __init__(self, catalog: Catalog, store: PackStore, reader: VersionReader, limits: Limits):
        self._catalog = catalog
        self._store = store
        self._reader = reader
        self._limits = limits
        self._seals = ThreadPoolExecutor(1, thread_name_prefix="log-seal")
        self._writers: dict[BuildName, object] = {}
        self._lock = threading.Lock()  # guards the writers

    def open(self, name: BuildName, writer: object) -> LogState:
        """Make `writer` the one stream that appends to this log. Raises `NotFound`, `BuildEnded`."""
        build = self._catalog.read(lambda db: builds.find_running(db, name))
        with self._lock:
            self._writers[name] = writer
        return LogState(build.log_seq, build.cancel_requested)

    def release(self, name: BuildName, writer: object) -> None:
        """The stream has ended."""
        with self._lock:
            if self._writers.get(name) is writer:
                del self._writers[name]

    def append(self, name: BuildName, writer: object, lines: Sequence[LogLine]) -> LogState:
        """Append lines; those that are committed already are skipped. Without lines it is a heartbeat.

        Raises `SeqGap`, `LogLineTooLong`, `InvalidArgument`, `BuildEnded`, `Superseded`.
        """
        self._check(lines)

        def commit(tx: Transaction) -> LogState:
            with self._lock:
                if self._writers.get(name) is not writer:
                    raise Superseded(f"a newer stream writes the log of {name}", build=name.wire)
            build = builds.find_running(tx, name)
            builds.renew(tx, build, self._limits.build_lease_us)
            if not lines or lines[-1].seq <= build.log_seq:
                return LogState(build.log_seq, build.cancel_requested)
            if lines[0].seq > build.log_seq + 1:
                raise SeqGap(
                    f"the log of {name} is committed up to {build.log_seq}",
                    build=name.wire,
                    committed_seq=build.log_seq,
                )
            new = lines[build.log_seq + 1 - lines[0].seq :]
            for batch in _batches(new):
                logs.insert(tx, build, batch)
            builds.advance_log(tx, build, new[-1].seq, sum(len(line.text) for line in new))
            return LogState(new[-1].seq, build.cancel_requested)

        return self._catalog.write(commit)

    def read(self, name: BuildName, after_seq: int, step: str) -> LogPage:
        """The next stretch of a log after a number; `step` leaves only its lines. Raises `NotFound`, `OutOfRange`."""

        def fetch(db: Reader) -> tuple[Build, list[LogBatch], int | None]:
            build = builds.find(db, name)
            if after_seq > build.log_seq:
                raise OutOfRange(
                    f"the log of {name} ends at {build.log_seq}", build=name.wire, log_seq=build.log_seq
                )
            found = logs.batches(db, build.id, after_seq, PAGE_BYTES)
            file = chunks.find_file(db, build.log_digest) if build.log_digest else None
            return build, found, None if file is None else file[0]

        build, batches, file_id = self._catalog.read(fetch)
        lines = [line for batch in batches for line in self._lines(batch, file_id) if line.seq > after_seq]
        seq = lines[-1].seq if lines else after_seq
        if step:
            lines = [line for line in lines if line.step == step]
        return LogPage(lines, seq, seq > after_seq, build.ended and seq >= build.log_seq)

    def seal_ended(self) -> None:
        """Move the logs of ended builds into blobs. May be killed at any point and run again."""
        for name in self._catalog.read(builds.unsealed):
            self._seal(self._catalog.read(lambda db, name=name: builds.find(db, name)))  # type: ignore[misc]

    def close(self) -> None:
        """Wait for what is being sealed."""
        self._seals.shutdown(wait=True)

    def _check(self, lines: Sequence[LogLine]) -> None:
        size = 0
        for place, line in enumerate(lines):
            if line.seq < 1 or line.seq != lines[0].seq + place:
                raise InvalidArgument("log lines are not numbered in ascending order by one", seq=line.seq)
            if len(line.text) > self._limits.max_log_line_bytes:
                raise LogLineTooLong(
                    f"log line {line.seq} has {len(line.text)} bytes, at most {self._limits.max_log_line_bytes}",
                    seq=line.seq,
                    limit=self._limits.max_log_line_bytes,
                )
            check_time(line.at, f"log line {line.seq}")
            check_step_name(line.step, optional=True)
            size += len(line.text)
        if size > self._limits.max_log_batch_bytes:
            raise ResourceExhausted(
                f"log lines of {size} bytes in one message, at most {self._limits.max_log_batch_bytes}",
                limit=self._limits.max_log_batch_bytes,
            )

    def _lines(self, batch: LogBatch, file_id: int | None) -> list[LogLine]:
        if batch.payload is not None:
            data = zstandard.ZstdDecompressor().decompress(batch.payload, max_output_size=batch.size)
        else:
            if file_id is None or batch.blob_offset is None:
                raise ChunkDamaged("the sealed log is damaged in the store")
            end = batch.blob_offset + batch.size
            data = b"".join(self._reader.file_bytes(file_id, batch.blob_offset, end))
        return from_json_lines(data)

    def _seal(self, build: Build) -> None:
        packer = Packer(self._store, self._catalog, self._seals, self._limits.seals_in_flight)
        with BlobWriter(self._catalog, packer) as blob:
            self._seal_into(blob, build)

    def _seal_into(self, blob: BlobWriter, build: Build) -> None:
        offsets: list[tuple[int, int]] = []
        seq = 0
        while seq < build.log_seq:
            batches = self._catalog.read(lambda db: logs.batches(db, build.id, seq, PAGE_BYTES))  # noqa: B023
            for batch in batches:
                assert batch.payload is not None
                data = zstandard.ZstdDecompressor().decompress(batch.payload, max_output_size=batch.size)
                offsets.append((batch.first_seq, blob.size))
                blob.write(data)
                seq = batch.last_seq

        def note(tx: Transaction, file_id: int) -> None:
            logs.move_to_blob(tx, build, offsets)
            builds.seal_log(tx, build, file_id, blob.digest)

        blob.commit(note)


def _batches(lines: Sequence[LogLine]) -> Iterator[LogBatch]:
    """The lines as they are stored, in batches of bounded size."""
    begin = size = 0
    stored = [to_json_line(line) for line in lines]
    for end, data in enumerate(stored):
        if end > begin and size + len(data) > PAGE_BYTES:
            yield _batch(lines[begin:end], b"".join(stored[begin:end]))
            begin, size = end, 0
        size += len(data)
    yield _batch(lines[begin:], b"".join(stored[begin:]))


def _batch(lines: Sequence[LogLine], data: bytes) -> LogBatch:
    payload = zstandard.ZstdCompressor(level=1).compress(data)
    return LogBatch(lines[0].seq, lines[-1].seq, len(data), payload, None)
