"""From an archive file into a server: read once from its beginning to its end, also from a pipe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from regsvc import errors
from regsvc.client.connection import Connection
from regsvc.client.resume import DEFAULT_PATIENCE
from regsvc.client.transferring.archive import ArchiveReader, Record, frames_of, items_of
from regsvc.client.transferring.mover import IMPORT_BYTES, IMPORT_ITEMS, Mover, check_into
from regsvc.client.transferring.report import OnMoved, TransferReport, name_of
from regsvc.client.transferring.source import Frames, Piece
from regsvc.errors import ArchiveDamaged

_CONTENTS = ("manifest", "blob", "points")


def unpack(
    target: Connection,
    archive: str | os.PathLike[str] | BinaryIO,
    *,
    into: str = "",
    patience: float = DEFAULT_PATIENCE,
    on_moved: OnMoved | None = None,
    on_bytes: Callable[[TransferReport], None] | None = None,
) -> TransferReport:
    """Bring what an archive has, a path or an open file, into a server.

    What comes before a damaged place has come in whole when `ArchiveDamaged` is raised. Raises `InvalidArgument`,
    `Unavailable`, `OSError`.
    """
    started = time.monotonic()
    if isinstance(archive, str | os.PathLike):
        with open(archive, "rb") as file:
            return unpack(target, file, into=into, patience=patience, on_moved=on_moved, on_bytes=on_bytes)
    reader = ArchiveReader(archive)
    check_into(into, reader.header.names)
    mover = Mover(
        target, reader.header.source, into=into, patience=patience, on_moved=on_moved, on_bytes=on_bytes
    )
    _Unpacking(reader, mover).run()
    mover.report.seconds = time.monotonic() - started
    return mover.report


class _Unpacking:
    """Walks through the records; one item is looked at ahead."""

    def __init__(self, reader: ArchiveReader, mover: Mover) -> None:
        self.reader = reader
        self.passed: dict[bytes, int] = {}
        """Where chunks stand that were not sent: another version may need them, whose own are not repeated."""
        self._mover = mover
        self._records = reader.records()
        self._items: list[Any] = []
        self._held: list[Any] = []
        self._held_bytes = 0
        self._points_of = ""

    def run(self) -> None:
        """Bring everything."""
        while (item := self.next_item()) is not None:
            kind = item.WhichOneof("item")
            if kind is None:
                raise errors.InvalidArgument("the archive has items of a newer regsvc; use that to import it")
            if kind in ("version", "build", "version_state"):
                self._flush()
                self._points_of = ""
                self._head(item, kind)
            elif kind == "points":
                if item.points.name == self._points_of:
                    self._mover.points([item])
            elif kind not in _CONTENTS:
                self._held.append(item)
                self._held_bytes += item.ByteSize()
                if len(self._held) >= IMPORT_ITEMS or self._held_bytes >= IMPORT_BYTES:
                    self._flush()
        self._flush()

    def next_item(self) -> Any | None:
        """The next item; chunks before it are passed over."""
        while not self._items:
            record = next(self._records, None)
            if record is None:
                return None
            if record.kind == "I":
                self._items = list(items_of(record))
                self._items.reverse()
            elif record.kind == "C":
                self.pass_over(record)
        return self._items.pop()

    def push_back(self, item: Any) -> None:
        """`next_item` gives it again."""
        self._items.append(item)

    def next_chunks(self) -> Record | None:
        """The next record, if it has chunks."""
        if self._items:
            return None
        record = next(self._records, None)
        if record is None or record.kind == "C":
            return record
        if record.kind == "I":
            self._items = list(items_of(record))
            self._items.reverse()
        return None

    def pass_over(self, record: Record) -> None:
        """Chunks that are not sent now."""
        if self.reader.seekable:
            for frame in frames_of(record).frames:
                self.passed[frame.digest] = record.begin

    def rewind(self, mark: tuple[int, bytes, int], items: Sequence[Any]) -> None:
        """Go back to where an item was read whose record has `items` left."""
        self.reader.rewind(mark)
        self._records = self.reader.records()
        self._items = list(items)

    def rest(self) -> tuple[tuple[int, bytes, int], list[Any]]:
        """Where to rewind to."""
        return self.reader.mark(), list(self._items)

    def _head(self, item: Any, kind: str) -> None:
        offered = self._mover.offer(item)
        if offered is None:
            return
        if kind == "version_state":
            self._points_of = item.version_state.name
            return
        contents = ArchiveContents(self, name_of(item))
        self._mover.bring(item, contents, offered)

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._mover.take(held, _no_contents)


class ArchiveContents:
    """Files, blobs and points of one version or build: what stands behind it in the archive."""

    def __init__(self, unpacking: _Unpacking, name: str) -> None:
        self._unpacking = unpacking
        self._name = name
        self._begin = unpacking.rest()
        self._last: Frames | None = None
        """Of the chunks that were read last some may be for the next stretch."""

    def items(self) -> Iterator[Any]:
        """Manifest, Blob and Points items."""
        while (item := self._unpacking.next_item()) is not None:
            if item.WhichOneof("item") not in _CONTENTS or name_of(item) != self._name:
                self._unpacking.push_back(item)
                return
            yield item

    def frames(self, pieces: Sequence[Piece]) -> Iterator[Frames]:
        """The chunks at these places: first those that were passed over before, then those that stand here."""
        wanted = {piece.digest: piece for piece in pieces}
        if self._last is not None and any(frame.digest in wanted for frame in self._last.frames):
            yield _chosen(self._last, wanted)
        yield from self._passed(wanted)
        while wanted and (record := self._unpacking.next_chunks()) is not None:
            self._unpacking.pass_over(record)
            found = self._last = frames_of(record)
            if any(frame.digest in wanted for frame in found.frames):
                yield _chosen(found, wanted)
        if wanted:
            raise errors.FailedPrecondition(
                "chunks that were passed over are needed now: import the archive from a file, not from a pipe",
                missing=len(wanted),
            )

    def again(self) -> None:
        """Go back. Raises `FailedPrecondition` for a pipe."""
        self._last = None
        self._unpacking.rewind(*self._begin)

    def _passed(self, wanted: dict[bytes, Piece]) -> Iterator[Frames]:
        places = sorted({self._unpacking.passed[each] for each in wanted if each in self._unpacking.passed})
        for begin in places:
            yield _chosen(frames_of(self._unpacking.reader.at(begin)), wanted)


def _chosen(found: Frames, wanted: dict[bytes, Piece]) -> Frames:
    """Those frames that are wanted, which they are not any more."""
    frames, parts, position = [], [], 0
    for frame in found.frames:
        if frame.digest in wanted:
            del wanted[frame.digest]
            frames.append(frame)
            parts.append(found.data[position : position + frame.stored_size])
        position += frame.stored_size
    if len(frames) == len(found.frames):
        return found
    return Frames(frames, memoryview(b"".join(parts)))


def _no_contents(item: Any) -> Any:
    raise ArchiveDamaged(f"the archive is damaged: {name_of(item)} is not where it belongs")
