"""File systems that fail: a disk in memory that loses power, operations that go wrong, and a watchful one.

`MemoryFileSystem` keeps apart what was written and what is durable; `power_cut` makes the disk that a machine
could find after losing power. `Faulty` and `Recording` are mixed in front of it, or of the real one.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from regsvc.store import AlreadyLocked, FileSystem, NewRecord

SECTOR = 512
Keep = Callable[[], bool]
T = TypeVar("T")


def new_record(payload: bytes, kind: int = 1, codec: int = 0) -> NewRecord:
    return NewRecord(kind, codec, blake3(payload).digest(), len(payload), payload)


@dataclass(eq=False)
class Inode:
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(eq=False)
class Directory:
    entries: dict[str, Inode | Directory] = field(default_factory=dict)
    durable: dict[str, Inode | Directory] = field(default_factory=dict)
    pending: list[tuple[str, Inode | Directory | None]] = field(default_factory=list)

    def put(self, name: str, node: Inode | Directory) -> None:
        self.entries[name] = node
        self.pending.append((name, node))

    def drop(self, name: str) -> None:
        del self.entries[name]
        self.pending.append((name, None))


class MemoryFileSystem(FileSystem):
    """A disk in memory. A rename is two directory changes, each of which may survive without the other."""

    def __init__(self, root: Directory | None = None) -> None:
        self.root = root or Directory()
        self._files: dict[int, Inode] = {}
        self._locks: dict[int, Path] = {}
        self._next = 1000

    def open_count(self) -> int:
        return len(self._files)

    def create(self, path: Path) -> int:
        parent = self._directory(path.parent)
        if path.name in parent.entries:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        inode = Inode()
        parent.put(path.name, inode)
        return self._opened(inode)

    def open_read(self, path: Path) -> int:
        node = self._node(path)
        assert isinstance(node, Inode)
        return self._opened(node)

    def close(self, fd: int) -> None:
        if self._locks.pop(fd, None) is None:
            del self._files[fd]

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        inode, data = self._files[fd], b"".join(buffers)
        _write(inode.data, offset, data)
        inode.pending.append((offset, data))
        return len(data)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        data = bytes(self._files[fd].data[offset : offset + size])
        if len(data) < size:
            raise EOFError
        return data

    def size(self, fd: int) -> int:
        return len(self._files[fd].data)

    def fsync(self, fd: int) -> None:
        inode = self._files[fd]
        inode.durable, inode.pending = bytes(inode.data), []

    def fsync_dir(self, path: Path) -> None:
        directory = self._directory(path)
        directory.durable, directory.pending = dict(directory.entries), []

    def rename(self, source: Path, target: Path) -> None:
        node = self._node(source)
        self._directory(target.parent).put(target.name, node)
        self._directory(source.parent).drop(source.name)

    def unlink(self, path: Path) -> None:
        self._node(path)
        self._directory(path.parent).drop(path.name)

    def mkdirs(self, parent: Path, names: Iterable[str]) -> None:
        directory = self._directory(parent)
        for name in names:
            if name not in directory.entries:
                directory.put(name, Directory())
        self.fsync_dir(parent)

    def exists(self, path: Path) -> bool:
        try:
            self._node(path)
        except FileNotFoundError:
            return False
        return True

    def listdir(self, path: Path) -> list[str]:
        return sorted(self._directory(path).entries)

    def lock(self, path: Path) -> int:
        if path in self._locks.values():
            raise AlreadyLocked(path, None)
        if not self.exists(path):
            self.close(self.create(path))
        self._next += 1
        self._locks[self._next] = path
        return self._next

    def unsynced(self) -> int:
        """How many writes and directory changes a power cut may drop or keep."""
        return _pending(self.root, set())

    def power_cut(self, keep: Keep, cut: Callable[[int], int] = lambda size: size) -> MemoryFileSystem:
        """The disk after losing power: `keep` says which unsynced change survives, `cut` how far."""
        return MemoryFileSystem(_after_power_cut(self.root, keep, cut, {}))  # type: ignore[arg-type]

    def _opened(self, inode: Inode) -> int:
        self._next += 1
        self._files[self._next] = inode
        return self._next

    def _node(self, path: Path) -> Inode | Directory:
        node: Inode | Directory = self.root
        for part in path.parts[1:]:
            if not isinstance(node, Directory) or part not in node.entries:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            node = node.entries[part]
        return node

    def _directory(self, path: Path) -> Directory:
        node = self._node(path)
        assert isinstance(node, Directory)
        return node


def random_cut(rng: random.Random) -> Callable[[int], int]:
    """A write survives whole, or up to a sector's boundary."""
    return lambda size: size if rng.random() < 0.5 else min(size, rng.randrange(size + 1) // SECTOR * SECTOR)


def _write(data: bytearray, offset: int, new: bytes) -> None:
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(new)] = new


def _pending(node: Inode | Directory, seen: set[int]) -> int:
    if id(node) in seen:
        return 0
    seen.add(id(node))
    below = node.entries.values() if isinstance(node, Directory) else ()
    return len(node.pending) + sum(_pending(child, seen) for child in below)


