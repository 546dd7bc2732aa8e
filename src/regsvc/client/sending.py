"""One WriteChunks stream: asks which chunks the server lacks, encodes those, and sends them with the recipes.

Reading, asking and encoding, and sending each run in a thread of their own, at most a window apart.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from regsvc.bulk import Bulk
from regsvc.client.connection import Connection
from regsvc.client.prefetch import Prefetch
from regsvc.client.reading import RawChunk, Stretch
from regsvc.content import codec
from regsvc.v1 import artifact_pb2

MESSAGE_BYTES = 1 << 20
"""Bytes of payload or of recipes in one message, about: smaller ones cost a call each, larger ones memory."""

_ENCODERS = min(4, os.cpu_count() or 1)
_ANSWER_TIMEOUT = 120.0
"""Seconds for one FindMissingChunks."""
_REF_WEIGHT = 44
"""Bytes of a ChunkRef on the wire, about."""


@dataclass
class Tally:
    """What a push has done so far, over all its streams. Written by the sending thread only."""

    chunks_sent: int = 0
    bytes_sent: int = 0
    """Payload bytes that were handed to gRPC."""
    done: int = 0
    """Raw bytes that the server has, or that are on their way to it."""


@dataclass(frozen=True)
class _Frame:
    digest: bytes
    codec: int
    raw_size: int
    payload: bytes | bytearray | memoryview


@dataclass(frozen=True)
class _Part:
    """A stretch as it will be sent: its recipe, and the frames that must come before it."""

    path: str
    offset: int
    chunks: list[tuple[bytes, int]]
    """Digest and raw size."""
    digest: bytes | None
    frames: deque[Future[_Frame]]

    @property
    def size(self) -> int:
        return sum(size for _, size in self.chunks)


class Sending:
    """The call of one attempt: iterating it sends everything and gives the one response.

    `committed` tells by path how many bytes from the start of a file the server does not need again.
    Raises what `windows` raises, `grpc.RpcError`, or the `RegsvcError` of a question that was not answered.
    """

    def __init__(
        self,
        connection: Connection,
        upload: str,
        windows: Iterable[list[Stretch]],
        committed: dict[str, int],
        tally: Tally,
    ) -> None:
        self._connection = connection
        self._upload = upload
        self._windows = windows
        self._committed = committed
        self._tally = tally
        self._known: set[bytes] = set()  # chunks that the server has or that this stream has sent
        self._failure: BaseException | None = None
        self._question: Any = None
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        with ThreadPoolExecutor(_ENCODERS, "regsvc-encode") as pool:
            reading = Prefetch(self._windows, 1, "regsvc-read")
            asking = Prefetch(self._ask(reading, pool), 1, "regsvc-ask")
            call = self._connection.artifacts.WriteChunks.future(self._messages(asking))
            try:
                response = call.result()
                if self._failure is not None:
                    raise self._failure
            except (grpc.RpcError, grpc.FutureCancelledError):
                # What stopped us comes before what that did to the call.
                raise self._failure or call from None
            finally:
                # The call first: it must not take the end of the closed stages for the end of the files.
                call.cancel()
                self._ended = True
                if self._question is not None:
                    self._question.cancel()
                asking.cancel()
                reading.close()
                asking.close()
                pool.shutdown(cancel_futures=True)
        yield response

    def _ask(self, windows: Iterable[list[Stretch]], pool: ThreadPoolExecutor) -> Iterator[list[_Part]]:
        for window in windows:
            missing = self._missing(window)
            yield [self._plan(stretch, missing, pool) for stretch in window]

    def _missing(self, window: list[Stretch]) -> set[bytes]:
        """Digests of chunks in the window that must be sent."""
        unknown = dict.fromkeys(
            chunk.digest
            for stretch in window
            if stretch.offset + stretch.size > self._committed.get(stretch.path, 0)
            for chunk in stretch.chunks
            if chunk.digest not in self._known
        )
        if not unknown:
            return set()
        digests = list(unknown)
        request = artifact_pb2.FindMissingChunksRequest(upload=self._upload, digests=digests)
        # Without patience: if the server is away, so is the stream, and both begin again together.
        answer = self._connection.call(self._find_missing, request, timeout=_ANSWER_TIMEOUT, patience=0)
        self._known.update(digests)
        return {digests[position] for position in answer.missing}

    def _find_missing(self, request: Any, timeout: float) -> Any:
        """FindMissingChunks, as a call that the end of the stream cancels: Ctrl-C does not wait for it."""
        question = self._connection.artifacts.FindMissingChunks.future(request, timeout=timeout)
        self._question = question
        if self._ended:
            question.cancel()
        return question.result()

    def _plan(self, stretch: Stretch, missing: set[bytes], pool: ThreadPoolExecutor) -> _Part:
        frames: deque[Future[_Frame]] = deque()
        for chunk in stretch.chunks:
            if chunk.digest in missing:
                missing.discard(chunk.digest)
                frames.append(pool.submit(_encode, chunk))
        chunks = [(chunk.digest, len(chunk.data)) for chunk in stretch.chunks]
        return _Part(stretch.path, stretch.offset, chunks, stretch.digest, frames)

    def _messages(self, windows: Iterable[list[_Part]]) -> Iterator[Any]:
        """Runs in gRPC's thread, which would only log what is raised here."""
        try:
            yield from self._batches(windows)
        except Exception as error:  # noqa: BLE001 - raised again by __iter__
            self._failure = error

    def _batches(self, windows: Iterable[list[_Part]]) -> Iterator[Any]:
        limit = self._connection.capabilities().max_message_data_bytes
        batch = _Batch(self._upload)
        yield batch.message()  # the upload's name alone, so that the server can refuse it at once
        batch = _Batch()
        for window in windows:
            while window:
                part = window.pop(0)
                while part.frames:
                    frame = part.frames.popleft().result()
                    if batch.data_size + len(frame.payload) > limit or batch.weight >= MESSAGE_BYTES:
                        yield self._count(batch)
                        batch = _Batch()
                    batch.add_frame(frame)
                batch.add_recipe(part)
                self._tally.done += part.size
                if batch.weight >= MESSAGE_BYTES:
                    yield self._count(batch)
                    batch = _Batch()
        if batch.weight:
            yield self._count(batch)

    def _count(self, batch: _Batch) -> Any:
        self._tally.chunks_sent += len(batch.frames)
        self._tally.bytes_sent += batch.data_size
        return batch.message()


