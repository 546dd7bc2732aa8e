"""One attempt of a push: asks which chunks the server lacks, encodes those, and sends them with the recipes.

Each of its WriteChunks streams has its own files, and threads of its own for reading, for asking and for sending,
at most a window apart; encoding is shared by all.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from regsvc.bulk import Bulk
from regsvc.client.connection import BulkChannels, Connection
from regsvc.client.machine import cores
from regsvc.client.prefetch import Prefetch
from regsvc.client.reading import SourceChunk, Stretch
from regsvc.content import codec
from regsvc.v1 import artifact_pb2

MESSAGE_BYTES = 1 << 20
"""Raw bytes in one message, at least, but for the last: smaller ones cost a call each, larger ones memory."""
MESSAGE_REFS = 4096
"""Most chunks that the recipes of one message name, about."""
NAMED_BYTES = 32 << 20
"""Raw bytes read for one message, about: what the server has of them it hashes while the next are read here."""

_ANSWER_TIMEOUT = 120.0
"""Seconds for one FindMissingChunks."""


class Tally:
    """What a push has done so far, over all its streams."""

    def __init__(self) -> None:
        self.chunks_sent = 0
        self.bytes_sent = 0
        """Payload bytes that were handed to gRPC."""
        self.done = 0
        """Raw bytes that the server has, or that are on their way to it."""
        self._lock = threading.Lock()  # guards the three: each stream counts in a thread of its own

    def count(self, chunks: int, stored: int, done: int) -> None:
        """One more message."""
        with self._lock:
            self.chunks_sent += chunks
            self.bytes_sent += stored
            self.done += done


class Sending:
    """The calls of one attempt: iterating it sends everything and gives the responses.

    `lanes` are the files of each stream, in windows; `committed` tells by path how many bytes from the start
    of a file the server does not need again. Raises what a lane raises, `grpc.RpcError`, or the `RegsvcError`
    of a question that was not answered; then every stream has stopped.
    """

    def __init__(
        self,
        connection: Connection,
        channels: BulkChannels,
        upload: str,
        lanes: Sequence[Iterable[list[Stretch]]],
        committed: dict[str, int],
        tally: Tally,
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._upload = upload
        self._lanes = lanes
        self._committed = committed
        self._tally = tally

    def __iter__(self) -> Iterator[Any]:
        with ThreadPoolExecutor(min(4, cores()), "regsvc-encode") as pool:
            ended: queue.SimpleQueue[_Stream] = queue.SimpleQueue()
            streams: list[_Stream] = []
            try:
                for number, lane in enumerate(self._lanes):
                    asking = _Asking(self._connection, self._upload, self._committed)
                    streams.append(_Stream(lane, asking, pool, self._tally))
                    streams[-1].begin(self._channels.stream(number).WriteChunks, ended)
                responses = [ended.get().result() for _ in streams]
            finally:
                for stream in streams:
                    stream.stop()
                pool.shutdown(cancel_futures=True)
                for stream in streams:
                    stream.close()
        yield from responses


class _Asking:
    """Asks the server, window by window, which chunks it lacks."""

    def __init__(self, connection: Connection, upload: str, committed: dict[str, int]) -> None:
        self.upload = upload
        limits = connection.capabilities()
        # A message is full once it has this, and what filled it may be a whole chunk.
        room = limits.max_message_data_bytes - limits.max_chunk_bytes
        self.message_bytes = max(1, min(MESSAGE_BYTES, room))
        self._connection = connection
        self._committed = committed
        self._known: set[bytes] = set()  # chunks that the server has or that this stream has sent
        self._question: Any = None
        self._ended = False

    def missing(self, window: list[Stretch]) -> set[bytes]:
        """Digests of chunks in the window that must be sent."""
        unknown = dict.fromkeys(
            chunk.digest
            for stretch in window
            if stretch.offset + stretch.size > self._committed.get(stretch.file.path, 0)
            for chunk in stretch.chunks
            if chunk.digest not in self._known
        )
        if not unknown:
            return set()
        digests = list(unknown)
        request = artifact_pb2.FindMissingChunksRequest(upload=self.upload, digests=digests)
        # Without patience: if the server is away, so is the stream, and both begin again together.
        answer = self._connection.call(self._ask, request, timeout=_ANSWER_TIMEOUT, patience=0)
        self._known.update(digests)
        return {digests[position] for position in answer.missing}

    def stop(self) -> None:
        """No answer is waited for any more: Ctrl-C does not take two minutes."""
        self._ended = True
        if self._question is not None:
            self._question.cancel()

    def _ask(self, request: Any, timeout: float) -> Any:
        question = self._connection.artifacts.FindMissingChunks.future(request, timeout=timeout)
        self._question = question
        if self._ended:
            question.cancel()
        return question.result()


class _Stream:
    """One WriteChunks call."""

    def __init__(
        self, lane: Iterable[list[Stretch]], asking: _Asking, pool: ThreadPoolExecutor, tally: Tally
    ) -> None:
        self._asking = asking
        self._pool = pool
        self._tally = tally
        self._failure: BaseException | None = None
        self._call: Any = None
        self._reading = Prefetch(lane, 1, "regsvc-read")
        self._parts = Prefetch(self._batches(), 1, "regsvc-ask")

    def begin(self, method: Any, ended: queue.SimpleQueue[_Stream]) -> None:
        """Start sending; the stream puts itself into `ended` at its end, good or bad."""
        self._call = method.future(self._messages())
        self._call.add_done_callback(lambda _: ended.put(self))

    def result(self) -> Any:
        """The response. Raises what stopped the stream: that comes before what it did to the call."""
        try:
            response = self._call.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            raise self._failure or self._call from None
        if self._failure is not None:
            raise self._failure
        return response

    def stop(self) -> None:
        """End the call and its stages, without waiting for them."""
        # The call first: it must not take the end of the closed stages for the end of the files.
        if self._call is not None:
            self._call.cancel()
        self._asking.stop()
        self._parts.cancel()

    def close(self) -> None:
        """Wait until the threads have ended."""
        self._reading.close()
        self._parts.close()

    def _messages(self) -> Iterator[Any]:
        """Runs in gRPC's thread, which would only log what is raised here."""
        try:
            ahead: deque[tuple[_Batch, Future[list[_Frame]]]] = deque()
            for batch in self._parts:
                ahead.append((batch, self._pool.submit(_encode, batch.needed)))
                if len(ahead) > min(4, cores()):
                    yield self._message(*ahead.popleft())
            while ahead:
                yield self._message(*ahead.popleft())
        except Exception as error:  # noqa: BLE001 - raised again by result()
            self._failure = error

    def _message(self, batch: _Batch, encoding: Future[list[_Frame]]) -> Any:
        frames = encoding.result()
        self._tally.count(len(frames), sum(len(frame.payload) for frame in frames), batch.size)
        return batch.message(self._asking.upload, frames)

    def _batches(self) -> Iterator[_Batch]:
        """What goes into each message, once it is known what the server lacks."""
        target = self._asking.message_bytes
        batch = _Batch(target)
        for window in self._reading:
            missing = self._asking.missing(window)
            # Taken out one by one, so that what has been sent is not held until the window ends.
            window.reverse()
            while window:
                stretch = window.pop()
                begin = 0
                for position, chunk in enumerate(stretch.chunks, 1):
                    batch.refs += 1
                    batch.read += chunk.size if chunk.data is not None else 0
                    if chunk.digest in missing:
                        missing.discard(chunk.digest)
                        batch.needed.append(chunk)
                        batch.needed_size += chunk.size
                    if batch.full:
                        batch.add(stretch, begin, position)
                        yield batch
                        batch, begin = _Batch(target), position
                if begin < len(stretch.chunks) or not stretch.chunks:
                    batch.add(stretch, begin, len(stretch.chunks))
                if batch.full:
                    yield batch
                    batch = _Batch(target)
        if batch.parts:
            yield batch


