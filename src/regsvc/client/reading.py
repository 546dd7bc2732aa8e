"""Reads files in blocks, cuts and hashes them: what a push knows of its files, in bounded memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from blake3 import blake3

from regsvc.client.known import KnownFile
from regsvc.client.scan import SourceFile
from regsvc.content.chunking import MIN_CHUNK, Chunk, Cutter
from regsvc.content.layout import Layout
from regsvc.content.tensors import TensorSpan
from regsvc.errors import FailedPrecondition

BLOCK = 8 << 20
"""Bytes read at once."""
WINDOW_BYTES = 8 << 20
"""Raw bytes of one window, about; each stream of a push holds up to five windows."""
WINDOW_CHUNKS = 4096
"""Most chunks, and most files, in one window."""

_COARSE, _FINE = 2_100_000_000, 100_000_000
"""Nanoseconds after which a change shows in a file's times: FAT counts 2 s, others the kernel's ticks."""


class Stale(FailedPrecondition):
    """A file has other bytes than were known of it, though its times say that nothing was changed."""


class SourceChunk(NamedTuple):
    """One chunk of a file that is pushed."""

    digest: bytes
    size: int
    layout: Layout
    file: SourceFile
    offset: int
    data: memoryview | None
    """Its bytes; None while only known, not read."""

    def read(self) -> memoryview:
        """The bytes. Raises `Stale` when they are not what was known, `OSError`."""
        if self.data is not None:
            return self.data
        descriptor = os.open(self.file.location, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, self.size, self.offset)
        finally:
            os.close(descriptor)
        if blake3(data).digest() != self.digest:
            raise Stale(f"{self.file.path!r} is not what it was", path=self.file.path)
        return memoryview(data)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring chunks of one file."""

    file: SourceFile
    offset: int
    """Where the first chunk begins in the file."""
    chunks: list[SourceChunk]
    digest: bytes | None
    """BLAKE3 of the whole file, when the file ends here."""
    settled: bool = False
    """The file ends here, and any change after it was read will show in its times."""

    @property
    def size(self) -> int:
        """Raw bytes."""
        return sum(chunk.size for chunk in self.chunks)


def windows(
    files: Iterable[SourceFile],
    *,
    known: Mapping[str, KnownFile] = MappingProxyType({}),
    spans: Mapping[str, list[TensorSpan]] = MappingProxyType({}),
    most_bytes: int = WINDOW_BYTES,
    most_chunks: int = WINDOW_CHUNKS,
) -> Iterator[list[Stretch]]:
    """All files, in order, as lists of stretches of about `most_bytes` of data each.

    Files that are `known`, by path, are not read; `spans` are tensors that other files say lie in one. Raises
    `FailedPrecondition` when a file is not what it was when it was scanned, `OSError` when it cannot be read.
    """
    window: list[Stretch] = []
    size = chunks = 0
    for file in files:
        already = known.get(file.path)
        if already is None:
            stretches = _read(file, spans.get(file.path))
        else:
            stretches = _recalled(file, already, most_chunks)
        for stretch in stretches:
            window.append(stretch)
            size += stretch.size if already is None else 0
            chunks += max(1, len(stretch.chunks))
            if size >= most_bytes or chunks >= most_chunks:
                yield window
                window, size, chunks = [], 0, 0
    if window:
        yield window


def _recalled(file: SourceFile, known: KnownFile, most_chunks: int) -> Iterator[Stretch]:
    """A file whose chunks are known already."""
    offset = begin = 0
    chunks: list[SourceChunk] = []
    for digest, size, layout in known.chunks():
        if len(chunks) == most_chunks:
            yield Stretch(file, begin, chunks, None)
            chunks, begin = [], offset
        chunks.append(SourceChunk(digest, size, layout, file, offset, None))
        offset += size
    yield Stretch(file, begin, chunks, known.digest, settled=known.settled)


def _read(file: SourceFile, spans: list[TensorSpan] | None) -> Iterator[Stretch]:
    """The file, one stretch a block and one for what is left at its end."""
    if 0 < file.size <= MIN_CHUNK:
        yield _small(file)
        return
    cutter, hashing = Cutter(file.size, spans), _Hashing(file)
    descriptor = os.open(file.location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for data in _blocks(file, descriptor):
            begin = hashing.size
            if chunks := hashing.hashed(cutter.feed(data)):
                yield Stretch(file, begin, chunks, None)
    finally:
        os.close(descriptor)
    begin = hashing.size
    rest = hashing.hashed(cutter.finish())
    yield Stretch(file, begin, rest, hashing.digest(), settled=is_settled(file))


class _Hashing:
    """Hashes the chunks of one file, and with them the file while a chunk is still in the processor's cache."""

    def __init__(self, file: SourceFile) -> None:
        self.size = 0
        """Bytes hashed so far."""
        self._file = file
        self._whole = blake3()
        self._first: SourceChunk | None = None
        """The first chunk, until there is a second: alone, its digest is the file's."""

    def hashed(self, cut: Iterable[Chunk]) -> list[SourceChunk]:
        """The next chunks with their digests."""
        found = []
        for data, layout in cut:
            chunk = SourceChunk(blake3(data).digest(), len(data), layout, self._file, self.size, data)
            if not self.size:
                self._first = chunk
            else:
                if self._first is not None:
                    self._whole.update(self._first.read())
                    self._first = None
                self._whole.update(data)
            self.size += len(data)
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
    digest = blake3(data).digest()
    chunk = SourceChunk(digest, len(data), Layout.OPAQUE, file, 0, memoryview(data))
    return Stretch(file, 0, [chunk], digest, settled=is_settled(file))


def _blocks(file: SourceFile, descriptor: int) -> Iterator[bytes]:
    """The bytes of the file, which must be what they were when it was scanned."""
    left = file.size
    while left and (data := os.read(descriptor, min(BLOCK, left))):
        left -= len(data)
        yield data
    status = os.fstat(descriptor)
    if left or (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise FailedPrecondition(f"{file.path!r} changed while it was pushed", path=file.path)


def is_settled(file: SourceFile) -> bool:
    """Whether a change from now on gives the file other times: git calls an entry that may miss one racy."""
    latest = max(file.mtime_ns, file.ctime_ns)
    needed = _FINE if latest % 1_000_000 else _COARSE
    return time.time_ns() - latest > needed
