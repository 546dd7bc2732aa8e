"""Proven chunks of one version: from a bounded cache in memory, or fetched in one stream of ReadChunks."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.file_chunks import FileChunks
from regsvc.client.resume import resumed
from regsvc.content import codec
from regsvc.v1 import artifact_pb2

Raw: TypeAlias = bytes | memoryview

CACHE_BYTES = 32 << 20
"""Decoded chunks that a source keeps at most."""

_SILENCE = 30.0
"""Seconds without a chunk after which the stream is opened again."""
_REQUEST, _RANGE = 1 << 20, 30
"""Bytes of a request, about, after which the rest is left to the next; of a range in it besides its path."""
_INLINE = 4 << 20
"""Raw bytes of a stream up to which the reading thread decodes by itself: handing over costs more."""
_DECODERS = min(2, os.cpu_count() or 1)
_BATCH = 1 << 20
"""Raw bytes that a decoder takes at a time. A message of well compressed chunks may hold a thousand times more."""
_HEAD = 4 << 10
"""Bytes of a message that are not the chunk it brings, at most, if it brings only one."""
_BATCHES = 4
"""Batches in decoding at once."""


class Place(NamedTuple):
    """A chunk of a file."""

    file: FileChunks
    number: int

    @property
    def digest(self) -> bytes:
        """BLAKE3 of the chunk, 32 bytes."""
        return self.file.chunk_digest(self.number)

    @property
    def size(self) -> int:
        """Raw bytes."""
        return self.file.end(self.number) - self.file.begin(self.number)


class ChunkSource:
    """Reads chunks of one version. Any number of threads may use one."""

    def __init__(self, connection: Connection, version: refs.VersionRef) -> None:
        self._connection = connection
        self._version = version
        self._lock = threading.Lock()  # protects the three below
        self._received = 0
        self._kept: OrderedDict[bytes, Raw] = OrderedDict()
        self._kept_bytes = 0

    @property
    def bytes_received(self) -> int:
        """Payload bytes that came from the server, as encoded."""
        with self._lock:
            return self._received

    def read(self, places: Sequence[Place]) -> Generator[Raw, None, None]:
        """The raw bytes of each place, in order; all that are not in the cache come in one stream.

        Raises `DigestMismatch`, `ChunkDamaged`, and what else the server answers. Nothing is fetched before the
        first is asked for; closing the iterator ends the stream.
        """
        held = {place.digest: raw for place in places if (raw := self.cached(place)) is not None}
        missing = [place for place in places if place.digest not in held]
        # A large read would push out everything for chunks that nobody reads again, save perhaps its last.
        few = sum(place.size for place in missing) <= CACHE_BYTES // 2
        with closing(iter(self.stream(missing))) as fetched:
            for number, place in enumerate(places):
                raw = held.get(place.digest)
                if raw is None:
                    raw = next(fetched)
                    if few or number == len(places) - 1:
                        self.keep(place, raw)
                yield raw
            next(fetched, None)  # a call whose end is not read counts as cancelled

    def stream(self, places: Sequence[Place]) -> ChunkStream:
        """A stream of these chunks that passes the cache by."""
        return ChunkStream(self._connection, self._version, places, self._count)

    def cached(self, place: Place) -> Raw | None:
        """A chunk, if it is in the cache."""
        digest = place.digest
        with self._lock:
            raw = self._kept.get(digest)
            if raw is not None:
                self._kept.move_to_end(digest)
            return raw

    def keep(self, place: Place, raw: Raw) -> None:
        """Put a proven chunk into the cache."""
        with self._lock:
            if place.digest not in self._kept:
                self._kept[place.digest] = raw
                self._kept_bytes += len(raw)
            while self._kept_bytes > CACHE_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._kept.clear()
            self._kept_bytes = 0

    def _count(self, received: int) -> None:
        with self._lock:
            self._received += received


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks that came together."""

    count: int
    size: int
    """Raw bytes."""
    raws: Future[list[Raw]]
    """Their bytes, proven. Its result raises `DigestMismatch`."""


class ChunkStream:
    """Chunks in the order asked, in one stream that outlasts disconnects.

    To be read once, by either way; `cancel` may be called from any thread.
    """

    def __init__(
        self,
        connection: Connection,
        version: refs.VersionRef,
        places: Sequence[Place],
        received: Callable[[int], None],
    ) -> None:
        self._places = places
        self._fetching = _Fetching(connection, version, places, received)

    def cancel(self) -> None:
        """End the stream; whoever waits for it gets an error."""
        self._fetching.cancel()

    def __iter__(self) -> Generator[Raw, None, None]:
        """The raw bytes of each chunk, proven."""
        if sum(place.size for place in self._places) <= _INLINE:
            for frames in self._fetching.run():
                yield from map(_prove, frames)
            return
        decoding: deque[Future[list[Raw]]] = deque()
        with closing(self.batches()) as batches:
            for batch in batches:
                decoding.append(batch.raws)
                while decoding and (len(decoding) > _BATCHES or decoding[0].done()):
                    yield from decoding.popleft().result()
        for raws in decoding:
            yield from raws.result()

    def batches(self) -> Generator[Batch, None, None]:
        """Chunks as they come, while threads decode them; when the generator ends all are decoded."""
        with ThreadPoolExecutor(_DECODERS, "regsvc-decode") as pool:
            for frames in self._fetching.run():
                size = sum(frame.place.size for frame in frames)
                yield Batch(len(frames), size, pool.submit(_prove_all, frames))


