"""The files of a pull while they are put together: chunks go to their places, digests are proven in order."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from blake3 import blake3

from regsvc.client.destination import PulledFile
from regsvc.content import manifest
from regsvc.errors import DigestMismatch

Bytes: TypeAlias = bytes | memoryview

_SYNCERS = 8
"""Files that are synced at once: a journal takes many for the price of one."""


_EMPTY = blake3().digest()


@dataclass
class RemoteFile:
    """One file of a version as the manifest lists it; chunks lie packed, a big model has a million."""

    path: str
    size: int
    digest: bytes
    chunk_digests: bytearray = field(default_factory=bytearray)
    chunk_sizes: array[int] = field(default_factory=lambda: array("I"))

    def add(self, digest: bytes, size: int) -> None:
        """The next chunk."""
        self.chunk_digests += digest
        self.chunk_sizes.append(size)

    def chunk(self, number: int) -> bytes:
        """Digest of one chunk."""
        return bytes(self.chunk_digests[32 * number : 32 * number + 32])

    def check(self) -> None:
        """Raise `DigestMismatch` unless chunks and file agree."""
        sizes = self.chunk_sizes
        whole = {0: _EMPTY, 1: self.chunk(0)}.get(len(sizes), self.digest)
        if sum(sizes) != self.size or whole != self.digest:
            raise DigestMismatch(f"the server lists other chunks than {self.path!r} has", path=self.path)


class StagedFile:
    """One file in the staging folder. All methods but `write` belong to one thread at a time."""

    def __init__(self, remote: RemoteFile, tree: str) -> None:
        self.remote = remote
        self.location = os.path.join(tree, remote.path)
        self.offsets = array("Q", _starts(remote.chunk_sizes))
        self._have = bytearray(len(remote.chunk_sizes))
        self._proven = 0
        """Chunks from the start that are in the file's hash."""
        self._hasher = blake3()

    @property
    def done(self) -> bool:
        """Every chunk is in its place and the file's digest is right."""
        return self._proven == len(self._have)

    def create(self) -> None:
        """Make the file, at its full size; what it holds already stays."""
        os.makedirs(os.path.dirname(self.location), exist_ok=True)
        descriptor = os.open(self.location, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            os.truncate(descriptor, self.remote.size)
        finally:
            os.close(descriptor)

    def write(self, number: int, data: Bytes) -> None:
        """Put the bytes of a chunk, already checked, in their place. From any thread."""
        descriptor = os.open(self.location, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _write_all(descriptor, data, self.offsets[number], self.location)
        finally:
            os.close(descriptor)

    def read(self, number: int) -> bytes:
        """What lies where a chunk belongs; may be short."""
        return read_at(self.location, self.offsets[number], self.remote.chunk_sizes[number])

    def arrived(self, number: int, data: Bytes) -> None:
        """A chunk is in its place. Raises `DigestMismatch` when it was the last and the whole is wrong."""
        self._have[number] = 1
        if number == self._proven:
            self._prove(data)
        while not self.done and self._have[self._proven]:
            self._prove(self.read(self._proven))

    def pulled(self) -> PulledFile:
        """What the marker says of it."""
        status = os.stat(self.location)
        return PulledFile(status.st_size, status.st_mtime_ns, self.remote.digest.hex())

    def _prove(self, data: Bytes) -> None:
        self._proven += 1
        if len(self._have) > 1:  # the digest of an only chunk is the file's, and was checked
            self._hasher.update(data)
            if self.done and self._hasher.digest() != self.remote.digest:
                raise DigestMismatch(
                    f"what came of {self.remote.path!r} has another digest", path=self.remote.path
                )


class Syncing:
    """Syncs finished files to disk while others still come in."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_SYNCERS, "regsvc-sync")
        self._pending: list[Future[None]] = []

    def add(self, location: str) -> None:
        """Sync one file, soon."""
        self._pending.append(self._pool.submit(_sync, location))

    def wait(self) -> None:
        """Until all are on disk. Raises `OSError`."""
        for future in self._pending:
            future.result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def check_manifest(files: Iterable[RemoteFile], digest: bytes) -> None:
    """Raise `manifest.PathError` or `DigestMismatch` unless these files are the version `digest`."""
    entries = [manifest.Entry(file.path, file.size, file.digest) for file in files]
    if manifest.version_digest(entries) != digest:
        raise DigestMismatch("the server lists other files than the version has", digest=digest.hex())


def read_at(location: str, offset: int, size: int) -> bytes:
    """Bytes of a file; fewer, or none, if it is shorter or not there."""
    try:
        descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: Bytes, offset: int, location: str) -> None:
    left = memoryview(data)
    try:
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written
    except OSError as error:
        raise OSError(error.errno, error.strerror, location) from None  # pwrite does not say which file


def _starts(sizes: Iterable[int]) -> Iterator[int]:
    offset = 0
    for size in sizes:
        yield offset
        offset += size


def _sync(location: str) -> None:
    descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
