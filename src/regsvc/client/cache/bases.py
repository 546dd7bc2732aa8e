"""Finds wanted chunks in what is cached, wherever they stand: most of a new version is in the one before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from regsvc.client.cache import notes, versions
from regsvc.client.cache.layout import Layout


class ChunkPlace(NamedTuple):
    """Where a chunk should be; whoever reads it there hashes it, and says `forget(file)` if it is not."""

    file: bytes
    """Digest of the cached file."""
    location: str
    offset: int
    size: int


def find_chunks(layout: Layout, wanted: Mapping[bytes, int]) -> dict[bytes, ChunkPlace]:
    """Places of those of the `wanted` chunks (digest to size in bytes) that are in a cached file.

    They come file after file, in rising order within each. Of versions the last used is looked through first,
    and no more are when all is found. Takes memory for one file's recipe at a time, and for what it gives.
    Raises `OSError`.
    """
    found = dict(_whole_files(layout, wanted))
    left = {digest: size for digest, size in wanted.items() if digest not in found}
    for file in _with_note(layout) if left else ():
        for place_of, place in _inside(layout, file, left):
            found[place_of] = place
            del left[place_of]
        if not left:
            break
    return found


def _whole_files(layout: Layout, wanted: Mapping[bytes, int]) -> Iterator[tuple[bytes, ChunkPlace]]:
    # Listing folders costs less than asking for thousands of names one by one.
    for digest in layout.names("files", {f"{digest[0]:02x}" for digest in wanted}):
        size = wanted.get(digest)
        if size is not None and _has_size(layout, digest, size):
            yield digest, ChunkPlace(digest, layout.path("files", digest), 0, size)


def _with_note(layout: Layout) -> Iterator[bytes]:
    """Files whose recipe is known, each once, those of the version that was used last first."""
    noted = set(layout.names("notes"))
    for version in versions.newest_first(layout):
        if not noted:
            return
        for file in version.files:
            if file in noted:
                noted.remove(file)
                yield file


def _inside(layout: Layout, file: bytes, wanted: Mapping[bytes, int]) -> Iterable[tuple[bytes, ChunkPlace]]:
    note = notes.read(layout.path("notes", file))
    recipe = note.chunks() if note is not None else None
    if recipe is None or recipe.digest != file:
        return ()
    location = layout.path("files", file)
    found: dict[bytes, ChunkPlace] = {}
    offset = 0
    for digest, size in recipe.chunks:
        if wanted.get(digest) == size and digest not in found:
            found[digest] = ChunkPlace(file, location, offset, size)
        offset += size
    return found.items() if found and _has_size(layout, file, recipe.size) else ()


def _has_size(layout: Layout, file: bytes, size: int) -> bool:
    try:
        status = os.lstat(layout.path("files", file))
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size
