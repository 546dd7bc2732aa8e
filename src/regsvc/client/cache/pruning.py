"""Keeps the cache within its limit, and sweeps what the killed left behind."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.client.cache import versions
from regsvc.client.cache.layout import Layout, remove

_BLOCK = 4096
MAX_FILES = 500_000
"""In the cache: it bounds the memory and time of pruning, and the inodes that tiny files take."""


@dataclass(frozen=True)
class Pruned:
    """What was removed."""

    versions: int
    files: int
    bytes: int
    """Of those files. One that is also linked elsewhere frees no room yet."""


def room(size: int) -> int:
    """Bytes that a file of `size` bytes counts for: whole blocks, as on disk."""
    return -(-size // _BLOCK) * _BLOCK


def prune(layout: Layout, limit: int) -> Pruned:
    """Keep the last used versions that together fit into `limit` bytes, and remove everything else.

    Only for who has the cache alone: then what no version names is rubbish. May be killed anywhere: lists of
    versions go first, so what is left of them is rubbish too. Raises `OSError`.
    """
    keep, fitting = _fitting(layout, limit)
    dropped = 0
    for digest in list(layout.version_names()):
        if digest not in fitting:
            dropped += remove(layout.version(digest)) >= 0
    files = size = 0
    for digest in layout.names("files"):
        if digest not in keep:
            removed = remove(layout.path("files", digest))
            files, size = files + (removed >= 0), size + max(removed, 0)
    for digest in layout.names("notes"):
        if digest not in keep:
            remove(layout.path("notes", digest))
    for path in layout.leftovers():
        remove(path)
    return Pruned(dropped, files, size)


def _fitting(layout: Layout, limit: int) -> tuple[set[bytes], set[bytes]]:
    """Digests of the files to keep, and of their versions."""
    keep: set[bytes] = set()
    fitting: set[bytes] = set()
    total = 0
    for version in versions.newest_first(layout):
        added = [file for file in version.files if file not in keep]
        total += sum(room(version.files[file]) for file in added)
        if total > limit or len(keep) + len(added) > MAX_FILES:
            break
        keep.update(added)
        fitting.add(version.digest)
    return keep, fitting
