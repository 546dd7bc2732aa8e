"""Fill packs with chunks, and make them durable in the background while the next one fills.

The order of a commit: pack written, fsynced, renamed, directory fsynced (`PackWriter.seal`), then the
catalog's transaction. A chunk is *fresh* from its append to that transaction: only the packer that wrote it
can find it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future

import zstandard

from regsvc.catalog import chunks
from regsvc.catalog.chunks import PackFacts
from regsvc.catalog.database import Catalog, Transaction
from regsvc.content import codec
from regsvc.content.buffer import Buffer
from regsvc.content.codec import Codec, Frame
from regsvc.errors import StorageFull, UploadClosed
from regsvc.store import (
    MAX_RECORDS,
    PACK_TARGET,
    Kind,
    NewRecord,
    PackStore,
    PackWriter,
    PoisonedPack,
    Record,
    SealedPack,
    StoreFull,
)

OnSealed = Callable[[Transaction, frozenset[bytes]], None]
"""Called in the transaction that indexes a pack, with the digests of its chunks."""


class Packer:
    """The packs of one upload. Thread-safe; after an error of the disk only `discard` remains."""

    def __init__(self, store: PackStore, catalog: Catalog, seals: Executor, seals_in_flight: int):
        self._store = store
        self._catalog = catalog
        self._seals = seals
        self._seals_in_flight = seals_in_flight
        self._lock = threading.RLock()  # guards the writer, the fresh chunks and the order of appends
        self._writer: PackWriter | None = None
        self._fresh: dict[bytes, tuple[PackWriter, Record]] = {}
        self._sealing: deque[Future[None]] = deque()
        self._unindexed: list[PackFacts] = []
        self._held: list[str] = []
        self._closed = False

    def add(
        self, frames: Sequence[tuple[bytes, int, Frame]], on_sealed: OnSealed | None = None
    ) -> tuple[int, int]:
        """Append (digest, raw size, frame) unless fresh already; gives (chunks, payload bytes) appended."""
        with self._lock, _full_disk():
            news: dict[bytes, NewRecord] = {}
            for digest, raw_size, frame in frames:
                if digest not in self._fresh:
                    news[digest] = NewRecord(
                        Kind.CHUNK, frame.codec, digest, raw_size, _readonly(frame.payload)
                    )
            if not news:
                return 0, 0
            writer = self._room(len(news), on_sealed)
            for record in writer.append_many(news.values()):
                self._fresh[record.digest] = (writer, record)
            if writer.size >= PACK_TARGET:
                self._begin_seal(on_sealed)
            return len(news), sum(len(new.payload) for new in news.values())

    def add_note(self, kind: Kind, digest: bytes, raw: bytes) -> None:
        """Append a recipe or manifest, from which the catalog could be rebuilt."""
        with self._lock, _full_disk():
            payload = zstandard.ZstdCompressor(level=3).compress(raw)
            self._room(1, None).append(kind, Codec.ZSTD, digest, len(raw), payload)

    def is_fresh(self, digest: bytes) -> bool:
        """Whether the chunk was appended here and is not in the catalog yet."""
        return digest in self._fresh

    def fresh_size(self, digest: bytes) -> int | None:
        """Raw size of a fresh chunk, or None."""
        found = self._fresh.get(digest)
        return None if found is None else found[1].raw_size

    def read(self, digest: bytes) -> bytes | None:
        """Raw bytes of a fresh chunk, or None when it is not fresh (any more)."""
        found = self._fresh.get(digest)
        if found is None:
            return None
        writer, record = found
        return codec.decode(record.codec, writer.read(record), record.raw_size)

    def flush(self) -> Sequence[PackFacts]:
        """Make everything durable. Gives the packs that the caller's own transaction has to index.

        They are given again until `indexed` is called, so a transaction that fails can be tried again.
        """
        with self._lock, _full_disk():
            writer, self._writer = self._writer, None
            if writer is not None and writer.records:
                self._unindexed.append(facts(self._seal(writer)))
            elif writer is not None:
                writer.discard()
            while self._sealing:
                self._sealing.popleft().result()
            return tuple(self._unindexed)

    def indexed(self) -> None:
        """The caller's transaction has indexed what `flush` gave."""
        with self._lock:
            self._unindexed.clear()
            self._fresh.clear()
            self._release()

    def discard(self) -> None:
        """Drop what is not sealed; sealed packs stay and are indexed by their own jobs."""
        with self._lock:
            self._closed = True
            try:
                while self._sealing:
                    self._sealing.popleft().exception()
                self._fresh.clear()
                writer, self._writer = self._writer, None
                if writer is not None:
                    writer.discard()
                # Sealed for a transaction that never came: indexed all the same, or only a restart would find them.
                packs, self._unindexed = self._unindexed, []
                for pack in packs:
                    self._catalog.write(lambda tx, pack=pack: chunks.add_pack(tx, pack))  # type: ignore[misc]
            finally:
                self._release()

    def _room(self, count: int, on_sealed: OnSealed | None) -> PackWriter:
        if self._closed:
            raise UploadClosed("the upload is closed")
        if self._writer is not None and len(self._writer.records) + count > MAX_RECORDS:
            self._begin_seal(on_sealed)
        if self._writer is None:
            self._writer = self._store.create()
            # Until the caller's transaction names what is in it, nothing else does.
            self._held.append(self._writer.id)
            self._store.hold(self._writer.id)
        return self._writer

    def _release(self) -> None:
        for pack_id in self._held:
            self._store.release(pack_id)
        self._held.clear()

    def _begin_seal(self, on_sealed: OnSealed | None) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        while len(self._sealing) >= self._seals_in_flight:
            self._sealing.popleft().result()
        self._sealing.append(self._seals.submit(self._seal_and_index, writer, on_sealed))

    def _seal_and_index(self, writer: PackWriter, on_sealed: OnSealed | None) -> None:
        pack = facts(self._seal(writer))
        digests = frozenset(chunk[0] for chunk in pack.chunks)

        def index(tx: Transaction) -> None:
            chunks.add_pack(tx, pack)
            if on_sealed is not None:
                on_sealed(tx, digests)

        self._catalog.write(index)
        for digest in digests:
            self._fresh.pop(digest, None)

    @staticmethod
    def _seal(writer: PackWriter) -> SealedPack:
        try:
            return writer.seal()
        except BaseException:
            writer.discard()
            raise


def _readonly(payload: Buffer) -> bytes | memoryview:
    return payload if isinstance(payload, bytes) else memoryview(payload).toreadonly()


def facts(pack: SealedPack) -> PackFacts:
    """What the catalog needs to know of a sealed pack."""
    return PackFacts(
        pack.id,
        pack.size,
        len(pack.records),
        [
            (record.digest, record.offset, record.stored_size, record.raw_size, record.codec)
            for record in pack.records
            if record.kind == Kind.CHUNK
        ],
        notes_of(pack.records),
    )


def notes_of(records: Iterable[Record]) -> list[tuple[int, int, bytes, int]]:
    """Those that are no chunks, as the catalog keeps them: (record offset, kind, digest, stored size)."""
    return [
        (record.offset, record.kind, record.digest, record.stored_size)
        for record in records
        if record.kind != Kind.CHUNK
    ]


class _full_disk:  # a context manager, used like a function
    """A full disk, or a pack that failed before, is the client's to know."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StoreFull | PoisonedPack):
            raise StorageFull("the registry's disk is full or failing; nothing of this was kept") from error
