"""What a pull does with the cache while it holds it: take files out, find chunks, put files in."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from blake3 import blake3

from regsvc.client import linking
from regsvc.client.cache import bases, notes, versions
from regsvc.client.cache.layout import Layout, remove
from regsvc.client.cache.pruning import MAX_FILES, room
from regsvc.content.recipe import ChunkRef, Recipe, RecipeError

Mode: TypeAlias = Literal["reflink", "hardlink"]

SMALL = 64 << 10
"""Bytes up to which a file is read each time rather than noted, and copied rather than reflinked: both are cheaper."""
_BLOCK = 1 << 20
_SPARE = 20
"""A copy into the cache leaves at least one part in so many of its file system free."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewFile:
    """A file that a pull has proven."""

    location: str
    digest: bytes
    size: int
    """Bytes."""
    chunks: Iterable[tuple[bytes, int]]
    """Digest and size of each, in order."""


class Entries:
    """The cache, held by `Cache.using`. From any thread; no method raises `OSError`: a pull goes on without."""

    def __init__(self, layout: Layout, limit: int, *, copies: bool = True) -> None:
        self.added = 0
        """Files that were put in."""
        self._layout = layout
        self._limit = limit
        self._copies = copies
        """Files may be copied into it where they cannot be linked."""
        self._reflinks = True
        """False once a file system could not: a pull stays on one."""

    def link(self, digest: bytes, size: int, dest: str, *, hardlink: bool = False) -> Mode | None:
        """Make `dest`, which must not exist, the cached file, without copying; None when that cannot be.

        The bytes are those of the digest: nobody has written to the file since they were proven, or it is read
        and hashed here. A file with other bytes is forgotten.
        """
        if size <= SMALL and not hardlink:
            return None
        path = self._layout.path("files", digest)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            log.debug("not in the cache: %s", error)
            return None
        try:
            status = os.fstat(descriptor)
            if not self._proven(descriptor, digest, size, status):
                self.forget(digest)
                return None
            mode = self._link(descriptor, path, size, dest, hardlink)
            if mode is not None and not _same(status, os.fstat(descriptor), os.lstat(dest), mode):
                os.unlink(dest)
                mode = None
            return mode
        except OSError as error:
            log.debug("not linked from the cache: %s", error)
            return None
        finally:
            os.close(descriptor)

    def find(self, digest: bytes, size: int) -> str | None:
        """Where a file of this digest should be, to be copied from; or None.

        Whoever copies it hashes it, and says `forget` when it is another.
        """
        path = self._layout.path("files", digest)
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            self.forget(digest)
            return None
        return path

    def find_chunks(self, wanted: Mapping[bytes, int]) -> dict[bytes, bases.ChunkPlace]:
        """Where those of the `wanted` chunks (digest to size) should be that the cache has, as `bases.find_chunks`."""
        try:
            return bases.find_chunks(self._layout, wanted)
        except OSError as error:
            log.debug("no chunks from the cache: %s", error)
            return {}

    def add(self, version: bytes, reference: str, files: Iterable[NewFile]) -> bool:
        """Keep the proven files of a version, once all of them are, and note that it was used.

        False, and none of them kept, when there is no room: on disk, or because they exceed the cache's limit
        by themselves. What is in the cache stays as it is. Costs no second copy where the file system has
        reflinks or hardlinks; a copy is not read again: it was made of bytes just proven, as the file itself was.
        """
        inserted: list[bytes] = []
        try:
            listed = self._insert_all(files, inserted)
            if listed is not None:
                versions.record(self._layout, version, reference, listed)
                self.added += len(inserted)
                return True
            log.debug("%s exceeds the limit of the cache", reference)
        except OSError as error:
            log.debug("%s was not cached: %s", reference, error)
        for digest in inserted:
            self.forget(digest)
        return False

    def touch(self, version: bytes) -> None:
        """Note that a version was used, if it is there."""
        with contextlib.suppress(OSError):
            versions.touch(self._layout, version)

    def forget(self, digest: bytes) -> None:
        """Drop a file: its bytes are not those of its name."""
        for path in (self._layout.path("files", digest), self._layout.path("notes", digest)):
            try:
                remove(path)
            except OSError as error:
                log.debug("not dropped from the cache: %s", error)

    def _proven(self, descriptor: int, digest: bytes, size: int, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        path = self._layout.path("notes", digest)
        note = notes.read(path) if size > SMALL else None
        if note is not None and notes.trusted(note, status):
            return True
        if hash_file(descriptor, size) != digest:
            return False
        if note is not None:  # touched, or from before a restart: need not be read the next time
            notes.settle(status)
            seen = notes.sight(os.fstat(descriptor))
            if seen != notes.sight(status):
                return False
            with contextlib.suppress(OSError):  # no room: it will be read again
                self._layout.publish(notes.pack(seen, note.recipe), path)
        return True

    def _link(self, descriptor: int, path: str, size: int, dest: str, hardlink: bool) -> Mode | None:
        if self._reflinks and size > SMALL:
            if linking.reflink(descriptor, dest):
                return "reflink"
            self._reflinks = False
        if not hardlink:
            return None
        if size > SMALL:
            notes.settle(os.fstat(descriptor))
        return "hardlink" if linking.hardlink(path, dest) else None

    def _insert_all(self, files: Iterable[NewFile], inserted: list[bytes]) -> dict[bytes, int] | None:
        """Digest and size of the files, all of them in the cache now; None if they exceed its limit."""
        listed: dict[bytes, int] = {}
        total = 0
        for file in files:
            if file.size == 0 or file.digest in listed:
                continue
            total += room(file.size)
            if total > self._limit or len(listed) == MAX_FILES:
                return None
            if self._insert(file):
                inserted.append(file.digest)
            listed[file.digest] = file.size
        return listed

    def _insert(self, file: NewFile) -> bool:
        """Put a file in; false when it is there. Raises `OSError`."""
        if self._holds(file):
            return False
        path = self._layout.place("files", file.digest)
        remove(path)
        try:
            self._fill(file, path)
        except FileExistsError:  # another pull was first, and notes what it sees
            return False
        try:
            self._note(file, path)
        except BaseException:
            self.forget(file.digest)
            raise
        return True

    def _note(self, file: NewFile, path: str) -> None:
        """Check what was put in, and write down what is seen of it. Raises `OSError`."""
        recipe = _recipe(file)
        status = os.lstat(path)
        if recipe is not None and status.st_nlink > 1:  # somebody else can write to it already
            notes.settle(status)
            status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            raise OSError(errno.ESTALE, "the file was changed after it was proven", file.location)
        if recipe is not None:
            noted = notes.pack(notes.sight(status), recipe)
            self._layout.publish(noted, self._layout.place("notes", file.digest))

    def _holds(self, file: NewFile) -> bool:
        try:
            status = os.lstat(self._layout.path("files", file.digest))
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            return False
        if file.size <= SMALL:
            return True
        note = notes.read(self._layout.path("notes", file.digest))
        return note is not None and notes.unchanged(note, status)

    def _fill(self, file: NewFile, path: str) -> None:
        """Give the cache the bytes. Raises `FileExistsError` if somebody did meanwhile, and `OSError`."""
        written = self._layout.incoming()
        if self._reflinks and file.size > SMALL:
            with open(file.location, "rb") as source:
                self._reflinks = linking.reflink(source.fileno(), written)
            if self._reflinks:
                os.replace(written, path)
                return
        if linking.hardlink(file.location, path):
            return
        if not self._copies:
            raise OSError(errno.EXDEV, "on another file system than the cache", file.location)
        _check_room(self._layout.root, file.size)
        try:
            shutil.copyfile(file.location, written)
            os.replace(written, path)
        except BaseException:
            remove(written)
            raise


def hash_file(descriptor: int, size: int) -> bytes:
    """BLAKE3 of an open file of about `size` bytes. Read, not mapped: a file that shrinks under a mapping kills."""
    hasher = blake3()
    buffer = bytearray(min(size, _BLOCK) or 1)
    view = memoryview(buffer)
    offset = 0
    while count := os.preadv(descriptor, [buffer], offset):
        hasher.update(view[:count])
        offset += count
    return hasher.digest()


def _same(before: os.stat_result, after: os.stat_result, dest: os.stat_result, mode: Mode) -> bool:
    """What was linked is the file that was checked, and nobody wrote to it in between."""
    seen = notes.sight(before)
    return seen == notes.sight(after) and (mode == "reflink" or seen == notes.sight(dest))


def _recipe(file: NewFile) -> bytes | None:
    """The packed recipe to note; None for a small file of one chunk, and for one of too many."""
    chunks = tuple(ChunkRef(*chunk) for chunk in islice(file.chunks, notes.MAX_CHUNKS + 1))
    if (file.size <= SMALL and len(chunks) == 1) or len(chunks) > notes.MAX_CHUNKS:
        return None
    try:
        return Recipe(file.digest, file.size, chunks).pack()
    except RecipeError:
        log.debug("the chunks of %s do not make up the file", file.location)
        return None


def _check_room(folder: str, size: int) -> None:
    """Raise `OSError` when a copy of `size` bytes would leave the disk as good as full for everybody else."""
    system = os.statvfs(folder)
    if system.f_bavail * system.f_frsize - size < system.f_blocks * system.f_frsize // _SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
