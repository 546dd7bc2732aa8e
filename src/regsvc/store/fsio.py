"""The one door through which the store touches files, so that every operation can be made to fail.

Tests subclass `FileSystem`: one records and asserts (kopia's trick: nothing is renamed dirty), one fails
the Nth operation, one is a disk that loses power. So no other module of the store calls `os` on a file.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a full disk looks like: no space, no quota, or past the process's file size limit (RLIMIT_FSIZE)."""

_IOV_MAX = 1024


class StoreFull(Exception):
    """There is no room for the bytes (ENOSPC, EDQUOT, EFBIG). Nothing was acknowledged."""


class AlreadyLocked(Exception):
    """Another process holds the data directory. `pid` is its process id, or None if it could not be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{path} is locked by {holder}")
        self.path = path
        self.pid = pid


@contextmanager
def naming_full_disk() -> Iterator[None]:
    """Turn an OSError that means a full disk into `StoreFull`; every other one passes unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoreFull(os.strerror(error.errno or errno.ENOSPC)) from error
        raise


class FileSystem:
    """The real thing. Every method raises OSError as the kernel reports it, and retries nothing but
    short reads and short writes (EINTR is Python's own business, PEP 475)."""

    def create(self, path: Path) -> int:
        """Create a file that must not exist and open it for reading and writing; FileExistsError if it does.

        O_EXCL because two writers of one staging name once truncated a published file (LMCache#4991).
        """
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def open_read(self, path: Path) -> int:
        """Open a file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        """Close a file."""
        os.close(fd)

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """One write call of at most 1,024 buffers; returns how many bytes it took, which may be too few."""
        return os.pwritev(fd, buffers, offset)

    def write_all(self, fd: int, buffers: Iterable[bytes | memoryview], offset: int) -> int:
        """Write all the buffers one after the other from `offset`; returns the number of bytes.

        A short write is legal and at RLIMIT_FSIZE even usual (CPython ignores SIGXFSZ: the write that
        crosses the limit returns short, and only the next one fails), so this goes on until all is written.
        """
        start, source = offset, iter(buffers)
        while batch := list(islice(source, _IOV_MAX)):
            left: list[bytes | memoryview] = [buffer for buffer in batch if buffer]
            while left:
                written = self.pwritev(fd, left, offset)
                if written <= 0:
                    raise OSError(errno.EIO, "a write made no progress")
                offset += written
                left = _after(left, written)
        return offset - start

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Exactly `size` bytes from `offset`; EOFError if the file ends before."""
        data = os.pread(fd, size, offset)
        if len(data) == size:
            return data
        parts, have = [data], len(data)
        while data and have < size:
            data = os.pread(fd, size - have, offset + have)
            parts.append(data)
            have += len(data)
        if have < size:
            raise EOFError(f"{have} of {size} bytes at offset {offset}")
        return b"".join(parts)

    def size(self, fd: int) -> int:
        """The size of an open file in bytes."""
        return os.fstat(fd).st_size

    def fsync(self, fd: int) -> None:
        """Make a file's bytes durable. After an error the file must be thrown away and written anew.

        A second fsync would succeed and mean nothing: the kernel reports a failed write-back once and marks
        the pages clean (Rebello et al., USENIX ATC 2020; containerd#10158).
        """
        os.fsync(fd)

    def fsync_dir(self, path: Path) -> None:
        """Make a directory's entries durable (containerd#12302: it never was, and blobs vanished)."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Rename within the file system. The caller syncs both directories, the target's first."""
        os.rename(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        os.unlink(path)

    def mkdirs(self, parent: Path, names: Iterable[str]) -> None:
        """Make the directories `names` in `parent` where missing, then sync `parent`.

        It syncs even if all exist: the process that made them may have been killed before it could.
        """
        for name in names:
            try:
                os.mkdir(parent / name, 0o755)
            except FileExistsError:
                if not (parent / name).is_dir():
                    raise
        self.fsync_dir(parent)

    def exists(self, path: Path) -> bool:
        """Whether the path names anything."""
        return os.path.lexists(path)

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(os.listdir(path))

    def lock(self, path: Path) -> int:
        """Take the exclusive lock of a file (made if missing) without waiting; AlreadyLocked if it is held.

        Returns the file; closing it, or the end of the process, gives the lock back. The file itself stays:
        removing it would let two processes lock two files of one name.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_pid(fd)
        except BlockingIOError as error:
            pid = os.pread(fd, 32, 0).strip()
            os.close(fd)
            raise AlreadyLocked(path, int(pid) if pid.isdigit() else None) from error
        except BaseException:
            os.close(fd)
            raise
        return fd


def _after(buffers: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    for at, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[at + 1 :]]
        written -= len(buffer)
    return []


def _write_pid(fd: int) -> None:
    """The flock is the lock; the pid is for people, so a full disk must not refuse it (borg#9573)."""
    try:
        os.pwrite(fd, f"{os.getpid():<20}\n".encode(), 0)
    except OSError as error:
        if error.errno not in FULL:
            raise
