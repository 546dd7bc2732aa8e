"""The folder that a pull fills: who may replace it, and how it is replaced in one step.

Beside a folder `model` lie `.model.regsvc.json`, the marker of what a pull put there, and while a pull is under
way `.model.regsvc-partial/` with the new tree and `.model.regsvc.lock`. Nothing of ours is in the folder itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from regsvc.errors import FailedPrecondition, InvalidArgument

_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100


@dataclass(frozen=True)
class PulledFile:
    """One file as a pull left it."""

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Marker:
    """What a pull put into a folder."""

    reference: str
    digest: str
    """Of the version."""
    server: str
    time: str
    files: dict[str, PulledFile]


class Destination:
    """A folder to pull into, and what lies beside it. `dest` may be a symlink to the folder."""

    def __init__(self, dest: str | os.PathLike[str]) -> None:
        if not os.fspath(dest):
            raise InvalidArgument("the destination is empty")
        self.path = os.path.realpath(dest)
        self.parent, self.name = os.path.split(self.path)
        if not self.name:
            raise FailedPrecondition("the root folder cannot be pulled into")
        beside = os.path.join(self.parent, f".{self.name}.regsvc")
        self._marker = f"{beside}.json"
        self._lock = f"{beside}.lock"
        self._partial = f"{beside}-partial"
        self._state = os.path.join(self._partial, "state.json")
        self._next_marker = os.path.join(self._partial, "marker.json")
        self.tree = os.path.join(self._partial, "tree")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one pull. Raises `FailedPrecondition` when another process has it."""
        os.makedirs(self.parent, exist_ok=True)
        descriptor = self._take_lock()
        try:
            self._settle_interrupted()
            yield
        finally:
            try:
                os.unlink(self._lock)
            finally:
                os.close(descriptor)

    def inspect(self) -> Marker | None:
        """What an earlier pull left, unchanged; None when there is nothing to lose.

        Raises `FailedPrecondition` when the folder holds anything else.
        """
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise FailedPrecondition(f"{self.path} is not a folder", path=self.path)
        if os.path.ismount(self.path):
            raise FailedPrecondition(
                f"{self.path} is a mount point and cannot be replaced in one step; pull into a folder in it",
                path=self.path,
            )
        if not os.listdir(self.path):
            return None
        marker = _read_marker(self._marker)
        if marker is None:
            raise FailedPrecondition(
                f"{self.path} is not empty and was not made by a pull; nothing was changed", path=self.path
            )
        odd = _first_difference(self.path, marker)
        if odd is not None:
            raise FailedPrecondition(
                f"{os.path.join(self.path, odd)} was changed since it was pulled; nothing was changed",
                path=self.path,
            )
        return marker

    def stage(self, digest: str) -> bool:
        """Make the folder for the new tree; true when it holds what an earlier pull of this version got."""
        if _read_json(self._state) == {"digest": digest} and os.path.isdir(self.tree):
            return True
        self.discard()
        os.mkdir(self._partial, 0o700)
        os.mkdir(self.tree)
        _write_json(self._state, {"digest": digest})
        return False

    def discard(self) -> None:
        """Drop what an interrupted pull left."""
        if os.path.lexists(self._partial):
            shutil.rmtree(self._partial)

    def replace(self, marker: Marker) -> None:
        """Put the staged tree in the folder's place, in one step, and write down what it is."""
        self.inspect()
        inode = os.stat(self.tree).st_ino
        _write_json(self._next_marker, {"tree": inode, "marker": asdict(marker)})
        _sync_folder(self._partial)
        if not os.path.isdir(self.path) or not os.listdir(self.path):
            os.rename(self.tree, self.path)  # an empty folder may be renamed over
        elif not _exchange(self.tree, self.path):
            os.rename(self.path, os.path.join(self._partial, "old"))
            os.rename(self.tree, self.path)
        self._settle(marker)

    def _settle(self, marker: Marker) -> None:
        """The tree is in place: make its marker the folder's, and drop what is left over."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._state)  # what is in the partial folder now is no beginning of a pull
        _write_json(f"{self._next_marker}.final", asdict(marker))
        os.replace(f"{self._next_marker}.final", self._marker)
        _sync_folder(self.parent)
        shutil.rmtree(self._partial)

    def _settle_interrupted(self) -> None:
        """Finish what a pull that was killed between the swap and its end left undone."""
        found = _read_json(self._next_marker)
        marker = _marker_from(found.get("marker")) if found is not None else None
        if found is None or marker is None:
            return
        old = os.path.join(self._partial, "old")
        if not os.path.lexists(self.path) and os.path.isdir(old) and _inode(self.tree) == found["tree"]:
            os.rename(self.tree, self.path)  # killed between the two renames
        if _inode(self.path) == found["tree"]:
            self._settle(marker)
        else:
            os.unlink(self._next_marker)

    def _take_lock(self) -> int:
        while True:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise FailedPrecondition(
                    f"another pull into {self.path} is under way", path=self.path
                ) from None
            # Its holder removes the file: what we locked may not be what is there now.
            if _inode(self._lock) == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)


def _first_difference(folder: str, marker: Marker) -> str | None:
    """A path in `folder` that is not as the marker says, if there is one. Compares sizes and times only."""
    expected = dict(marker.files)
    folders = {str(above) for path in expected for above in PurePosixPath(path).parents}
    for location, names, files in os.walk(folder):
        inner = os.path.relpath(location, folder)
        for name in (*names, *files):
            path = name if inner == "." else f"{inner}/{name}"
            status = os.lstat(os.path.join(location, name))
            if stat.S_ISDIR(status.st_mode):
                if path not in folders:
                    return path
                continue
            known = expected.pop(path, None)
            if known is None or not stat.S_ISREG(status.st_mode):
                return path
            if (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns):
                return path
    return next(iter(expected), None)


def _exchange(left: str, right: str) -> bool:
    """Swap two folders in one step; false when kernel, C library or file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    paths = (os.fsencode(left), os.fsencode(right))
    if libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.EINVAL, errno.ENOSYS}:
        return False
    raise OSError(code, os.strerror(code), right)


def _inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def _read_marker(path: str) -> Marker | None:
    return _marker_from(_read_json(path))


def _marker_from(found: Any) -> Marker | None:
    try:
        files = {path: PulledFile(**file) for path, file in found["files"].items()}
        return Marker(**{**found, "files": files})
    except (TypeError, KeyError, AttributeError):
        return None


def _read_json(path: str) -> Any:
    """The document, or None if there is none, or only half of one."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _write_json(path: str, document: object) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
