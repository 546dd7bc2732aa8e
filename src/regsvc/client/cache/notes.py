"""What was seen of a cached file when its bytes were proven: while that has not changed, it may be linked unread.

A note, integers little-endian: magic `RGC` and version 1 (4 bytes), boot id (16), size (u64), mtime in ns (i64),
inode (u64), the packed recipe (`content/recipe.py`), and the BLAKE3 of all that (32).
"""

from __future__ import annotations

import os
import struct
import time
import uuid
from functools import cache
from typing import NamedTuple

from blake3 import blake3

from regsvc.content.recipe import Recipe, RecipeError

MAGIC = b"RGC\x01"
MAX_CHUNKS = 1 << 17
"""A file of more (128 GiB in chunks of 1 MiB) has no note: it bounds what reading one takes."""

_HEAD = struct.Struct("<4s16sQqQ")
_MAX_BYTES = _HEAD.size + 48 + 36 * MAX_CHUNKS + 32
_TICK_NS = 20_000_000
"""Two writes closer than a tick of the kernel's clock (at most 10 ms) may leave the same mtime."""


class Sight(NamedTuple):
    """What tells whether a file was changed."""

    boot: bytes
    """The kernel's boot id: a power cut can leave other bytes with the same size and mtime."""
    size: int
    mtime_ns: int
    inode: int


class Note(NamedTuple):
    """One note as it was read."""

    sight: Sight
    recipe: bytes
    """Packed."""

    def chunks(self) -> Recipe | None:
        """The file's recipe, or None if this version of regsvc cannot read it."""
        try:
            return Recipe.unpack(self.recipe)
        except RecipeError:
            return None


def sight(status: os.stat_result) -> Sight:
    """What a stat shows."""
    return Sight(_boot(), status.st_size, status.st_mtime_ns, status.st_ino)


def unchanged(note: Note, status: os.stat_result) -> bool:
    """Nobody has written to the file since the note was made, unless power was lost."""
    return note.sight[1:] == sight(status)[1:]


def trusted(note: Note, status: os.stat_result) -> bool:
    """The file need not be read to know that its bytes are right."""
    return bool(note.sight.boot.strip(b"\0")) and note.sight == sight(status)


def settle(status: os.stat_result) -> None:
    """Wait until the next change of the file will show in its mtime: for up to a tick, if it is that new."""
    age = time.time_ns() - status.st_mtime_ns
    if 0 <= age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)


def pack(seen: Sight, recipe: bytes) -> bytes:
    """The bytes of a note."""
    body = _HEAD.pack(MAGIC, *seen) + recipe
    return body + blake3(body).digest()


def read(path: str) -> Note | None:
    """The note in a file; None if there is none, or none that is whole."""
    try:
        with open(path, "rb") as file:
            packed = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    body, proof = packed[:-32], packed[-32:]
    if len(body) < _HEAD.size or len(packed) > _MAX_BYTES or blake3(body).digest() != proof:
        return None
    magic, *seen = _HEAD.unpack_from(body)
    return Note(Sight(*seen), body[_HEAD.size :]) if magic == MAGIC else None


@cache
def _boot() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return uuid.UUID(file.read().strip()).bytes
    except (OSError, ValueError):
        return bytes(16)  # no kernel that tells: notes are never trusted
