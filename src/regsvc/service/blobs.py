"""Blobs that the server keeps for itself beside the files of versions: sealed logs, attachments of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blake3 import blake3

from regsvc.catalog import chunks
from regsvc.catalog.chunks import NewFile
from regsvc.catalog.database import Catalog, Transaction
from regsvc.content import codec
from regsvc.content.chunking import Chunk, Cutter
from regsvc.errors import Unavailable
from regsvc.service.drafts import Pieces
from regsvc.service.packing import Packer


class BlobWriter:
    """Cuts, encodes and packs one blob as it comes. A context manager; what was not committed is dropped."""

    def __init__(self, catalog: Catalog, packer: Packer):
        self._catalog = catalog
        self._packer = packer
        self._cutter, self._hasher, self._pieces = Cutter(), blake3(), Pieces()
        self.size = 0
        """Bytes so far."""

    @property
    def digest(self) -> bytes:
        """BLAKE3 of what was written so far."""
        return self._hasher.digest()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Raises `StorageFull`."""
        self._hasher.update(data)
        self.size += len(data)
        self._store(self._cutter.feed(data))

    def commit(self, note: Callable[[Transaction, int], None]) -> None:
        """Make the blob durable, then tell `note` its file id, in the transaction that makes it known."""
        self._store(self._cutter.finish())
        packs = self._packer.flush()

        def index(tx: Transaction) -> None:
            for pack in packs:
                chunks.add_pack(tx, pack)
            wanted = {digest for digest, _ in self._pieces}
            located = chunks.locate(tx, list(wanted))
            if len(located) < len(wanted):
                # Chunks that were there were not written again, and a collection, or damage, took them since.
                raise Unavailable("chunks of what is written are gone; send it again")
            places, offset = [], 0
            for digest, length in self._pieces:
                places.append((offset, located[digest].id))
                offset += length
            files = chunks.add_files(tx, [NewFile(self.digest, self._pieces.size, places)])
            note(tx, files[self.digest])

        self._catalog.write(index)
        self._packer.indexed()

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._packer.discard()

    def _store(self, cut: Sequence[Chunk]) -> None:
        for chunk in cut:
            raw = bytes(chunk.data)
            digest = blake3(raw).digest()
            # A lock file or a diff is often the one of the version before.
            if not self._catalog.read(lambda db, digest=digest: chunks.locate(db, [digest])):  # type: ignore[misc]
                self._packer.add([(digest, len(raw), codec.encode(raw, chunk.layout))])
            self._pieces.append(digest, len(raw))
