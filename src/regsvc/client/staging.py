"""The files of a pull while they are put together: chunks go to their places, digests are proven in order."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from blake3 import blake3

from regsvc.client.destination import PulledFile
from regsvc.client.listing import RemoteFile
from regsvc.errors import DigestMismatch

Bytes: TypeAlias = bytes | memoryview

_SYNCERS = 8
"""Files that are synced at once: a journal takes many for the price of one."""
_EACH = 256
"""Files up to which each is synced by itself; for more, the whole file system is, once, which takes less."""
_READ_BYTES = 4 << 20
"""Bytes read at once to hash what is in its place already."""


class StagedFile:
    """One file in the staging folder. `arrived` and `again` belong to one thread; the others to any."""

    def __init__(self, remote: RemoteFile, tree: str) -> None:
        self.remote = remote
        self.location = os.path.join(tree, remote.path)
        self.local = False
        """Some of its chunks were copied from other files here, unproven until the whole is."""
        self._writing = threading.Lock()  # two writers of one inode would spin for the kernel's lock
        self._have = bytearray(len(remote.chunk_sizes))
        self._proven = 0
        """Chunks from the start that are in the file's hash."""
        self._hasher = blake3()

    @property
    def lone(self) -> bool:
        """It has one chunk, whose digest is the file's."""
        return len(self._have) == 1

    @property
    def done(self) -> bool:
        """Every chunk is in its place and the file's digest is right."""
        return self._proven == len(self._have)

    def create(self) -> None:
        """Make the file, at its full size; what it holds already stays."""
        descriptor = os.open(self.location, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            os.truncate(descriptor, self.remote.size)
        finally:
            os.close(descriptor)

    def write_whole(self, data: Bytes) -> None:
        """Make a file of one chunk, already checked."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.location, flags, 0o666)
        try:
            _write_all(descriptor, data, 0, self.location)
        finally:
            os.close(descriptor)

    def write(self, number: int, data: Bytes) -> None:
        """Put the bytes of a chunk, already checked, in their place."""
        with self._opened() as descriptor, self._writing:
            _write_all(descriptor, data, self.remote.offsets[number], self.location)

    def copy(self, numbers: range, source: str, offset: int) -> bool:
        """Put neighbouring chunks in their places from another file; false when that is too short, or gone.

        The kernel copies, and nothing is checked: the digest of the whole file will tell.
        """
        begin = self.remote.offsets[numbers[0]]
        left = self.remote.end(numbers[-1]) - begin
        try:
            reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            with self._opened() as writing, self._writing:
                while left:
                    copied = os.copy_file_range(reading, writing, left, offset, begin)
                    if not copied:
                        return False
                    left, offset, begin = left - copied, offset + copied, begin + copied
        finally:
            os.close(reading)
        return True

    def read(self, begin: int, size: int) -> bytes:
        """What lies at `begin`; may be short."""
        return read_at(self.location, begin, size)

    def arrived(self, number: int, data: Bytes | None) -> None:
        """A chunk is in its place; `data` are its bytes if they are at hand. To be called once for each.

        Raises `DigestMismatch` when it was the last and the whole is wrong.
        """
        self._have[number] = 1
        if self.lone:  # its digest was checked
            self._proven = 1
            return
        if number == self._proven and data is not None:
            self._hasher.update(data)
            self._proven += 1
        while not self.done and self._have[self._proven]:
            self._prove_what_is_there()
        if self.done and self._hasher.digest() != self.remote.digest:
            path = self.remote.path
            raise DigestMismatch(f"what came of {path!r} has another digest", path=path)

    def again(self) -> None:
        """Take nothing for proven any more."""
        self._have = bytearray(len(self._have))
        self._proven, self._hasher, self.local = 0, blake3(), False

    def pulled(self) -> PulledFile:
        """What the marker says of it."""
        status = os.stat(self.location)
        return PulledFile(status.st_size, status.st_mtime_ns, self.remote.digest.hex())

    def _prove_what_is_there(self) -> None:
        begin = self.remote.offsets[self._proven]
        end = begin
        while not self.done and self._have[self._proven] and end - begin < _READ_BYTES:
            end = self.remote.end(self._proven)
            self._proven += 1
        self._hasher.update(self.read(begin, end - begin))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        # Opened for each write: there may be more files under way than a process may have open.
        descriptor = os.open(self.location, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class Syncing:
    """Makes finished files durable: large ones while others still come in, very many small ones at the end."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(_SYNCERS, "regsvc-sync")
        self._pending: list[Future[None]] = []
        self._count = 0

    def add(self, location: str) -> None:
        """One more finished file."""
        self._count += 1
        if self._count <= _EACH:
            self._pending.append(self._pool.submit(_sync, location))

    def wait(self) -> None:
        """Until all are on disk. Raises `OSError`."""
        if self._count > _EACH:
            _sync_file_system(self._folder)
        for future in self._pending:
            future.result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


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


def _sync(location: str) -> None:
    descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(folder: str) -> None:
    """syncfs(2), which waits and reports errors of write-back since Linux 5.8; sync(2) where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), folder)
    finally:
        os.close(descriptor)
