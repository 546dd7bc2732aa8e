"""ArtifactService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from regsvc import refs
from regsvc.bulk import Bulk
from regsvc.errors import DigestMismatch, FrameInvalid, InvalidArgument, ResourceExhausted
from regsvc.server import convert
from regsvc.server.activity import Activity
from regsvc.server.admission import Admission
from regsvc.server.context import Context
from regsvc.server.hub import Hub
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.incoming import IncomingFrame, RecipePart, WritingStream
from regsvc.service.ingest import progress_of
from regsvc.service.reading import BATCH_BYTES, FileRange, ManifestPart, StoredFrame
from regsvc.service.uploads import Commit
from regsvc.v1 import artifact_pb2 as pb
from regsvc.v1 import artifact_pb2_grpc
from regsvc.wire import record as wire

UPLOAD_FILES = 10_000
"""Files in one GetUploadResponse."""
_AHEAD = 2
"""Bulk messages that are read ahead of the one that is being sent."""
_CHUNK_REF_BYTES = 40
_MANIFEST_FILE_BYTES = 150


class ArtifactServicer(artifact_pb2_grpc.ArtifactServiceServicer):
    """The files of versions, in and out."""

    def __init__(
        self,
        app: RegistryApp,
        bulk: Workers,
        control: Workers,
        hub: Hub,
        activity: Activity,
        uploads: Admission,
        downloads: Admission,
    ):
        self._uploads = app.uploads
        self._files = app.files
        self._limits = app.limits
        self._bulk = bulk
        self._control = control
        self._hub = hub
        self._activity = activity
        self._writing = uploads
        self._reading = downloads

    async def StartUpload(self, request: pb.StartUploadRequest, context: Context) -> pb.StartUploadResponse:
        self._hub.check()
        model = refs.model_from_wire(request.parent)
        build = refs.build_from_wire(request.build) if request.build else None
        call = convert.request_of(request, "StartUpload")
        with self._activity.upload():
            upload = await self._control.run(self._uploads.start, model, build, call)
        return pb.StartUploadResponse(upload=convert.upload_to(upload))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Context) -> pb.GetUploadResponse:
        upload, files = await self._control.run(self._uploads.get, convert.upload_id(request.name))
        left = [file for file in files if file.path > request.after_path]
        shown, size = 0, 0
        while shown < min(len(left), UPLOAD_FILES) and size < 2 * BATCH_BYTES:
            size += _MANIFEST_FILE_BYTES + len(left[shown].path.encode())
            shown += 1
        return pb.GetUploadResponse(
            upload=convert.upload_to(upload, left[:shown]), more_files=len(left) > shown
        )

    async def AbortUpload(self, request: pb.AbortUploadRequest, context: Context) -> pb.AbortUploadResponse:
        await self._control.run(self._uploads.abort, convert.upload_id(request.name))
        return pb.AbortUploadResponse()

    async def FindMissingChunks(
        self, request: pb.FindMissingChunksRequest, context: Context
    ) -> pb.FindMissingChunksResponse:
        upload_id = convert.upload_id(request.upload)
        with self._activity.upload():
            missing = await self._control.run(self._uploads.find_missing, upload_id, request.digests)
        return pb.FindMissingChunksResponse(missing=missing)

    async def WriteChunks(
        self, requests: AsyncIterator[Bulk[pb.WriteChunksRequest]], context: Context
    ) -> pb.WriteChunksResponse:
        stream, upload_id = WritingStream(), ""
        response = pb.WriteChunksResponse()
        pending: asyncio.Future[tuple[int, int]] | None = None

        def add(stored: tuple[int, int]) -> None:
            response.chunks_stored += stored[0]
            response.bytes_stored += stored[1]

        async with self._writing.slot(context.peer()):
            with self._activity.upload():
                try:
                    async for request in requests:
                        upload_id = upload_id or convert.upload_id(request.head.upload)
                        # One message is worked on while the next one comes in, never more.
                        if pending is not None:
                            add(await pending)
                        pending = asyncio.ensure_future(
                            self._bulk.run(self._take, upload_id, request, stream)
                        )
                    if pending is not None:
                        add(await pending)
                        pending = None
                finally:
                    stream.gone = pending is not None
                    if pending is not None:
                        await asyncio.wait([pending])
        return response

    async def WriteFile(
        self, requests: AsyncIterator[Bulk[pb.WriteFileRequest]], context: Context
    ) -> pb.WriteFileResponse:
        writing: _FileWriting | None = None
        pending: asyncio.Future[None] | None = None
        async with self._writing.slot(context.peer()):
            with self._activity.upload():
                try:
                    async for request in requests:
                        if pending is not None:
                            await pending
                            pending = None
                        if writing is None:
                            writing = await self._bulk.run(self._open_file, request)
                        pending = asyncio.ensure_future(self._bulk.run(writing.take, request))
                    if pending is not None:
                        await pending
                        pending = None
                finally:
                    if writing is not None:
                        writing.stream.gone = pending is not None
                    if pending is not None:
                        await asyncio.wait([pending])
                    if writing is not None:
                        writing.leave()
        if writing is None:
            raise InvalidArgument("the stream named no upload and no file")
        return pb.WriteFileResponse(file=writing.progress())

    async def CommitUpload(
        self, request: pb.CommitUploadRequest, context: Context
    ) -> pb.CommitUploadResponse:
        upload_id = convert.upload_id(request.upload)
        commit = Commit(
            convert.metadata_from(request.metadata),
            tuple(request.aliases),
            convert.digest_from_hex(request.digest),
            wire.record_from(request.record),
            request.author,
        )
        call = convert.request_of(request, "CommitUpload")
        with self._activity.upload():
            version = await self._control.run(self._uploads.commit, upload_id, commit, call)
        return pb.CommitUploadResponse(version=convert.version_to(version))

    async def ReadManifest(
        self, request: pb.ReadManifestRequest, context: Context
    ) -> AsyncIterator[pb.ReadManifestResponse]:
        ref = refs.version_from_wire(request.version)
        convert.check_count(len(request.paths), self._limits.max_read_ranges, "paths")
        version, parts = await self._control.run(
            lambda: self._files.manifest(
                ref, include_chunks=request.include_chunks, paths=list(request.paths)
            )
        )
        message = pb.ReadManifestResponse(version=version.ref.wire, digest=version.digest.hex())
        async for batch in self._control.iterate(_manifest_batches(parts)):
            message.files.extend(_manifest_file(part) for part in batch)
            yield message
            message = pb.ReadManifestResponse()

    async def ReadChunks(
        self, request: pb.ReadChunksRequest, context: Context
    ) -> AsyncIterator[Bulk[pb.ReadChunksResponse]]:
        if not 1 <= len(request.ranges) <= self._limits.max_read_ranges:
            raise InvalidArgument(
                f"1 to {self._limits.max_read_ranges} ranges", limit=self._limits.max_read_ranges
            )
        ranges = [FileRange(wanted.path, wanted.offset, wanted.length) for wanted in request.ranges]
        frames = self._files.frames(
            refs.version_from_wire(request.version), ranges, frozenset(request.accept)
        )
        async with self._reading.slot(context.peer()):
            async for message in self._bulk.iterate(_chunk_messages(frames), at_once=_AHEAD):
                yield message

    async def ReadFile(
        self, request: pb.ReadFileRequest, context: Context
    ) -> AsyncIterator[Bulk[pb.ReadFileResponse]]:
        ref = refs.version_from_wire(request.version)
        file, data = await self._control.run(
            self._files.file, ref, request.path, request.offset, request.limit
        )
        position = request.offset
        head = pb.ReadFileResponse(size=file.size, digest=file.digest.hex(), offset=position)
        async with self._reading.slot(context.peer()):
            async for part in self._bulk.iterate(_joined(data), at_once=_AHEAD):
                head.offset = position
                position += len(part)
                yield Bulk(head, (part,))
                head = pb.ReadFileResponse()
        if position == request.offset:
            yield Bulk(head)

    def _take(
        self, upload_id: str, request: Bulk[pb.WriteChunksRequest], stream: WritingStream
    ) -> tuple[int, int]:
        head, limits = request.head, self._limits
        convert.check_count(len(head.frames), limits.max_message_frames, "frames")
        convert.check_count(len(head.recipes), limits.max_message_frames, "recipe parts")
        refs_count = sum(len(part.chunks) for part in head.recipes)
        convert.check_count(refs_count, limits.max_message_refs, "chunks in recipes")
        frames = _incoming(request, limits.max_message_data_bytes)
        recipes = [_recipe(part) for part in request.head.recipes]
        return self._uploads.take(upload_id, frames, recipes, stream)

    def _open_file(self, request: Bulk[pb.WriteFileRequest]) -> _FileWriting:
        return _FileWriting(self, request.head)


class _FileWriting:
    """One WriteFile stream. Its methods block."""

    def __init__(self, servicer: ArtifactServicer, first: pb.WriteFileRequest):
        self._uploads = servicer._uploads
        self._limit = servicer._limits.max_message_data_bytes
        self._upload_id = convert.upload_id(first.upload)
        self.stream = WritingStream()
        size = first.size if first.HasField("size") else None
        self._draft = self._uploads.open_file(self._upload_id, first.path, size, self.stream)

    def take(self, message: Bulk[pb.WriteFileRequest]) -> None:
        """Take one message's bytes, and its `finish`."""
        request, data = message.head, message.data
        _check_size(len(data), self._limit)
        digest = convert.digest_from_hex(request.digest)
        if len(data):
            self._uploads.write(self._upload_id, self._draft, request.offset, data, self.stream)
        if request.finish:
            end = request.offset + len(data)
            self._uploads.finish_file(self._upload_id, self._draft, end, digest, self.stream)

    def leave(self) -> None:
        """The stream has ended."""
        self._uploads.leave(self._upload_id, self._draft, self.stream)

    def progress(self) -> pb.UploadFile:
        """How far the file got."""
        return convert.upload_file_to(progress_of(self._draft))


