"""Fetches chunks by ReadChunks, over one stream or several, and hands them to be put in their places."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import BulkChannels, Connection, translate
from regsvc.client.machine import streams_for
from regsvc.client.placing import Place, Placing, Written
from regsvc.client.resume import resumed
from regsvc.client.staging import Bytes
from regsvc.content import codec
from regsvc.v1 import artifact_pb2

SILENCE = 30.0
"""Seconds without a byte after which a stream is taken for dead and opened again."""


@dataclass(frozen=True)
class _Frame:
    """One frame as it came, and the chunk that it must be."""

    codec: int
    payload: memoryview
    places: Sequence[Place]


class Fetching:
    """The chunks that a pull lacks on this host."""

    def __init__(self, connection: Connection, version: refs.VersionRef, placing: Placing) -> None:
        self._connection = connection
        self._channels = connection.bulk()
        self._version = version
        self._placing = placing
        self._wanted: list[Place] = []
        self._also: dict[bytes, list[Place]] = {}
        """Further places of chunks that are wanted already."""
        self._streams: list[_Stream] = []

    @property
    def received(self) -> int:
        """Payload bytes that came."""
        return sum(stream.received for stream in self._streams)

    def close(self) -> None:
        """End what is under way."""
        self._channels.close()

    def want(self, place: Place) -> None:
        """Add a chunk to fetch. A chunk that is wanted already is fetched once."""
        also = self._also.get(place.digest)
        if also is None:
            self._also[place.digest] = []
            self._wanted.append(place)
        else:
            also.append(place)

    def run(self) -> None:
        """Fetch everything that was wanted since the last time.

        Raises `DigestMismatch`, `OSError`, and what the server answers; then every stream has stopped.
        """
        wanted, self._wanted = self._wanted, []
        also, self._also = self._also, {}
        if not wanted:
            return
        parts = _parted(wanted, streams_for(sum(place.size for place in wanted)))
        streams = [
            _Stream(self._connection, self._channels, number, self._version, self._placing, part, also)
            for number, part in enumerate(parts)
        ]
        self._streams += streams
        failures: list[BaseException] = []

        def fetch(stream: _Stream) -> None:
            try:
                stream.run()
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)
                for other in streams:
                    other.stop()

        threads = [threading.Thread(target=fetch, args=[stream], daemon=True) for stream in streams[1:]]
        for thread in threads:
            thread.start()
        fetch(streams[0])
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


class _Stream:
    """One stream's share of the chunks, as a strategy of `resumed`: those that came are not asked for again."""

    def __init__(
        self,
        connection: Connection,
        channels: BulkChannels,
        number: int,
        version: refs.VersionRef,
        placing: Placing,
        wanted: Sequence[Place],
        also: dict[bytes, list[Place]],
    ) -> None:
        self.received = 0
        self._connection = connection
        self._channels = channels
        self._number = number
        self._version = version
        self._placing = placing
        self._wanted = wanted
        self._also = also
        self._next = 0
        """How many of the wanted chunks have come."""
        self._asked = 0
        self._call: Any = None
        self._stopped = False

    def run(self) -> None:
        while self._next < len(self._wanted):
            for _ in resumed(
                self,
                translate=lambda error: translate(error, self._connection.target),
                silence=SILENCE,
            ):
                pass
            if self._next != self._asked:
                raise errors.DataLoss("the server ended a stream of chunks before the last one")

    def stop(self) -> None:
        """Fetch no more; another stream has failed."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()

    def open(self) -> Iterable[Any]:
        self._check()
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
        self._call = self._channels.stream(self._number).ReadChunks(request)
        call: Iterable[Any] = self._call
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
            places = (self._wanted[self._next], *self._also[frame.digest])
            frames.append(_Frame(frame.codec, payload, places))
            position += frame.stored_size
            self._next += 1
        self._placing.submit(lambda: _write(frames))
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        """Nothing to learn: the next request begins where this one broke off, over a new connection."""
        self._channels.drop(self._number)

    def progress(self) -> int:
        return self._next

    def _check(self) -> None:
        if self._stopped:
            raise errors.Aborted("another stream of this pull has failed")


def _write(frames: list[_Frame]) -> Written:
    """Decode, check and write; runs in a worker."""
    written: list[tuple[Place, Bytes | None]] = []
    for frame in frames:
        data = _decode(frame)
        for place in frame.places:
            if place.file.lone:
                place.file.write_whole(data)
            else:
                place.file.write(place.number, data)
            written.append((place, data))
    return written


def _decode(frame: _Frame) -> Bytes:
    """The raw bytes of a chunk, proven. Raises `DigestMismatch`."""
    place = frame.places[0]
    raw: Bytes
    try:
        if frame.codec == codec.Codec.RAW and len(frame.payload) == place.size:
            raw = frame.payload  # saves a copy
        else:
            raw = codec.decode(frame.codec, frame.payload, place.size)
    except codec.FrameError:
        raw = b""
    if not raw or blake3(raw).digest() != place.digest:
        path = place.file.remote.path
        raise errors.DigestMismatch(f"a chunk of {path!r} came damaged", path=path)
    return raw


def _parted(wanted: Sequence[Place], streams: int) -> list[Sequence[Place]]:
    """The chunks in as many stretches of about the same number of bytes."""
    total = sum(place.size for place in wanted)
    parts: list[Sequence[Place]] = []
    begin = size = 0
    for end, place in enumerate(wanted, 1):
        size += place.size
        if size * streams >= total * (len(parts) + 1):
            parts.append(wanted[begin:end])
            begin = end
    if begin < len(wanted):
        parts.append(wanted[begin:])
    return parts


def _runs(wanted: Sequence[Place], first: int) -> Iterator[tuple[str, int, int, int]]:
    """Path, offset, length and number of chunks of the stretches that the wanted chunks from `first` make up."""
    begin = first
    while begin < len(wanted):
        file, number = wanted[begin]
        end = begin + 1
        while end < len(wanted) and wanted[end] == (file, number + end - begin):
            end += 1
        offset = file.remote.offsets[number]
        yield file.remote.path, offset, sum(place.size for place in wanted[begin:end]), end - begin
        begin = end