@dataclass
class _Batch:
    """The message that is being filled."""

    upload: str = ""
    frames: list[_Frame] = field(default_factory=list)
    recipes: list[_Part] = field(default_factory=list)
    data_size: int = 0
    weight: int = 0
    """Bytes of the whole message, about."""

    def add_frame(self, frame: _Frame) -> None:
        self.frames.append(frame)
        self.data_size += len(frame.payload)
        self.weight += len(frame.payload) + _REF_WEIGHT

    def add_recipe(self, part: _Part) -> None:
        self.recipes.append(part)
        self.weight += len(part.path) + 80 + _REF_WEIGHT * len(part.chunks)

    def message(self) -> Any:
        head = artifact_pb2.WriteChunksRequest(
            upload=self.upload,
            frames=[
                artifact_pb2.ChunkFrame(
                    digest=frame.digest,
                    codec=frame.codec,  # type: ignore[arg-type]
                    raw_size=frame.raw_size,
                    stored_size=len(frame.payload),
                )
                for frame in self.frames
            ],
            recipes=map(_recipe, self.recipes),
        )
        return Bulk(head, [frame.payload for frame in self.frames])


def _encode(chunk: RawChunk) -> _Frame:
    encoded = codec.encode(chunk.data, chunk.layout)
    return _Frame(chunk.digest, int(encoded.codec), len(chunk.data), encoded.payload)


def _recipe(part: _Part) -> Any:
    return artifact_pb2.RecipePart(
        path=part.path,
        offset=part.offset,
        chunks=[artifact_pb2.ChunkRef(digest=digest, size=size) for digest, size in part.chunks],
        finish=part.digest is not None,
        digest=part.digest.hex() if part.digest is not None else "",
    )
