"""A file's recipe: which chunks, in which order, are the file.

Packed, integers little-endian: magic `RGR` and version 1 (4 bytes), BLAKE3 of the file (32), size of the file
(u64), number of chunks n (u32), then n times the BLAKE3 of a chunk (32) and its raw size (u32).
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from regsvc.content.buffer import Buffer
from regsvc.content.plans import MAX_CHUNK

MAGIC = b"RGR\x01"
"""What a packed recipe starts with; the last byte is the version of the form."""

_HEAD = struct.Struct("<4s32sQI")
_CHUNK = struct.Struct("<32sI")


class RecipeError(ValueError):
    """A recipe that contradicts itself, or bytes that are none; the message says why."""


class ChunkRef(NamedTuple):
    """One chunk of a file."""

    digest: bytes
    """BLAKE3 of the raw chunk, 32 bytes."""
    size: int
    """Raw bytes, 1 to `MAX_CHUNK`."""


class Recipe(NamedTuple):
    """The chunks of one file, in order; their sizes add up to the file's."""

    digest: bytes
    """BLAKE3 of the whole file, 32 bytes."""
    size: int
    """Bytes of the whole file."""
    chunks: tuple[ChunkRef, ...]

    def pack(self) -> bytes:
        """The binary form. Raises `RecipeError` if sizes or digests do not fit together."""
        _check(self)
        head = _HEAD.pack(MAGIC, self.digest, self.size, len(self.chunks))
        return head + b"".join(_CHUNK.pack(*chunk) for chunk in self.chunks)

    @classmethod
    def of(cls, digest: bytes, chunks: Iterable[ChunkRef]) -> "Recipe":
        """The recipe of these chunks; the file's size is their sum."""
        listed = tuple(chunks)
        return cls(digest, sum(chunk.size for chunk in listed), listed)

    @classmethod
    def unpack(cls, packed: Buffer) -> "Recipe":
        """The recipe that `pack` wrote. Raises `RecipeError` on anything else, and on bytes too many."""
        view = memoryview(packed).cast("B")
        if len(view) < _HEAD.size:
            raise RecipeError(f"recipe of {len(view)} bytes, shorter than its head")
        magic, digest, size, count = _HEAD.unpack_from(view)
        if magic != MAGIC:
            raise RecipeError(f"recipe starts with {magic!r}, not {MAGIC!r}")
        expected = _HEAD.size + count * _CHUNK.size
        if len(view) != expected:
            raise RecipeError(f"recipe of {count} chunks is {len(view)} bytes long, not {expected}")
        recipe = cls(digest, size, tuple(map(ChunkRef._make, _CHUNK.iter_unpack(view[_HEAD.size :]))))
        _check(recipe)
        return recipe


def _check(recipe: Recipe) -> None:
    if len(recipe.digest) != 32:
        raise RecipeError(f"digest of the file is {len(recipe.digest)} bytes long")
    if len(recipe.chunks) >= 1 << 32:
        raise RecipeError(f"recipe of {len(recipe.chunks)} chunks")
    total = 0
    for number, (digest, size) in enumerate(recipe.chunks):
        if len(digest) != 32:
            raise RecipeError(f"digest of chunk {number} is {len(digest)} bytes long")
        if not 1 <= size <= MAX_CHUNK:
            raise RecipeError(f"chunk {number} is {size} bytes long, not 1 to {MAX_CHUNK}")
        total += size
    if total != recipe.size:
        raise RecipeError(f"chunks add up to {total} bytes, the file is {recipe.size}")
