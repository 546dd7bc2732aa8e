"""Reads files in blocks, cuts and hashes them: what a push knows of its files, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from blake3 import blake3

from regsvc.client.scan import SourceFile
from regsvc.content.chunking import MIN_CHUNK, Chunk, Cutter
from regsvc.content.layout import Layout
from regsvc.errors import FailedPrecondition

BLOCK = 4 << 20
"""Bytes read at once."""
WINDOW_BYTES = 8 << 20
"""Raw bytes of one window, about; a push holds up to five windows."""
WINDOW_CHUNKS = 4096
"""Most chunks, and most files, in one window."""


@dataclass(frozen=True)
class RawChunk:
    """One chunk as it was read."""

    digest: bytes
    data: memoryview
    layout: Layout


@dataclass(frozen=True)
class Stretch:
    """Neighbouring chunks of one file."""

    path: str
    offset: int
    """Where the first chunk begins in the file."""
    chunks: list[RawChunk]
    digest: bytes | None
    """BLAKE3 of the whole file, when the file ends here."""

    @property
    def size(self) -> int:
        """Raw bytes."""
        return sum(len(chunk.data) for chunk in self.chunks)


def windows(files: Iterable[SourceFile], *, most_chunks: int = WINDOW_CHUNKS) -> Iterator[list[Stretch]]:
    """All files, in order, as lists of stretches of about `WINDOW_BYTES` each.

    Raises `FailedPrecondition` when a file is not what it was when it was scanned, `OSError` when it
    cannot be read.
    """
    window: list[Stretch] = []
    size = chunks = 0
    for file in files:
        for stretch in _stretches(file):
            window.append(stretch)
            size += stretch.size
            chunks += max(1, len(stretch.chunks))
            if size >= WINDOW_BYTES or chunks >= most_chunks:
                yield window
                window, size, chunks = [], 0, 0
    if window:
        yield window


def _stretches(file: SourceFile) -> Iterator[Stretch]:
    """The file, one stretch a block and one for what is left at its end."""
    if 0 < file.size <= MIN_CHUNK:
        yield _small(file)
        return
    cutter, hashing = Cutter(file.size), _Hashing()
    offset = 0
    descriptor = os.open(file.location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for data in _blocks(file, descriptor):
            if chunks := hashing.hashed(cutter.feed(data)):
                stretch = Stretch(file.path, offset, chunks, None)
                offset += stretch.size
                yield stretch
    finally:
        os.close(descriptor)
    rest = hashing.hashed(cutter.finish())
    yield Stretch(file.path, offset, rest, hashing.digest())


class _Hashing:
    """Hashes the chunks of one file, and with them the file while a chunk is still in the processor's cache."""

    def __init__(self) -> None:
        self._whole = blake3()
        self._first: RawChunk | None = None
        """The first chunk, until there is a second: alone, its digest is the file's."""
        self._begun = False

    def hashed(self, chunks: Iterable[Chunk]) -> list[RawChunk]:
        """The next chunks with their digests."""
        found = []
        for data, layout in chunks:
            chunk = RawChunk(blake3(data).digest(), data, layout)
            if not self._begun:
                self._begun, self._first = True, chunk
            else:
                if self._first is not None:
                    self._whole.update(self._first.data)
                    self._first = None
                self._whole.update(data)
            found.append(chunk)
        return found

    def digest(self) -> bytes:
        """BLAKE3 of the whole file."""
        return self._whole.digest() if self._first is None else self._first.digest


def _small(file: SourceFile) -> Stretch:
    """A file that is one chunk, and so has the chunk's digest; without a cutter, since there may be very many."""
    descriptor = os.open(file.location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b"".join(_blocks(file, descriptor))
    finally:
        os.close(descriptor)
    chunk = RawChunk(blake3(data).digest(), memoryview(data), Layout.OPAQUE)
    return Stretch(file.path, 0, [chunk], chunk.digest)


def _blocks(file: SourceFile, descriptor: int) -> Iterator[bytes]:
    """The bytes of the file, which must be what they were when it was scanned."""
    left = file.size
    while left and (data := os.read(descriptor, min(BLOCK, left))):
        left -= len(data)
        yield data
    status = os.fstat(descriptor)
    if left or (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise FailedPrecondition(f"{file.path!r} changed while it was pushed", path=file.path)
