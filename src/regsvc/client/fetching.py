"""Fetches chunks by ReadChunks and puts them in their places.

One thread receives, a few decode, check and write, one proves file digests in order; at most `_WINDOW` messages
are in between.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.client.staging import Bytes, StagedFile
from regsvc.content import codec
from regsvc.v1 import artifact_pb2

_WINDOW = 32
"""Messages, of about 1 MiB, that have been received and not yet proven."""
_DECODERS = min(4, os.cpu_count() or 1)
_SILENCE = 120.0
"""Seconds without a chunk after which the stream is opened again."""


class Place(NamedTuple):
    """Where a chunk belongs."""

    file: StagedFile
    number: int

    @property
    def digest(self) -> bytes:
        return self.file.remote.chunk(self.number)

    @property
    def size(self) -> int:
        return self.file.remote.chunk_sizes[self.number]


@dataclass(frozen=True)
class _Frame:
    """One frame as it came, and the chunk that it must be."""

    digest: bytes
    codec: int
    payload: memoryview
    place: Place


class Fetching:
    """The chunks that a pull lacks, as a strategy of `resumed`: those that came are not asked for again."""

    def __init__(
        self, connection: Connection, version: refs.VersionRef, finished: Callable[[str], None]
    ) -> None:
        self.received = 0
        """Payload bytes that came."""
        self.placed = 0
        """Raw bytes that are in their places."""
        self._connection = connection
        self._version = version
        self._finished = finished
        self._wanted: list[Place] = []
        self._also: dict[bytes, list[Place]] = {}
        """Further places of chunks that are wanted already."""
        self._next = 0
        """How many of the wanted chunks have come."""
        self._asked = 0
        self._workers = ThreadPoolExecutor(_DECODERS, "regsvc-decode")
        self._prover = ThreadPoolExecutor(1, "regsvc-prove")
        self._room = threading.BoundedSemaphore(_WINDOW)
        self._error: BaseException | None = None

    def want(self, places: Iterable[Place]) -> None:
        """Add chunks to fetch. A chunk that is wanted already is fetched once."""
        for place in places:
            also = self._also.get(place.digest)
            if also is None:
                self._also[place.digest] = []
                self._wanted.append(place)
            else:
                also.append(place)

    def run(self) -> None:
        """Fetch everything. Raises `DigestMismatch`, `OSError`, and what the server answers."""
        while self._next < len(self._wanted):
            for _ in resumed(
                self,
                translate=lambda error: translate(error, self._connection.target),
                silence=_SILENCE,
            ):
                pass
            if self._next != self._asked:
                raise errors.DataLoss("the server ended a stream of chunks before the last one")
        self._prover.submit(lambda: None).result()  # what came last has been proven
        self._check()

    def close(self) -> None:
        """Stop the threads; what is written stays for the next pull."""
        self._workers.shutdown(cancel_futures=True)
        self._prover.shutdown(cancel_futures=True)

    def open(self) -> Iterable[Any]:
        most = self._connection.capabilities().max_read_ranges or 1
        request = artifact_pb2.ReadChunksRequest(version=self._version.wire)
        request.accept.extend(int(each) for each in codec.Codec)  # type: ignore[misc]
        self._asked = self._next
        for path, offset, length, count in _runs(self._wanted, self._next):
            if len(request.ranges) == most:
                break
            request.ranges.add(path=path, offset=offset, length=length)
            self._asked += count
        if not request.ranges:  # the stream broke off behind the last chunk
            return ()
        call: Iterable[Any] = self._connection.artifacts.ReadChunks(request)
        return call

    def take(self, response: Any) -> Iterable[None]:
        self._check()
        data = response.data
        self.received += len(data)
        frames, position = [], 0
        for frame in response.head.frames:
            if self._next >= self._asked or frame.digest != self._wanted[self._next].digest:
                raise errors.DigestMismatch("the server sent a chunk that was not asked for")
            payload = data[position : position + frame.stored_size]
            frames.append(_Frame(frame.digest, frame.codec, payload, self._wanted[self._next]))
            position += frame.stored_size
            self._next += 1
        self._room.acquire()
        self._prover.submit(self._prove, self._workers.submit(self._write, frames))
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        """Nothing to learn: the next request begins where this one broke off."""

    def progress(self) -> int:
        return self._next

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self, frames: list[_Frame]) -> list[tuple[Place, Bytes]]:
        """Decode, check and write; runs in a worker."""
        written: list[tuple[Place, Bytes]] = []
        for frame in frames:
            data = _decode(frame)
            for place in (frame.place, *self._also[frame.digest]):
                place.file.write(place.number, data)
                written.append((place, data))
        return written

    def _prove(self, writing: Future[list[tuple[Place, Bytes]]]) -> None:
        """Hash files in order; runs in the one proving thread."""
        try:
            if self._error is None:
                for place, data in writing.result():
                    place.file.arrived(place.number, data)
                    self.placed += place.size
                    if place.file.done:
                        self._finished(place.file.location)
        except BaseException as error:  # noqa: BLE001 - raised again by the receiving thread
            self._error = error
        finally:
            self._room.release()


def _decode(frame: _Frame) -> Bytes:
    """The raw bytes of a chunk. Raises `DigestMismatch`.

    Of a file of several chunks they are proven when they are hashed in order with the rest of the file, whose
    digest the manifest holds; hashing them alone as well would cost a fifth of the pull and prove no more.
    """
    size = frame.place.size
    try:
        raw: Bytes
        if frame.codec == codec.Codec.RAW and len(frame.payload) == size:
            raw = frame.payload  # saves a copy
        else:
            raw = codec.decode(frame.codec, frame.payload, size)
    except codec.FrameError:
        raw = b""
    lone = len(frame.place.file.remote.chunk_sizes) == 1
    if not raw or (lone and blake3(raw).digest() != frame.digest):
        path = frame.place.file.remote.path
        raise errors.DigestMismatch(f"a chunk of {path!r} came damaged", path=path)
    return raw


def _runs(wanted: list[Place], first: int) -> Iterator[tuple[str, int, int, int]]:
    """Path, offset, length and number of chunks of the stretches that the wanted chunks from `first` make up."""
    begin = first
    while begin < len(wanted):
        file, number = wanted[begin]
        end = begin + 1
        while end < len(wanted) and wanted[end] == (file, number + end - begin):
            end += 1
        offset = file.offsets[number]
        length = sum(place.size for place in wanted[begin:end])
        yield file.remote.path, offset, length, end - begin
        begin = end
