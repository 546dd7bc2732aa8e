"""Raw chunks that have just arrived, kept until the recipe that names them has been hashed."""

from __future__ import annotations

import threading
from collections import OrderedDict


class RecentChunks:
    """A bounded cache of raw chunks by digest, shared by all uploads; the oldest go first."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._size = 0
        self._chunks: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()  # guards both

    def put(self, digest: bytes, raw: bytes) -> None:
        """Remember a chunk."""
        with self._lock:
            if digest not in self._chunks:
                self._chunks[digest] = raw
                self._size += len(raw)
                while self._size > self._capacity:
                    _, oldest = self._chunks.popitem(last=False)
                    self._size -= len(oldest)

    def take(self, digest: bytes) -> bytes | None:
        """The chunk, which is forgotten, or None. A second file that wants it reads it from its pack."""
        with self._lock:
            raw = self._chunks.pop(digest, None)
            if raw is not None:
                self._size -= len(raw)
            return raw
