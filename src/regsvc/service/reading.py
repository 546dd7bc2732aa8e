"""Read chunks back: as stored frames, as raw bytes of a file, checked either way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from regsvc.catalog import chunks, versions
from regsvc.catalog.chunks import Chunk, FileChunk
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.versions import Version, VersionFile
from regsvc.content import codec
from regsvc.content.codec import Codec
from regsvc.content.frames import FrameError
from regsvc.errors import ChunkDamaged, NotFound, OutOfRange, VersionDeleted
from regsvc.refs import VersionRef
from regsvc.store import DamagedRecord, Kind, PackNotFound, PackStore, Record

BATCH_BYTES = 1 << 20
"""Bulk bytes of one message, at least: smaller ones cost a call each. With the chunk that fills it, under 3 MiB."""
FRAME_BYTES = 50
"""What describes a frame in a message, about."""
REFS = 8192
"""Chunks of one file in one part of a manifest: about 350 KiB."""
WINDOW = 64
"""Chunks of a file that are looked up at once."""
FILES = 500
"""Files that are looked up at once."""


@dataclass(frozen=True)
class FileRange:
    """A stretch of one file."""

    path: str
    offset: int
    length: int
    """0 means to the end."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """An encoded chunk as it leaves."""

    digest: bytes
    codec: int
    raw_size: int
    payload: bytes | memoryview


@dataclass(frozen=True)
class ManifestPart:
    """A file of a manifest, or a stretch of its chunks."""

    file: VersionFile
    chunks: Sequence[tuple[bytes, int]]


class ChunkReader:
    """Chunks by their place in the store. A damaged one is noted, so that a push can heal it."""

    def __init__(self, store: PackStore, catalog: Catalog):
        self._store = store
        self._catalog = catalog

    def payloads(self, wanted: Sequence[Chunk]) -> Iterator[tuple[Chunk, memoryview]]:
        """The stored payloads, in order, neighbours in one read. Raises `ChunkDamaged`."""
        for pack, group in groupby(wanted, key=lambda chunk: chunk.pack):
            # A run of one chunk, such as the zeros of a sparse file, is read once.
            run = [list(same) for _, same in groupby(group, key=lambda chunk: chunk.id)]
            records = [
                Record(Kind.CHUNK, chunk.codec, chunk.digest, chunk.raw_size, chunk.stored_size, chunk.offset)
                for chunk, *_ in run
            ]
            position = 0
            try:
                for payload in self._store.read_many(pack, records):
                    for chunk in run[position]:
                        yield chunk, payload
                    position += 1
            except (DamagedRecord, PackNotFound) as error:
                left = [chunk for same in run[position:] for chunk in same]
                moved = self._moved(left)
                if moved is None:
                    raise self._damaged(left[0]) from error
                yield from self.payloads(moved)

    def raw(self, chunk: Chunk) -> bytes:
        """Raw bytes of one chunk. Raises `ChunkDamaged`."""
        [(_, payload)] = self.payloads([chunk])
        return self.decode(chunk, payload)

    def decode(self, chunk: Chunk, payload: bytes | memoryview) -> bytes:
        """Raw bytes of a payload. Raises `ChunkDamaged`."""
        try:
            return codec.decode(chunk.codec, payload, chunk.raw_size)
        except FrameError as error:
            raise self._damaged(chunk) from error

    def _moved(self, wanted: Sequence[Chunk]) -> list[Chunk] | None:
        """Where chunks are now, if the first is elsewhere: a collection rewrites packs. Raises `VersionDeleted`."""
        digests = list({chunk.digest for chunk in wanted})
        found = self._catalog.read(lambda db: chunks.places(db, digests))
        now = found.get(wanted[0].digest)
        if now is not None and (now.pack, now.offset) == (wanted[0].pack, wanted[0].offset):
            return None
        if len(found) < len(digests):
            raise _gone()
        return [found[chunk.digest] for chunk in wanted]

    def _damaged(self, chunk: Chunk) -> ChunkDamaged:
        self._catalog.write(lambda tx: chunks.mark_damaged(tx, chunk))
        return ChunkDamaged(f"chunk {chunk.digest.hex()} is damaged in the store", digest=chunk.digest.hex())


class VersionReader:
    """The files of versions, in streams of about 1 MiB."""

    def __init__(self, catalog: Catalog, chunk_reader: ChunkReader):
        self._catalog = catalog
        self._chunks = chunk_reader

    def manifest(
        self, ref: VersionRef, *, include_chunks: bool, paths: Sequence[str] = ()
    ) -> tuple[versions.Version, Iterator[ManifestPart]]:
        """The version, and its files, or those at `paths`, in manifest order. Raises `NotFound`."""
        version = self._catalog.read(lambda db: versions.find(db, ref))
        if not paths:
            batches = self._all_files(version)
        else:
            found = self._catalog.read(lambda db: versions.files_by_path(db, version.id, paths))
            for path in paths:
                if path not in found:
                    raise NotFound(f"the version has no file '{path}'", path=path)
            chosen = [found[path] for path in sorted(found)]
            batches = (chosen[start : start + FILES] for start in range(0, len(chosen), FILES))
        return version, self._manifest_parts(batches, include_chunks=include_chunks)

    def frames(
        self, ref: VersionRef, ranges: Sequence[FileRange], accept: frozenset[int]
    ) -> Iterator[list[StoredFrame]]:
        """Batches of every chunk that the ranges touch, in order. Raises `NotFound`, `OutOfRange`."""
        version_id = self._catalog.read(lambda db: versions.resolve(db, ref))
        return self._frames_of(self._windows(version_id, ranges), accept)

    def blob_frames(
        self, ranges: Sequence[tuple[int, int, int]], accept: frozenset[int]
    ) -> Iterator[list[StoredFrame]]:
        """Like `frames`, of (file id, start, end)."""
        windows = (window for each in ranges for window in self._file_windows(*each))
        return self._frames_of(windows, accept)

    def _frames_of(
        self, windows: Iterable[list[FileChunk]], accept: frozenset[int]
    ) -> Iterator[list[StoredFrame]]:
        batch: list[StoredFrame] = []
        size = 0
        for window in windows:
            for chunk, payload in self._chunks.payloads([piece.chunk for piece in window]):
                frame = self._frame(chunk, payload, accept)
                batch.append(frame)
                size += len(frame.payload) + FRAME_BYTES
                if size >= BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def file(
        self, ref: VersionRef, path: str, offset: int, limit: int
    ) -> tuple[VersionFile, Iterator[bytes]]:
        """The file, and batches of its raw bytes. Raises `NotFound`, `OutOfRange`."""

        def find(db: Reader) -> VersionFile:
            return versions.file(db, versions.resolve(db, ref), path)

        file = self._catalog.read(find)
        if offset > file.size:
            raise OutOfRange(f"'{path}' ends at {file.size}", path=path, size=file.size)
        end = file.size if limit == 0 else min(file.size, offset + limit)
        return file, self.file_bytes(file.file_id, offset, end)

    def file_bytes(self, file_id: int, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end) of a file, a chunk or less at a time."""
        for window in self._file_windows(file_id, start, end):
            by_place = iter(window)
            for chunk, payload in self._chunks.payloads([piece.chunk for piece in window]):
                place = next(by_place).file_offset
                raw = self._chunks.decode(chunk, payload)
                yield raw[max(0, start - place) : min(len(raw), end - place)]

    def _all_files(self, version: Version) -> Iterator[list[VersionFile]]:
        after, left = "", version.file_count
        while files := self._files(version.id, after):
            after, left = files[-1].path, left - len(files)
            yield files
        if left:
            raise _gone()

    def _manifest_parts(
        self, batches: Iterable[Sequence[VersionFile]], *, include_chunks: bool
    ) -> Iterator[ManifestPart]:
        for files in batches:
            if not include_chunks:
                yield from (ManifestPart(file, ()) for file in files)
                continue
            small = [file for file in files if file.size <= chunks_bytes(WINDOW)]
            known = self._of_files(small)
            for file in files:
                if file.file_id in known:
                    found = [_ref(piece) for piece in known[file.file_id]]
                    for start in range(0, len(found) or 1, REFS):
                        yield ManifestPart(file, found[start : start + REFS])
                else:
                    for window in self._file_windows(file.file_id, 0, file.size):
                        yield ManifestPart(file, [_ref(piece) for piece in window])

    def _files(self, version_id: int, after: str) -> list[VersionFile]:
        return self._catalog.read(lambda db: versions.files(db, version_id, after, FILES))

    def _frame(self, chunk: Chunk, payload: memoryview, accept: frozenset[int]) -> StoredFrame:
        if chunk.codec in accept or chunk.codec == Codec.RAW:
            return StoredFrame(chunk.digest, chunk.codec, chunk.raw_size, payload)
        return StoredFrame(chunk.digest, Codec.RAW, chunk.raw_size, self._chunks.decode(chunk, payload))

    def _windows(self, version_id: int, ranges: Sequence[FileRange]) -> Iterator[list[FileChunk]]:
        """Runs of chunks to read, many small files or a stretch of a large one at a time."""
        for start in range(0, len(ranges), FILES):
            part = ranges[start : start + FILES]
            yield from self._windows_of_part(version_id, part)

    def _windows_of_part(self, version_id: int, ranges: Sequence[FileRange]) -> Iterator[list[FileChunk]]:
        paths = [wanted.path for wanted in ranges]
        files = self._catalog.read(lambda db: versions.files_by_path(db, version_id, paths))
        for wanted in ranges:
            file = files.get(wanted.path)
            if file is None:
                if self._catalog.read(lambda db: versions.get(db, version_id)).purged:
                    raise _gone()
                raise NotFound(f"the version has no file '{wanted.path}'", path=wanted.path)
            if wanted.offset > file.size:
                raise OutOfRange(f"'{wanted.path}' ends at {file.size}", path=wanted.path, size=file.size)
        whole = [
            wanted
            for wanted in ranges
            if wanted.offset == 0
            and wanted.length in (0, files[wanted.path].size)
            and files[wanted.path].size <= BATCH_BYTES
        ]
        known = self._of_files([files[wanted.path] for wanted in whole])
        gathered: list[FileChunk] = []
        for wanted in ranges:
            file = files[wanted.path]
            if file.file_id in known and wanted.offset == 0 and wanted.length in (0, file.size):
                gathered += known[file.file_id]
                if len(gathered) >= FILES:
                    yield gathered
                    gathered = []
                continue
            if gathered:
                yield gathered
                gathered = []
            end = file.size if wanted.length == 0 else min(file.size, wanted.offset + wanted.length)
            yield from self._file_windows(file.file_id, wanted.offset, end)
        if gathered:
            yield gathered

    def _of_files(self, files: Sequence[VersionFile]) -> dict[int, list[FileChunk]]:
        """All chunks of small files, by file id. Raises `VersionDeleted`."""
        found = self._catalog.read(lambda db: chunks.of_files(db, [file.file_id for file in files]))
        for file in files:
            if sum(piece.chunk.raw_size for piece in found[file.file_id]) != file.size:
                raise _gone()
        return found

    def _file_windows(self, file_id: int, start: int, end: int) -> Iterator[list[FileChunk]]:
        while start < end:
            window = self._window(file_id, start, end)
            # A collection drops the rows of a forgotten file from its front.
            if not window or window[0].file_offset > start:
                raise _gone()
            yield window
            start = window[-1].file_offset + window[-1].chunk.raw_size

    def _window(self, file_id: int, start: int, end: int) -> list[FileChunk]:
        return self._catalog.read(lambda db: chunks.of_file(db, file_id, start, end, WINDOW))


def _gone() -> VersionDeleted:
    return VersionDeleted("the version was deleted for good while it was read")


def chunks_bytes(count: int) -> int:
    """Bytes of a file that has about this many chunks at the least."""
    return count * (128 << 10)


def _ref(piece: FileChunk) -> tuple[bytes, int]:
    return piece.chunk.digest, piece.chunk.raw_size
