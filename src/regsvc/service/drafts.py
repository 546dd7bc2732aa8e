"""A file of an upload while it arrives: its chunks so far and the proof of its digest."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from blake3 import blake3

from regsvc.content.buffer import Buffer
from regsvc.content.chunking import Cutter
from regsvc.errors import Unavailable

DIGEST = 32
EMPTY_DIGEST: bytes = blake3(b"").digest()

ReadChunk = Callable[[bytes], bytes]
"""Raw bytes of a chunk by its digest."""


class Pieces:
    """The chunks of a file in order, 36 bytes each whatever the size of the file."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._sizes = array("I")
        self.size = 0
        """Bytes of all of them."""

    def __len__(self) -> int:
        return len(self._sizes)

    def append(self, digest: bytes, size: int) -> None:
        """Add the next chunk."""
        self._digests += digest
        self._sizes.append(size)
        self.size += size

    def digest(self, index: int) -> bytes:
        """BLAKE3 of one chunk."""
        return bytes(self._digests[index * DIGEST : (index + 1) * DIGEST])

    def size_at(self, index: int) -> int:
        """Bytes of one chunk."""
        return self._sizes[index]

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        for index, size in enumerate(self._sizes):
            yield self.digest(index), size


@dataclass
class Draft:
    """One file of an upload. Its session's lock guards it."""

    path: str
    pieces: Pieces = field(default_factory=Pieces)
    cutter: Cutter | None = None
    """Cuts raw bytes, when the file comes by WriteFile; holds what does not make a chunk yet."""
    received: int = 0
    """Bytes given to the cutter since the file's start."""
    digest: bytes | None = None
    """Of the whole file, once it is complete and proven."""
    proven_file: int | None = None
    """Id of the same file in the catalog, when its digest was proven before."""
    owner: object | None = None
    """The stream that writes it; a newer one takes over."""
    has_news: bool = False
    """Some of its bytes arrived with this upload; the rest was in the store."""
    saved: int = 0
    """Pieces whose place in the file the catalog remembers."""
    saved_size: int = 0
    """Bytes of those."""
    abandoned: Callable[[], bool] = bool
    """Whether nobody waits for the hash any more: the client has gone, or the server stops."""
    _hasher: blake3 = field(default_factory=blake3)
    _hashed: int = 0

    @property
    def complete(self) -> bool:
        """The whole file has arrived and its digest is known."""
        return self.digest is not None

    @property
    def committed_size(self) -> int:
        """Contiguous bytes from the start that need not be sent again."""
        return self.received if self.cutter is not None else self.pieces.size

    def hash_arrived(self, raw: Buffer, read: ReadChunk) -> None:
        """Hash up to the newest piece, whose raw bytes are at hand.

        A file without news may be one that the store has already proven, so hashing waits for the first
        chunk that really arrived; from then on it keeps up.
        """
        self.has_news = True
        self._hash_until(len(self.pieces) - 1, read)
        self._hasher.update(raw)
        self._hashed += 1

    def hash_all(self, read: ReadChunk) -> bytes:
        """The digest of the pieces so far, from what was hashed as it arrived and the chunks in the store."""
        self._hash_until(len(self.pieces), read)
        return self._hasher.digest()

    def _hash_until(self, end: int, read: ReadChunk) -> None:
        last, raw = b"", b""
        while self._hashed < end:
            if self.abandoned():
                raise Unavailable("the upload was left; resume it")
            digest = self.pieces.digest(self._hashed)
            if digest != last:  # runs of one chunk, such as zeros, are read once
                last, raw = digest, read(digest)
            self._hasher.update(raw)
            self._hashed += 1

    def restart(self) -> None:
        """Forget the file's bytes: it starts anew at 0."""
        self.pieces = Pieces()
        self.cutter, self.received = None, 0
        self.digest, self.proven_file = None, None
        self.saved, self.saved_size = 0, 0
        self.has_news = False
        self._hasher, self._hashed = blake3(), 0
