"""From a server into an archive file. A file that was not finished is gone on with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from regsvc import errors
from regsvc.client.build_records import short_name
from regsvc.client.connection import Connection
from regsvc.client.resume import DEFAULT_PATIENCE
from regsvc.client.transferring.archive import ArchiveReader, ArchiveWriter, Header, frames_of
from regsvc.client.transferring.report import LeftOut, TransferReport
from regsvc.client.transferring.source import Contents, Piece, Selection, ServerSource
from regsvc.errors import ArchiveDamaged

PARTIAL = ".partial"
_ASK = 4_096
"""Chunks that are read by one request."""


def pack(
    connection: Connection,
    names: Sequence[str],
    destination: str | os.PathLike[str] | BinaryIO,
    *,
    patience: float = DEFAULT_PATIENCE,
    on_bytes: Callable[[TransferReport], None] | None = None,
) -> TransferReport:
    """Write resources of a server into an archive, a path or an open file.

    A path gets its content in one step at the end; until then it is `PATH.partial`, and another run of the same
    export goes on with that. Raises `NotFound`, `Unavailable`, `OSError`.
    """
    started = time.monotonic()
    source = ServerSource(connection, patience)
    report = TransferReport()
    try:
        if isinstance(destination, str | os.PathLike):
            _pack_path(source, connection, names, Path(destination), report, on_bytes)
        else:
            writer = ArchiveWriter(destination)
            writer.header(_header(connection, source, names))
            _Packing(source, writer, report, on_bytes, set()).run(names, "")
            destination.flush()
    finally:
        source.close()
    report.seconds = time.monotonic() - started
    return report


def _pack_path(
    source: ServerSource,
    connection: Connection,
    names: Sequence[str],
    path: Path,
    report: TransferReport,
    on_bytes: Callable[[TransferReport], None] | None,
) -> None:
    partial = path.with_name(path.name + PARTIAL)
    with _locked(partial) as file:
        found = _resumable(file, source.store_id, names)
        if found is None:
            file.seek(0)
            file.truncate()
            writer = ArchiveWriter(file)
            writer.header(_header(connection, source, names))
            known, cursor = set[bytes](), ""
        else:
            known, cursor, writer = found
        _Packing(source, writer, report, on_bytes, known).run(names, cursor)
        file.flush()
        os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)


class _Packing:
    """Writes what an export gives, each chunk once."""

    def __init__(
        self,
        source: ServerSource,
        writer: ArchiveWriter,
        report: TransferReport,
        on_bytes: Callable[[TransferReport], None] | None,
        known: set[bytes],
    ) -> None:
        self._source = source
        self._writer = writer
        self._report = report
        self._on_bytes = on_bytes or (lambda report: None)
        self._known = known
        """Chunks that are in the archive: about 100 bytes of memory each."""
        self._offsets: dict[str, int] = {}

    def run(self, names: Sequence[str], cursor: str) -> None:
        """Write everything behind a place, and the end."""
        for batch in self._source.export(Selection(names, Contents.ALL), cursor):
            held: list[Any] = []
            for item in batch.items:
                held.append(item)
                self._report.items += 1
                kind = item.WhichOneof("item")
                if kind == "left_out":
                    self._report.left_out.append(
                        LeftOut(short_name(item.left_out.name), item.left_out.reason)
                    )
                elif kind in ("manifest", "blob"):
                    # The recipe first, its chunks behind it, so that a reader knows what they are for.
                    self._writer.items(held)
                    held = []
                    self._chunks(item, kind)
            if held:
                self._writer.items(held)
            if batch.cursor:
                self._writer.place(batch.cursor)
        self._writer.end()

    def _chunks(self, item: Any, kind: str) -> None:
        name = getattr(item, kind).name
        pieces = list(self._pieces(item, kind))
        self._report.chunks += len(pieces)
        new = [
            piece
            for piece in {piece.digest: piece for piece in pieces}.values()
            if piece.digest not in self._known
        ]
        for start in range(0, len(new), _ASK):
            for frames in self._source.frames(name, new[start : start + _ASK]):
                self._writer.chunks(frames)
                self._report.chunks_sent += len(frames.frames)
                self._report.bytes_sent += len(frames.data)
                self._known.update(frame.digest for frame in frames.frames)
                self._on_bytes(self._report)

    def _pieces(self, item: Any, kind: str) -> Iterator[Piece]:
        if kind == "blob":
            yield from _placed(item.blob.digest, item.blob.offset, item.blob.chunks)
            return
        for file in item.manifest.files:
            begin = self._offsets.get(file.path, 0)
            self._offsets = {file.path: begin + sum(chunk.size for chunk in file.chunks)}
            yield from _placed(file.digest, begin, file.chunks)
        if item.manifest.last:
            self._offsets.clear()


def _placed(blob: str, offset: int, chunks: Sequence[Any]) -> Iterator[Piece]:
    for chunk in chunks:
        yield Piece(blob, offset, chunk.digest, chunk.size)
        offset += chunk.size


def _header(connection: Connection, source: ServerSource, names: Sequence[str]) -> Header:
    version = str(connection.capabilities().server_version)
    return Header(source.store_id, list(names), version, datetime.now(UTC).isoformat(timespec="seconds"))


def _resumable(
    file: BinaryIO, source: str, names: Sequence[str]
) -> tuple[set[bytes], str, ArchiveWriter] | None:
    """What a partial archive of the same export has, cut behind its last place; None when it has nothing of use."""
    file.seek(0)
    known: set[bytes] = set()
    since: list[bytes] = []
    mark: tuple[int, bytes, int] | None = None
    cursor = ""
    try:
        reader = ArchiveReader(file)
        if reader.header.source != source or list(reader.header.names) != list(names):
            return None
        for record in reader.records():
            if record.kind == "C":
                since.extend(frame.digest for frame in frames_of(record).frames)
            elif record.kind == "P":
                known.update(since)
                since, cursor, mark = [], record.body.decode(), reader.mark()
    except ArchiveDamaged:
        pass  # as far as it was written when its writer was killed
    if mark is None:
        return None
    position, chain, count = mark
    file.seek(position)
    file.truncate()
    return known, cursor, ArchiveWriter(file, chain, count)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The partial file, which no other process writes meanwhile. Raises `Aborted`."""
    import fcntl

    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise errors.Aborted(f"another process writes {path}") from None
            # Whoever held the lock before may have finished, and this file be the archive by now.
            if _is(path, file):
                yield file
                return


def _is(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