class _Frame(NamedTuple):
    """One frame as it came, and the chunk that it must be."""

    place: Place
    codec: int
    payload: memoryview


class _Fetching:
    """The strategy of `resumed` behind a stream: chunks that came are not asked for again."""

    def __init__(
        self,
        connection: Connection,
        version: refs.VersionRef,
        places: Sequence[Place],
        received: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._version = version
        self._places = places
        self._received = received
        self._next = 0
        """How many of the places have come."""
        self._asked = 0
        self._call: Any = None
        self._cancelled = False

    def run(self) -> Iterator[list[_Frame]]:
        while self._next < len(self._places):
            yield from resumed(
                self, translate=lambda error: translate(error, self._connection.target), silence=_SILENCE
            )
            if self._next != self._asked:
                raise errors.DataLoss("the server ended a stream of chunks before the last one")

    def cancel(self) -> None:
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    def open(self) -> Iterable[Any]:
        most = self._connection.capabilities().max_read_ranges or 1
        request = artifact_pb2.ReadChunksRequest(version=self._version.wire)
        request.accept.extend(int(each) for each in codec.Codec)  # type: ignore[misc]
        self._asked = self._next
        size = 0
        for path, offset, length, count in _runs(self._places, self._next):
            if len(request.ranges) == most or size > _REQUEST:
                break
            request.ranges.add(path=path, offset=offset, length=length)
            self._asked += count
            size += len(path.encode()) + _RANGE
        if not request.ranges:  # the stream broke off behind the last chunk
            return ()
        call: Iterable[Any] = self._connection.ranged().ReadChunks(request)
        self._call = call
        if self._cancelled:  # meanwhile: whichever of the two threads comes second cancels
            self._call.cancel()
        return call

    def take(self, response: Any) -> Iterable[list[_Frame]]:
        data: memoryview = response.data
        self._received(len(data))
        frames, position = [], 0
        for frame in response.head.frames:
            if self._next >= self._asked or frame.digest != self._places[self._next].digest:
                raise errors.DigestMismatch("the server sent a chunk that was not asked for")
            payload = data[position : position + frame.stored_size]
            frames.append(_Frame(self._places[self._next], frame.codec, payload))
            position += frame.stored_size
            self._next += 1
        return _batches(frames)

    def recover(self, error: errors.RegsvcError) -> None:
        """Nothing to learn: the next request begins where this one broke off."""
        if self._cancelled:
            raise errors.Aborted("the stream was cancelled")

    def progress(self) -> int:
        return self._next


def _runs(places: Sequence[Place], first: int) -> Iterator[tuple[str, int, int, int]]:
    """Path, offset, length and number of chunks of the stretches that the places from `first` on make up."""
    begin = first
    while begin < len(places):
        file, number = places[begin]
        end = begin + 1
        while end < len(places) and places[end] == (file, number + end - begin):
            end += 1
        offset = file.begin(number)
        yield file.path, offset, file.begin(number + end - begin) - offset, end - begin
        begin = end


def _batches(frames: Iterable[_Frame]) -> Iterator[list[_Frame]]:
    """The frames of a message, about `_BATCH` raw bytes at a time."""
    batch: list[_Frame] = []
    size = 0
    for frame in frames:
        batch.append(frame)
        size += frame.place.size
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _prove_all(frames: Iterable[_Frame]) -> list[Raw]:
    return [_prove(frame) for frame in frames]


def _prove(frame: _Frame) -> Raw:
    """The raw bytes of a chunk. Raises `DigestMismatch`.

    A raw payload stays where it came if it is alone there; else it would keep its neighbours in memory.
    """
    place, payload = frame.place, frame.payload
    size = place.size
    alone = memoryview(payload.obj).nbytes - len(payload) <= _HEAD
    try:
        raw: Raw
        if frame.codec == codec.Codec.RAW and len(payload) == size and alone:
            raw = payload
        else:
            raw = codec.decode(frame.codec, payload, size)
    except codec.FrameError:
        raw = b""
    if blake3(raw).digest() != place.digest:
        path = place.file.path
        raise errors.DigestMismatch(f"a chunk of {path!r} came damaged", path=path)
    return raw
