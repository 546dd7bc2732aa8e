"""A file of a version as a Python file object: seekable, read-only, every byte proven before it is handed out."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.chunk_source import ChunkSource, Place, Raw
from regsvc.client.connection import Connection
from regsvc.client.file_chunks import FileChunks, list_chunks
from regsvc.client.read_ahead import ReadAhead

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_SEQUENTIAL = 256 << 10
"""Bytes read in a row before the rest is fetched ahead. Headers and directories are shorter."""
_SKIPPED = 4
"""Chunks that a reader may leave out without the stream being given up."""
_PEEKED = 8 << 10


def open_file(connection: Connection, ref: refs.VersionRef, path: str) -> RemoteFile:
    """Behaviour and errors as at `Client.open`."""
    version, [file] = list_chunks(connection, ref, [path])
    return RemoteFile(ChunkSource(connection, version), version, file)


class RemoteFile(io.BufferedIOBase):
    """One file of a version, open for reading in binary; close it, or use it as a context manager.

    Reads are complete: less than was asked for comes only at the end of the file. A read fetches the chunks that it
    touches, in one call, unless they are among the last 32 MiB. Once the file is read from front to back, a thread
    fetches up to 16 MiB ahead. Disconnects and restarts of the server are waited out, about 90 s.

    Each chunk is checked against its BLAKE3 in the server's list. When reads from the first byte to the last left no
    gap, the one that reaches the end also checks the digest of the whole, which is what `b3sum` prints.

    Any number of threads may use `pread`. The others share a position and take turns.

    Reading raises `DigestMismatch` (these are not the bytes that the version names), `ChunkDamaged` (the server's
    copy is damaged), `Unavailable`, and `ValueError` on a closed file.
    """

    mode = "rb"

    def __init__(self, source: ChunkSource, version: refs.VersionRef, file: FileChunks) -> None:
        self._source = source
        self._version = version
        self._file = file
        self._lock = threading.RLock()  # protects the six below
        self._position = 0
        self._run = 0
        """Bytes read in a row up to the position."""
        self._run_end = 0
        self._ahead: ReadAhead | None = None
        self._hasher = blake3()
        self._hashed = file.size if len(file) <= 1 else 0  # the digest of an only chunk is the file's
        """Bytes from the start that were handed out in order."""

    def __repr__(self) -> str:
        return f"<RemoteFile {self.version} {self.name!r}>"

    @property
    def name(self) -> str:
        """The path within the version."""
        return self._file.path

    @property
    def version(self) -> str:
        """The version, by number: `team/fraud:3`."""
        return str(self._version)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._file.size

    @property
    def digest(self) -> str:
        """BLAKE3 of the whole file, 64 hex digits."""
        return self._file.digest.hex()

    @property
    def bytes_received(self) -> int:
        """Payload bytes that came from the server so far, as encoded; what is read ahead counts too."""
        return self._source.bytes_received

    def pread(self, offset: int, size: int) -> bytes:
        """The bytes [offset, offset + size), fewer at the end of the file; the position stays where it is."""
        self._check_open()
        if offset < 0 or size < 0:
            raise ValueError("offset and size are not negative")
        return _joined(self._fetched(offset, min(offset + size, self.size)))

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes; all that are left without it."""
        with self._lock:
            return _joined(self._advance(self._until(size)))

    def read1(self, size: int = -1, /) -> bytes:
        """At most `size` of the next bytes, as many as are in one chunk."""
        with self._lock:
            end = self._until(size)
            return _joined(self._advance(min(end, self._chunk_end())))

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` with the next bytes; gives how many. Large reads need no second copy this way."""
        with memoryview(buffer).cast("B") as view, self._lock:
            filled = 0
            for piece in self._advance(self._until(len(view))):
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
            return filled

    def readinto1(self, buffer: WriteableBuffer, /) -> int:
        """As `readinto`, as many as are in one chunk."""
        with memoryview(buffer).cast("B") as view, self._lock:
            self._check_open()
            return self.readinto(view[: max(0, self._chunk_end() - self._position)])

    def peek(self, size: int = 0, /) -> bytes:
        """Some of the next bytes, without moving on; empty only at the end."""
        with self._lock:
            self._check_open()
            end = min(self._position + _PEEKED, self._chunk_end())
            return _joined(self._pieces(self._position, end))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; past the end is fine, and reads nothing there."""
        with self._lock:
            self._check_open()
            if whence not in {os.SEEK_SET, os.SEEK_CUR, os.SEEK_END}:
                raise ValueError(f"whence is 0, 1 or 2, not {whence}")
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
            if base + offset < 0:
                raise ValueError(f"position {base + offset} is before the start")
            self._position = base + offset
            return self._position

    def tell(self) -> int:
        """The position."""
        self._check_open()
        return self._position

    def readable(self) -> bool:
        self._check_open()
        return True

    def seekable(self) -> bool:
        self._check_open()
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Raises `io.UnsupportedOperation`: versions never change."""
        raise io.UnsupportedOperation("a version's files cannot be written")

    def close(self) -> None:
        """End what is fetched ahead, and forget what was kept."""
        with self._lock:
            if not self.closed:
                self._drop_ahead()
                self._source.forget()
            super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _until(self, size: int | None) -> int:
        """Where a read of `size` bytes ends."""
        self._check_open()
        if size is None or size < 0:
            return self.size
        return min(self._position + size, self.size)

    def _chunk_end(self) -> int:
        """Where the chunk at the position ends, or the file."""
        chunk = self._file.covering(self._position, self._position + 1)
        return self._file.end(chunk.start) if chunk else self.size

    def _advance(self, end: int) -> Iterator[memoryview]:
        """The pieces from the position to `end`; the position moves with them."""
        if self._position != self._run_end:
            self._run = 0
        for piece in self._pieces(self._position, end):
            self._hash(piece)
            self._position += len(piece)
            self._run += len(piece)
            self._run_end = self._position
            yield piece

    def _hash(self, piece: memoryview) -> None:
        """Go on with the digest of the whole, if `piece` is what comes next. Raises `DigestMismatch` at the end."""
        known = self._hashed - self._position
        if not 0 <= known < len(piece):
            return
        self._hasher.update(piece[known:])
        end = self._position + len(piece)
        if end == self.size and self._hasher.digest() != self._file.digest:
            raise errors.DigestMismatch(f"what came of {self.name!r} has another digest", path=self.name)
        self._hashed = end

    def _pieces(self, begin: int, end: int) -> Iterator[memoryview]:
        """The bytes [begin, end): from the cache, from what is fetched ahead, else in one stream."""
        for number in self._file.covering(begin, end):
            place = Place(self._file, number)
            raw = self._source.cached(place)
            if raw is None:
                raw = self._from_ahead(place)
            if raw is None:
                yield from self._fetched(max(begin, self._file.begin(number)), end)
                return
            yield self._cut(number, raw, begin, end)

    def _from_ahead(self, place: Place) -> Raw | None:
        """A chunk that is fetched ahead, or that is to be from now on; None when reads jump."""
        if self._ahead is not None and not 0 <= place.number - self._ahead.next <= _SKIPPED:
            self._drop_ahead()
        if self._ahead is None:
            if self._run < _SEQUENTIAL or place.number + 1 == len(self._file):
                return None
            self._ahead = ReadAhead(self._source, self._file, place.number)
        try:
            while self._ahead.next < place.number:
                self._ahead.take()
            raw = self._ahead.take()
        except BaseException:
            self._drop_ahead()
            raise
        if self._ahead.next == len(self._file):
            self._drop_ahead()
        self._source.keep(place, raw)
        return raw

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.close()

    def _fetched(self, begin: int, end: int) -> Iterator[memoryview]:
        """The bytes [begin, end), what is not in the cache in one stream."""
        numbers = self._file.covering(begin, end)
        chunks = self._source.read([Place(self._file, number) for number in numbers])
        for number, raw in zip(numbers, chunks, strict=True):
            yield self._cut(number, raw, begin, end)

    def _cut(self, number: int, raw: Raw, begin: int, end: int) -> memoryview:
        """What of a chunk lies in [begin, end) of the file."""
        start = self._file.begin(number)
        return memoryview(raw)[max(0, begin - start) : end - start]


def _joined(pieces: Iterator[memoryview]) -> bytes:
    """All pieces, without holding them twice."""
    first = next(pieces, None)
    if first is None:
        return b""
    second = next(pieces, None)
    if second is None:
        return bytes(first)
    whole = io.BytesIO()
    whole.write(first)
    whole.write(second)
    for piece in pieces:
        whole.write(piece)
    return whole.getvalue()
