"""A server as a source: its items, across any number of disconnects, and the chunks of what is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from regsvc import errors
from regsvc.client.connection import BulkChannels, Connection, translate
from regsvc.client.resume import DEFAULT_PATIENCE, resumed
from regsvc.client.streams import check_same_store
from regsvc.client.transferring.report import name_of
from regsvc.content import codec
from regsvc.v1 import transfer_pb2 as pb

SILENCE = 60.0
"""Seconds without a message after which a stream of chunks is taken for dead."""


class Contents(IntEnum):
    """As in transfer.proto."""

    NONE = 0
    ALL = 1
    POINTS = 2


class Piece(NamedTuple):
    """A chunk at its place in a file, attachment or log."""

    blob: str
    """Digest of the whole, 64 hex digits."""
    offset: int
    digest: bytes
    size: int


class Frames(NamedTuple):
    """Stored chunks on their way: what describes them, and their payloads end to end."""

    frames: Sequence[Any]
    data: memoryview


@dataclass(frozen=True)
class Batch:
    """Some items, and where to go on after them when the last ends its resource."""

    items: Sequence[Any]
    cursor: str


@dataclass(frozen=True)
class Selection:
    """What to export."""

    names: Sequence[str]
    contents: Contents = Contents.NONE
    only: bool = False
    filter: str = ""


class ServerSource:
    """Items and chunks of a server."""

    def __init__(self, connection: Connection, patience: float = DEFAULT_PATIENCE) -> None:
        self._connection = connection
        self._channels = connection.bulk()
        self._patience = patience
        self.store_id: str = connection.capabilities().store_id

    def export(self, selection: Selection, cursor: str = "") -> Iterator[Batch]:
        """Items in order; after a disconnect some may come again.

        Raises `NotFound`, `NameInvalid`, `FilterInvalid`, `Unavailable`.
        """
        return resumed(
            _Exporting(self._connection, selection, cursor),
            translate=lambda error: translate(error, self._connection.target),
            patience=self._patience,
        )

    def contents(self, item: Any) -> ServerContents:
        """What belongs to a version, its state, or a build, beside the item."""
        state = item.WhichOneof("item") == "version_state"
        return ServerContents(self, name_of(item), Contents.POINTS if state else Contents.ALL)

    def frames(self, name: str, pieces: Sequence[Piece]) -> Iterator[Frames]:
        """The chunks of a version or build at these places, in order."""
        reading = _Reading(self._connection, self._channels, name, pieces)
        while not reading.done:
            yield from resumed(
                reading,
                translate=lambda error: translate(error, self._connection.target),
                patience=self._patience,
                silence=SILENCE,
            )

    def close(self) -> None:
        """End the connection of the chunks."""
        self._channels.close()


class ServerContents:
    """Files, blobs and points of one version or build."""

    def __init__(self, source: ServerSource, name: str, kind: Contents) -> None:
        self._source = source
        self._name = name
        self._kind = kind

    def items(self) -> Iterator[Any]:
        """Manifest, Blob and Points items."""
        for batch in self._source.export(Selection([self._name], self._kind, only=True)):
            for item in batch.items:
                if item.WhichOneof("item") in ("manifest", "blob", "points"):
                    yield item

    def frames(self, pieces: Sequence[Piece]) -> Iterator[Frames]:
        """The chunks at these places, in order."""
        return self._source.frames(self._name, pieces)

    def again(self) -> None:
        """They can be read as often as needed."""


class _Exporting:
    """Strategy of `resumed` for `Export`: contents that came since the last cursor are passed over."""

    def __init__(self, connection: Connection, selection: Selection, cursor: str) -> None:
        self._connection = connection
        self._selection = selection
        self._cursor = cursor
        self._since = 0
        """Items handed out since the cursor."""
        self._skip = 0

    def open(self) -> Iterable[Any]:
        chosen = self._selection
        call: Iterable[Any] = self._connection.transfers.Export(
            pb.ExportRequest(
                names=chosen.names,
                contents=chosen.contents.value,  # type: ignore[arg-type]
                only=chosen.only,
                filter=chosen.filter,
                cursor=self._cursor,
            )
        )
        # Contents come again as they were. Whole resources may be others by now, and may as well come twice.
        self._skip = self._since if chosen.contents else 0
        return call

    def take(self, response: Any) -> Iterator[Batch]:
        new = response.items[self._skip :]
        self._skip -= len(response.items) - len(new)
        self._since += len(new)
        if response.cursor:
            self._cursor, self._since, self._skip = response.cursor, 0, 0
        if new:
            yield Batch(new, response.cursor)

    def recover(self, error: errors.RegsvcError) -> None:
        check_same_store(self._connection)

    def progress(self) -> tuple[str, int]:
        return self._cursor, self._since


class _Reading:
    """Strategy of `resumed` for `ReadBlobs`: chunks that came are not asked for again."""

    def __init__(
        self, connection: Connection, channels: BulkChannels, name: str, pieces: Sequence[Piece]
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._name = name
        self._pieces = pieces
        self._next = 0
        self._asked = 0

    @property
    def done(self) -> bool:
        """All have come."""
        return self._next == len(self._pieces)

    def open(self) -> Iterable[Any]:
        most = self._connection.capabilities().max_read_ranges or 1
        request = pb.ReadBlobsRequest(name=self._name)
        request.accept.extend(int(each) for each in codec.Codec)  # type: ignore[misc]
        self._asked = self._next
        for begin, end in _runs(self._pieces, self._next):
            if len(request.ranges) == most:
                break
            first, last = self._pieces[begin], self._pieces[end - 1]
            length = last.offset + last.size - first.offset
            request.ranges.add(digest=first.blob, offset=first.offset, length=length)
            self._asked = end
        if not request.ranges:
            return ()
        call: Iterable[Any] = self._channels.stream(0).ReadBlobs(request)
        return call

    def take(self, response: Any) -> Iterator[Frames]:
        for frame in response.head.frames:
            if self._next >= self._asked or frame.digest != self._pieces[self._next].digest:
                raise errors.DigestMismatch("the source sent a chunk that was not asked for")
            self._next += 1
        yield Frames(response.head.frames, response.data)

    def recover(self, error: errors.RegsvcError) -> None:
        self._channels.drop(0)
        check_same_store(self._connection)

    def progress(self) -> int:
        return self._next


def _runs(pieces: Sequence[Piece], first: int) -> Iterator[tuple[int, int]]:
    """Stretches of pieces that are neighbours in one blob."""
    begin = first
    while begin < len(pieces):
        end = begin + 1
        while end < len(pieces) and _neighbours(pieces[end - 1], pieces[end]):
            end += 1
        yield begin, end
        begin = end


def _neighbours(one: Piece, next_one: Piece) -> bool:
    return one.blob == next_one.blob and one.offset + one.size == next_one.offset