def _after_power_cut(
    node: Inode | Directory, keep: Keep, cut: Callable[[int], int], done: dict[int, Inode | Directory]
) -> Inode | Directory:
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, Inode):
        data = bytearray(node.durable)
        for offset, new in node.pending:
            if keep():
                _write(data, offset, new[: cut(len(new))])
        done[id(node)] = Inode(data, bytes(data))
        return done[id(node)]
    entries = dict(node.durable)
    for name, child in node.pending:
        if keep():
            if child is None:
                entries.pop(name, None)
            else:
                entries[name] = child
    made = {name: _after_power_cut(child, keep, cut, done) for name, child in entries.items()}
    done[id(node)] = Directory(made, dict(made))
    return done[id(node)]


class Killed(BaseException):
    """The process is gone: nothing more happens on the disk."""


class Faulty(FileSystem):
    """The Nth operation goes wrong, counted from `arm`.

    eio, enospc: it fails and the next works. dead: it and all later fail. late: it happens and reports EIO
    (not where it returns something). short: a write takes half. full: a write takes half, then there is no
    room ever again (what RLIMIT_FSIZE and a full disk do). kill: the process ends before it.
    """

    fault = ""
    fail_at = 0
    operations = 0

    def arm(self, fault: str, fail_at: int) -> None:
        self.fault, self.fail_at, self.operations = fault, fail_at, 0

    def create(self, path: Path) -> int:
        return self._do("create", lambda: super(Faulty, self).create(path))

    def open_read(self, path: Path) -> int:
        return self._do("read", lambda: super(Faulty, self).open_read(path))

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self.operations + 1 == self.fail_at and self.fault in {"short", "full"}:
            self.operations += 1
            joined = b"".join(buffers)
            return super().pwritev(fd, [joined[: (len(joined) + 1) // 2]], offset)
        return self._do("write", lambda: super(Faulty, self).pwritev(fd, buffers, offset))

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self._do("read", lambda: super(Faulty, self).pread(fd, size, offset))

    def fsync(self, fd: int) -> None:
        self._do("sync", lambda: super(Faulty, self).fsync(fd))

    def fsync_dir(self, path: Path) -> None:
        self._do("sync", lambda: super(Faulty, self).fsync_dir(path))

    def rename(self, source: Path, target: Path) -> None:
        self._do("rename", lambda: super(Faulty, self).rename(source, target))

    def unlink(self, path: Path) -> None:
        self._do("unlink", lambda: super(Faulty, self).unlink(path))

    def mkdirs(self, parent: Path, names: Iterable[str]) -> None:
        self._do("mkdir", lambda: super(Faulty, self).mkdirs(parent, names))

    def listdir(self, path: Path) -> list[str]:
        if len(path.name) == 2 and path.name != "00":  # 256 alike: one stands for all
            return super().listdir(path)
        return self._do("read", lambda: super(Faulty, self).listdir(path))

    def _do(self, operation: str, act: Callable[[], T]) -> T:
        self.operations += 1
        now, past = self.operations == self.fail_at, 0 < self.fail_at < self.operations
        if self.fault == "kill" and (now or past):
            raise Killed
        if (self.fault == "eio" and now) or (self.fault == "dead" and (now or past)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        takes_room = operation not in {"read", "unlink"}
        if takes_room and ((self.fault == "enospc" and now) or (self.fault == "full" and past)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        result = act()
        if self.fault == "late" and now and operation not in {"create", "read"}:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return result


class Recording(FileSystem):
    """Raises AssertionError where durability is skipped: a file renamed dirty, an fsync tried again.

    `closed_dirty` and `unsynced_dirs` are for the test to look at when it is done.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.trace: list[str] = []
        self.dirty: set[Path] = set()
        self.failed: set[Path] = set()
        self.closed_dirty: set[Path] = set()
        self.unsynced_dirs: set[Path] = set()
        self._paths: dict[int, Path] = {}

    def create(self, path: Path) -> int:
        fd = super().create(path)
        self._paths[fd] = path
        self.unsynced_dirs.add(path.parent)
        self.trace.append("create")
        return fd

    def close(self, fd: int) -> None:
        path = self._paths.pop(fd, None)
        super().close(fd)
        if path in self.dirty:
            self.closed_dirty.add(path)

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self.dirty.add(self._paths[fd])
        self.trace.append("write")
        return super().pwritev(fd, buffers, offset)

    def fsync(self, fd: int) -> None:
        path = self._paths[fd]
        assert path not in self.failed, "an fsync was tried again on a file where it had failed"
        self.trace.append("fsync")
        try:
            super().fsync(fd)
        except OSError:
            self.failed.add(path)
            raise
        self.dirty.discard(path)

    def fsync_dir(self, path: Path) -> None:
        self.trace.append("fsync_dir")
        super().fsync_dir(path)
        self.unsynced_dirs.discard(path)

    def rename(self, source: Path, target: Path) -> None:
        assert source not in self.dirty, "a file was renamed with bytes written after its last fsync"
        self.trace.append("rename")
        super().rename(source, target)
        self.unsynced_dirs |= {source.parent, target.parent}

    def unlink(self, path: Path) -> None:
        self.trace.append("unlink")
        super().unlink(path)
        self.dirty.discard(path)
        self.closed_dirty.discard(path)


class FaultyFileSystem(Faulty):
    """The real file system, failing."""


class FaultyDisk(Recording, Faulty, MemoryFileSystem):
    """The disk in memory, watched and failing."""


class RecordingFileSystem(Recording):
    """The real file system, watched."""