@dataclass(frozen=True)
class _Frame:
    digest: bytes
    codec: int
    raw_size: int
    payload: bytes | bytearray | memoryview


@dataclass(frozen=True)
class _Part:
    """Some chunks of a file, as a recipe names them."""

    path: str
    offset: int
    chunks: list[tuple[bytes, int]]
    """Digest and raw size."""
    finish: bool
    digest: bytes | None


@dataclass
class _Batch:
    """What goes into one message: chunks, and the recipes that they complete."""

    target: int
    """Raw bytes of chunks that fill it."""
    needed: list[SourceChunk] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)
    needed_size: int = 0
    refs: int = 0
    size: int = 0
    """Raw bytes of all chunks that the recipes name."""
    read: int = 0
    """Raw bytes of the chunks that were read here, not only known: there the server has no time to win."""

    @property
    def full(self) -> bool:
        return (
            self.needed_size >= self.target
            or self.read >= NAMED_BYTES
            or self.refs + len(self.parts) >= MESSAGE_REFS
        )

    def add(self, stretch: Stretch, begin: int, end: int) -> None:
        """The chunks [begin, end) of a stretch."""
        chosen = stretch.chunks[begin:end]
        ends = end == len(stretch.chunks) and stretch.digest is not None
        offset = chosen[0].offset if chosen else stretch.offset
        chunks = [(chunk.digest, chunk.size) for chunk in chosen]
        self.parts.append(_Part(stretch.file.path, offset, chunks, ends, stretch.digest if ends else None))
        self.size += sum(chunk.size for chunk in chosen)

    def message(self, upload: str, frames: list[_Frame]) -> Any:
        head = artifact_pb2.WriteChunksRequest(
            upload=upload,
            frames=[
                artifact_pb2.ChunkFrame(
                    digest=frame.digest,
                    codec=frame.codec,  # type: ignore[arg-type]
                    raw_size=frame.raw_size,
                    stored_size=len(frame.payload),
                )
                for frame in frames
            ],
            recipes=map(_recipe, self.parts),
        )
        return Bulk(head, [frame.payload for frame in frames])


def _encode(chunks: list[SourceChunk]) -> list[_Frame]:
    """The frames of the chunks, which are let go of one by one; runs in the pool."""
    frames = []
    for chunk in chunks:
        encoded = codec.encode(chunk.read(), chunk.layout)
        frames.append(_Frame(chunk.digest, int(encoded.codec), chunk.size, encoded.payload))
    chunks.clear()
    return frames


def _recipe(part: _Part) -> Any:
    return artifact_pb2.RecipePart(
        path=part.path,
        offset=part.offset,
        chunks=[artifact_pb2.ChunkRef(digest=digest, size=size) for digest, size in part.chunks],
        finish=part.finish,
        digest=part.digest.hex() if part.digest is not None else "",
    )