def _incoming(request: Bulk[pb.WriteChunksRequest], limit: int) -> list[IncomingFrame]:
    data = request.data
    _check_size(len(data), limit)
    frames, position = [], 0
    for frame in request.head.frames:
        if len(frame.digest) != 32:
            raise DigestMismatch("a chunk digest has 32 bytes")
        payload = data[position : position + frame.stored_size]
        if len(payload) != frame.stored_size or not frame.raw_size:
            raise FrameInvalid("bad frame: the message's data ends before it does, or it is empty")
        frames.append(IncomingFrame(frame.digest, frame.codec, frame.raw_size, payload))
        position += frame.stored_size
    if position != len(data):
        raise FrameInvalid("bad frame: the message has more data than its frames")
    return frames


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ResourceExhausted(f"{size} bytes in one message, at most {limit}", limit=limit)


def _recipe(part: pb.RecipePart) -> RecipePart:
    chunks = [(chunk.digest, chunk.size) for chunk in part.chunks]
    if any(len(digest) != 32 for digest, _ in chunks):
        raise InvalidArgument("a chunk digest has 32 bytes")
    return RecipePart(part.path, part.offset, chunks, part.finish, convert.digest_from_hex(part.digest))


def _manifest_batches(parts: Iterator[ManifestPart]) -> Iterator[Sequence[ManifestPart]]:
    """Parts that make up about a message each."""
    batch, size = [], 0
    for part in parts:
        batch.append(part)
        size += _MANIFEST_FILE_BYTES + len(part.file.path) + _CHUNK_REF_BYTES * len(part.chunks)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _manifest_file(part: ManifestPart) -> pb.ManifestFile:
    return pb.ManifestFile(
        path=part.file.path,
        size=part.file.size,
        digest=part.file.digest.hex(),
        chunks=[pb.ChunkRef(digest=digest, size=size) for digest, size in part.chunks],
    )


def _chunk_messages(batches: Iterator[list[StoredFrame]]) -> Iterator[Bulk[pb.ReadChunksResponse]]:
    for batch in batches:
        head = pb.ReadChunksResponse(frames=chunk_frames(batch))
        yield Bulk(head, [frame.payload for frame in batch])


def chunk_frames(batch: Sequence[StoredFrame]) -> list[pb.ChunkFrame]:
    """What describes frames in a message."""
    return [
        pb.ChunkFrame(
            digest=frame.digest,
            codec=frame.codec,  # type: ignore[arg-type]
            raw_size=frame.raw_size,
            stored_size=len(frame.payload),
        )
        for frame in batch
    ]


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Parts put together to about a message each."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        if held and size + len(part) > BATCH_BYTES:
            yield b"".join(held)
            held, size = [], 0
        held.append(part)
        size += len(part)
    if held:
        yield b"".join(held)
