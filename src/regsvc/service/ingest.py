"""One open upload in memory: frames and raw bytes in, durable chunks and proven files out.

A session can be dropped at any time and loaded again from the catalog: what was durable is found again,
what was not is sent again by the client.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from blake3 import blake3

from regsvc.catalog import chunks, uploads
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.uploads import Upload
from regsvc.content import codec, manifest
from regsvc.content.buffer import Buffer
from regsvc.content.chunking import Chunk, Cutter
from regsvc.content.codec import Codec, Frame
from regsvc.errors import (
    ChunksMissing,
    DigestMismatch,
    FilesIncomplete,
    InvalidArgument,
    OffsetGap,
    PathInvalid,
    ResourceExhausted,
    Superseded,
    Unavailable,
)
from regsvc.service.drafts import EMPTY_DIGEST, Draft, Pieces
from regsvc.service.incoming import FileProgress, IncomingFrame, RecipePart, WritingStream
from regsvc.service.limits import Limits
from regsvc.service.packing import Packer
from regsvc.service.reading import ChunkReader
from regsvc.service.recent import RecentChunks


class UploadSession:
    """An open upload. Several threads may feed it, each its own files."""

    def __init__(
        self,
        upload: Upload,
        catalog: Catalog,
        reader: ChunkReader,
        packer: Packer,
        recent: RecentChunks,
        limits: Limits,
    ):
        self.upload = upload
        self.packer = packer
        self.drafts: dict[str, Draft] = {}
        self.lock = threading.RLock()  # guards the drafts
        self.closed = False
        self._catalog = catalog
        self._reader = reader
        self._recent = recent
        self._limits = limits
        self._piece_count = 0
        self._load_progress()

    def take(
        self, frames: Sequence[IncomingFrame], recipes: Sequence[RecipePart], stream: WritingStream
    ) -> tuple[int, int]:
        """Take one message: frames, then recipe parts; gives (new chunks, their stored bytes).

        Errors as WriteChunks documents.
        """
        self.begin_files([part.path for part in recipes])
        arrived, stored = self._put_frames(frames)
        for part in recipes:
            self._take_recipe(part, stream, arrived)
        for digest, raw in arrived.items():
            # What no recipe of its own message named waits for a later one, without the rest of the message.
            self._recent.put(digest, bytes(raw))
        return stored

    def _put_frames(self, frames: Sequence[IncomingFrame]) -> tuple[dict[bytes, Buffer], tuple[int, int]]:
        """Verify and store chunks; gives the raw bytes by digest, and (new chunks, their stored bytes)."""
        arrived: dict[bytes, Buffer] = {}
        checked = []
        for frame in frames:
            raw = frame.decoded()
            if blake3(raw).digest() != frame.digest:
                raise DigestMismatch("a chunk's bytes do not have its digest", digest=frame.digest.hex())
            arrived[frame.digest] = raw
            checked.append((frame.digest, frame.raw_size, Frame(Codec(frame.codec), frame.payload)))
        stored = self._pin_stored([digest for digest, *_ in checked])
        return arrived, self.packer.add([new for new in checked if new[0] not in stored], self._save_progress)

    def _take_recipe(self, part: RecipePart, stream: WritingStream, arrived: dict[bytes, Buffer]) -> None:
        """Add chunks that the server has to a file, in order."""
        with self.lock:
            draft = self._claim(part.path, stream)
            if draft.complete:
                _check_same(draft, part)
                return
            if draft.cutter is not None:
                draft.cutter, draft.received = None, 0
            fresh_refs = _after_overlap(draft, part)
            self._check_piece_count(len(fresh_refs))
            self._require_chunks(fresh_refs)
            for digest, size in fresh_refs:
                draft.pieces.append(digest, size)
                raw = arrived.pop(digest, None) or self._recent.take(digest)
                if raw is not None:
                    draft.hash_arrived(raw, self.read_chunk)
            if draft.has_news:
                draft.hash_all(self.read_chunk)
            if part.finish:
                self._finish(draft, part.digest)

    def open_file(self, path: str, size: int | None, stream: WritingStream) -> Draft:
        """Begin or resume a file that comes as raw bytes."""
        with self.lock:
            draft = self._claim(path, stream)
            if draft.cutter is None and not draft.complete:
                self._replay(draft, size)
            return draft

    def write(self, draft: Draft, offset: int, data: memoryview, stream: WritingStream) -> None:
        """Take raw bytes at an offset; what overlaps is skipped. Raises `OffsetGap`, `Superseded`."""
        with self.lock:
            self._check_current(draft, stream)
            if draft.complete:
                if offset + len(data) > draft.pieces.size:
                    raise _gap(draft)
                if offset == stream.again_size:
                    stream.again.update(data)
                    stream.again_size += len(data)
                return
            if offset > draft.received:
                raise _gap(draft)
            fresh = data[draft.received - offset :]
            if not len(fresh):
                return
            assert draft.cutter is not None
            draft.received += len(fresh)
            self._store(draft, draft.cutter.feed(fresh))

    def finish_file(self, draft: Draft, end: int, digest: bytes | None, stream: WritingStream) -> None:
        """The file ends at offset `end`. Raises `OffsetGap`, `DigestMismatch`, `Superseded`."""
        with self.lock:
            self._check_current(draft, stream)
            if not draft.complete:
                if end != draft.received:
                    raise _gap(draft)
                assert draft.cutter is not None
                self._store(draft, draft.cutter.finish())
                draft.cutter, draft.received = None, 0
                self._finish(draft, digest)
            elif (
                end != draft.pieces.size
                or digest not in (None, draft.digest)
                or (stream.again_size == end and stream.again.digest() != draft.digest)
            ):
                raise DigestMismatch(f"'{draft.path}' is complete with other bytes", path=draft.path)

    def progress(self) -> list[FileProgress]:
        """How far each file got, by path."""
        # Without the lock: hashing a long recipe holds it, and this is asked by those who wait.
        drafts = dict(self.drafts)
        return [progress_of(drafts[path]) for path in sorted(drafts)]

    def entries(self) -> list[manifest.Entry]:
        """The manifest so far. Raises `FilesIncomplete`, `InvalidArgument` when there are no files."""
        if not self.drafts:
            raise InvalidArgument("the upload has no files")
        found = []
        for path, draft in self.drafts.items():
            if draft.digest is None:
                raise FilesIncomplete(f"'{path}' has not arrived whole", path=path)
            found.append(manifest.Entry(path, draft.pieces.size, draft.digest))
        return found

    def missing(self, digests: Sequence[bytes]) -> list[int]:
        """Positions of the digests that are neither stored nor fresh; the others are pinned."""
        first: dict[bytes, int] = {}
        for position, digest in enumerate(digests):
            first.setdefault(digest, position)
        wanted = [digest for digest in first if not self.packer.is_fresh(digest)]
        present = self._pin_stored(wanted)
        # Fresh is asked again: a pack may have been indexed between the two questions.
        return [first[d] for d in wanted if d not in present and not self.packer.is_fresh(d)]

    def read_chunk(self, digest: bytes) -> bytes:
        """Raw bytes of a chunk of this upload or of the store. Raises `ChunksMissing`."""
        raw = self.packer.read(digest)
        if raw is None:
            found = self._catalog.read(lambda db: chunks.locate(db, [digest]))
            if digest not in found:
                raise ChunksMissing("a recipe names a chunk that the server lacks", missing=1)
            raw = self._reader.raw(found[digest])
        return raw

    def discard(self) -> None:
        """Drop the session. What is durable stays."""
        self.closed = True
        self.packer.discard()

    def _pin_stored(self, digests: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the chunks that the store has, pinned: they stay while the upload's lease lasts."""
        if not self._catalog.read(lambda db: chunks.any_indexed(db, digests)):
            return frozenset()

        def pin(tx: Transaction) -> frozenset[bytes]:
            # The pin and the answer are one transaction: whatever removes chunks comes before or after.
            uploads.find_open(tx, self.upload.id, tx.now)
            found = chunks.stored(tx, digests)
            chunks.pin(tx, self.upload.id, found.values())
            return frozenset(found)

        return self._catalog.write(pin)

    def begin_files(self, paths: Sequence[str]) -> None:
        """Make drafts of files that are new to the upload. Raises `PathInvalid`, `ResourceExhausted`."""
        new = list(dict.fromkeys(path for path in paths if path not in self.drafts))
        if not new:
            return
        if len(self.drafts) + len(new) > self._limits.max_files_per_version:
            raise ResourceExhausted(
                f"more than {self._limits.max_files_per_version} files in one version",
                limit=self._limits.max_files_per_version,
            )
        for path in new:
            try:
                manifest.check_path(path)
            except manifest.PathError as error:
                raise PathInvalid(str(error)) from error
        # Before the first answer about them: a commit after a restart must miss them, not leave them out.
        self._catalog.write(lambda tx: uploads.add_files(tx, self.upload.id, new))
        with self.lock:
            for path in new:
                self.drafts.setdefault(path, Draft(path))

    def drop_uncut(self, draft: Draft) -> None:
        """Forget the bytes of an idle file that do not make a chunk yet; they are sent again, if ever."""
        with self.lock:
            draft.cutter, draft.received = None, 0

    def _claim(self, path: str, stream: WritingStream) -> Draft:
        draft = self.drafts[path]
        if draft.owner is not stream:
            # A stream that wrote the file before must not take it back from the newer one.
            if path in stream.paths:
                raise Superseded(f"a newer stream writes '{path}'", path=path)
            draft.owner = stream
            draft.abandoned = lambda: stream.gone or self.closed
        stream.paths.add(path)
        return draft

    def _check_current(self, draft: Draft, stream: WritingStream) -> None:
        if self.drafts.get(draft.path) is not draft:
            # The session was dropped after an error of the disk, and this stream still held its file.
            raise Unavailable(f"'{draft.path}' was set back; resume from its committed size", path=draft.path)
        if draft.owner is not stream:
            raise Superseded(f"a newer stream writes '{draft.path}'", path=draft.path)

    def _replay(self, draft: Draft, size: int | None) -> None:
        """Feed what the store has of the file to a new cutter, as if the client sent it again."""
        draft.cutter = Cutter(size)
        stored, draft.pieces = draft.pieces, Pieces()
        saved, saved_size = draft.saved, draft.saved_size
        draft.restart()
        draft.cutter = Cutter(size)
        for digest, _ in stored:
            raw = self.read_chunk(digest)
            draft.received += len(raw)
            self._store(draft, draft.cutter.feed(raw))
        if [*draft.pieces] == [*stored][: len(draft.pieces)]:
            draft.saved, draft.saved_size = min(saved, len(draft.pieces)), min(saved_size, draft.pieces.size)

    def _store(self, draft: Draft, cut: Sequence[Chunk]) -> None:
        self._check_piece_count(len(cut))
        raws = [bytes(chunk.data) for chunk in cut]
        digests = [blake3(raw).digest() for raw in raws]
        stored = self._pin_stored(digests)
        new = [
            (digest, len(raw), codec.encode(raw, chunk.layout))
            for digest, raw, chunk in zip(digests, raws, cut, strict=True)
            if digest not in stored and not self.packer.is_fresh(digest)
        ]
        self.packer.add(new, self._save_progress)
        for digest, raw in zip(digests, raws, strict=True):
            draft.pieces.append(digest, len(raw))
            draft.hash_arrived(raw, self.read_chunk)

    def _require_chunks(self, refs: Sequence[tuple[bytes, int]]) -> None:
        sizes = dict(refs)
        if any(not 1 <= size <= self._limits.max_chunk_bytes for size in sizes.values()):
            raise InvalidArgument(f"a chunk has 1 to {self._limits.max_chunk_bytes} bytes")
        known = {digest: self.packer.fresh_size(digest) for digest in sizes}
        unknown = [digest for digest, size in known.items() if size is None]
        if unknown:
            found = self._catalog.read(lambda db: chunks.locate(db, unknown))
            known |= {digest: chunk.raw_size for digest, chunk in found.items()}
            # A pack may have been indexed between the two questions.
            known |= {d: self.packer.fresh_size(d) for d in unknown if d not in found}
        missing = sum(size is None for size in known.values())
        if missing:
            raise ChunksMissing(f"a recipe names {missing} chunks that the server lacks", missing=missing)
        if any(known[digest] != size for digest, size in sizes.items()):
            raise InvalidArgument("a recipe names a chunk with another size than it has")

    def _finish(self, draft: Draft, digest: bytes | None) -> None:
        if not len(draft.pieces):
            proven, proven_file = EMPTY_DIGEST, None
        else:
            proven_file = self._proven_before(draft, digest)
            proven = digest if proven_file is not None and digest else draft.hash_all(self.read_chunk)
        if digest is not None and digest != proven:
            path = draft.path
            draft.restart()
            self._catalog.write(lambda tx: uploads.drop_progress(tx, self.upload.id, path))
            raise DigestMismatch(
                f"'{path}' does not have the digest that was named", path=path, digest=proven.hex()
            )
        draft.digest, draft.proven_file = proven, proven_file

    def _proven_before(self, draft: Draft, digest: bytes | None) -> int | None:
        """A file that a version holds already, with the very same chunks, is not read again."""
        if digest is None:
            return None

        def same(db: Reader) -> int | None:
            found = chunks.find_file(db, digest)
            if found is None or found[1] != draft.pieces.size:
                return None
            stored = chunks.digests_of_file(db, found[0])
            return found[0] if stored == [piece for piece, _ in draft.pieces] else None

        return self._catalog.read(same)

    def _check_piece_count(self, added: int) -> None:
        self._piece_count += added
        if self._piece_count > self._limits.max_chunks_per_upload:
            raise ResourceExhausted(
                f"more than {self._limits.max_chunks_per_upload} chunks in one upload",
                limit=self._limits.max_chunks_per_upload,
            )

    def _save_progress(self, tx: Transaction, sealed: frozenset[bytes]) -> None:
        """Remember which pieces of unfinished files are durable, in the transaction that indexes a pack."""
        saving: list[tuple[str, int, bytes]] = []
        # No lock: this runs on the writer thread, which a feeding thread may be waiting for. Pieces only grow.
        for draft in list(self.drafts.values()):
            pieces = draft.pieces
            while draft.saved < len(pieces):
                digest = pieces.digest(draft.saved)
                if digest not in sealed and self.packer.is_fresh(digest):
                    break
                saving.append((draft.path, draft.saved_size, digest))
                draft.saved_size += pieces.size_at(draft.saved)
                draft.saved += 1
        ids = chunks.stored(tx, [digest for *_, digest in saving])
        # What arrived stays while the upload lives, even if no recipe has named it yet.
        chunks.pin(tx, self.upload.id, {*ids.values(), *chunks.stored(tx, list(sealed)).values()})
        uploads.save_progress(
            tx,
            self.upload.id,
            [(path, offset, ids[digest]) for path, offset, digest in saving if digest in ids],
        )

    def _load_progress(self) -> None:
        for path in self._catalog.read(lambda db: uploads.files(db, self.upload.id)):
            self.drafts[path] = Draft(path)
        for path, offset, digest, size in self._catalog.read(lambda db: uploads.progress(db, self.upload.id)):
            draft = self.drafts.setdefault(path, Draft(path))
            if offset == draft.pieces.size:
                draft.pieces.append(digest, size)
                draft.saved, draft.saved_size = len(draft.pieces), draft.pieces.size


def _check_same(draft: Draft, part: RecipePart) -> None:
    """Parts of a complete file are duplicates, if they are of the same file."""
    size = part.offset + sum(size for _, size in part.chunks)
    if size > draft.pieces.size or (part.finish and part.digest not in (None, draft.digest)):
        raise DigestMismatch(f"'{draft.path}' is complete with other bytes", path=draft.path)


def _after_overlap(draft: Draft, part: RecipePart) -> Sequence[tuple[bytes, int]]:
    """The chunks of a part that are not in the file yet."""
    position, committed = part.offset, draft.pieces.size
    if position > committed:
        raise _gap(draft)
    for index, (_, size) in enumerate(part.chunks):
        if position >= committed:
            return part.chunks[index:]
        position += size
        if position > committed:
            raise InvalidArgument(
                f"a chunk of '{draft.path}' lies across the committed size", committed_size=committed
            )
    return ()


def _gap(draft: Draft) -> OffsetGap:
    return OffsetGap(
        f"'{draft.path}' is committed up to {draft.committed_size}",
        path=draft.path,
        committed_size=draft.committed_size,
    )


def progress_of(draft: Draft) -> FileProgress:
    """How far a file got."""
    return FileProgress(draft.path, draft.committed_size, draft.digest)
