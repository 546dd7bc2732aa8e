"""Finds the files that a push stores, and refuses what a version cannot hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regsvc.content import manifest
from regsvc.errors import InvalidArgument, PathInvalid


@dataclass(frozen=True)
class SourceFile:
    """One file to push, as it was when the folder was scanned."""

    path: str
    """Within the version."""
    location: str
    """On this machine."""
    size: int
    """Bytes."""
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def scan(root: str | os.PathLike[str], *, follow_symlinks: bool = False) -> list[SourceFile]:
    """The files under `root`, or `root` itself if it is a file, in manifest order.

    Symlinks are followed inside `root`; one that leads outside is refused unless `follow_symlinks`, one that
    loops is refused always. Empty folders are left out. Raises `PathInvalid` with the path for links, devices,
    sockets and names that a version cannot hold, `InvalidArgument` when there is no file, `OSError` when
    something cannot be read.
    """
    top = os.path.abspath(root)
    status = os.stat(top)
    if stat.S_ISDIR(status.st_mode):
        walk = _Walk(os.path.realpath(top), follow_symlinks)
        found = sorted(walk.folder(top, "", ((status.st_dev, status.st_ino),)), key=lambda file: file.path)
    else:
        found = [_file(Path(top).name, top, status)]
    if not found:
        raise InvalidArgument(f"{os.fspath(root)} holds no file", path=os.fspath(root))
    try:
        manifest.check_tree(file.path for file in found)
    except manifest.PathError as error:
        raise PathInvalid(str(error)) from None
    return found


@dataclass(frozen=True)
class _Walk:
    inside: str
    """Real path of the pushed folder: links may lead to anything in it."""
    follow_symlinks: bool

    def folder(self, location: str, path: str, above: tuple[tuple[int, int], ...]) -> Iterator[SourceFile]:
        """Files below one folder; `above` are device and inode of it and of the folders it was reached by."""
        with os.scandir(location) as entries:
            for entry in entries:
                yield from self._entry(entry, f"{path}/{entry.name}" if path else entry.name, above)

    def _entry(
        self, entry: os.DirEntry[str], path: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[SourceFile]:
        _check(path)
        if entry.is_symlink():
            self._check_link(entry.path, path)
        status = entry.stat()
        if not stat.S_ISDIR(status.st_mode):
            yield _file(path, entry.path, status)
            return
        this = (status.st_dev, status.st_ino)
        if this in above:
            raise PathInvalid(f"symlink {path!r} leads to a folder that it is in", path=path)
        yield from self.folder(entry.path, path, (*above, this))

    def _check_link(self, location: str, path: str) -> None:
        try:
            target = os.path.realpath(location, strict=True)
        except OSError as error:
            raise PathInvalid(f"symlink {path!r} cannot be followed: {error.strerror}", path=path) from None
        if not self.follow_symlinks and os.path.commonpath((self.inside, target)) != self.inside:
            raise PathInvalid(
                f"symlink {path!r} leads outside the pushed folder (follow_symlinks allows it)", path=path
            )


def _file(path: str, location: str, status: os.stat_result) -> SourceFile:
    _check(path)
    if not stat.S_ISREG(status.st_mode):
        raise PathInvalid(f"{path!r} is no regular file", path=path)
    return SourceFile(
        path,
        location,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_dev,
    )


def _check(path: str) -> None:
    try:
        manifest.check_path(path)
    except manifest.PathError as error:
        raise PathInvalid(str(error), path=path.encode("unicode_escape").decode("ascii")) from None
