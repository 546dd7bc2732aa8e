"""What is exported: items of resources, in an order in which what is pointed at comes first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile

from regsvc.catalog import transfer_export, versions
from regsvc.catalog.builds import BuildState
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.events import Event
from regsvc.catalog.transfer_items import (
    AliasItem,
    BlobItem,
    BuildItem,
    FilePart,
    Item,
    LeftOutItem,
    ManifestItem,
    Owner,
    PointsItem,
    VersionItem,
)
from regsvc.errors import InvalidArgument, NotFound, OutOfRange, VersionDeleted
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef
from regsvc.service.eventfilter import EventFilter
from regsvc.service.limits import Limits
from regsvc.service.reading import StoredFrame, VersionReader
from regsvc.service.transfer_units import RULES, Place, Scope, Unit, Units, cursor_of, place_of

MAX_NAMES = 1_000
"""Names of one export."""
NOTES = 16
"""Notes of one item, each at most 64 KiB."""
POINTS = 10_000
"""Points of one item: about 300 KiB."""
MOVES = 200
"""Moves of one item, with reasons of at most 4 KiB."""
MANIFEST_BYTES = 1 << 20
"""What one part of a manifest takes, about."""
SEAL_WAIT, SEAL_WAITS = 0.1, 100
"""Seconds between looks at a build that has just ended, and how many: its log is sealed meanwhile."""
CHUNKS = 8_192
"""Chunks of one item."""
_UNDER_WAY = {BuildState.RUNNING: "it is running", BuildState.QUEUED: "it waits for a runner"}


class Contents(IntEnum):
    """As in transfer.proto."""

    NONE = 0
    ALL = 1
    POINTS = 2


@dataclass(frozen=True)
class Wanted:
    """What to export."""

    names: Sequence[str]
    contents: Contents = Contents.NONE
    only: bool = False
    cursor: str = ""
    filter: str = ""


Part = tuple[Item, str]
"""An item, and where to go on when it is the last of its resource, else nothing."""


class Exporter:
    """What `TransferService.Export` does."""

    def __init__(self, catalog: Catalog, files: VersionReader, limits: Limits):
        self._catalog = catalog
        self._files = files
        self._limits = limits
        self._units = Units(catalog)

    def export(self, wanted: Wanted) -> Iterator[Part]:
        """Items in order. Errors as Export documents; names that are none are refused before the first item."""
        if not 1 <= len(wanted.names) <= MAX_NAMES:
            raise InvalidArgument(f"1 to {MAX_NAMES} names", limit=MAX_NAMES)
        begin = place_of(wanted.cursor)
        admits = EventFilter(wanted.filter, self._limits)
        scopes = [self._units.scope(name) for name in wanted.names]
        return self._parts(scopes, wanted, begin, admits)

    def blobs(
        self, owner: Owner, ranges: Sequence[tuple[bytes, int, int]], accept: frozenset[int]
    ) -> Iterator[list[StoredFrame]]:
        """Frames of (digest, offset, length) of blobs of a version or build. Raises `NotFound`, `OutOfRange`."""

        def find(db: Reader) -> list[tuple[int, int, int]]:
            known: dict[bytes, tuple[int, int]] = {}
            found = []
            for digest, offset, length in ranges:
                if digest not in known:
                    known[digest] = transfer_export.blob(db, owner, digest)
                file_id, size = known[digest]
                if offset > size:
                    raise OutOfRange(f"blob {digest.hex()} ends at {size}", size=size)
                found.append((file_id, offset, size if length == 0 else min(size, offset + length)))
            return found

        return self._files.blob_frames(self._catalog.read(find), accept)

    def _parts(
        self, scopes: Sequence[Scope], wanted: Wanted, begin: Place | None, admits: EventFilter
    ) -> Iterator[Part]:
        for position, scope in enumerate(scopes):
            if begin is not None and position < begin.name:
                continue
            for unit in self._units.of(position, scope, only=wanted.only, filtered=bool(wanted.filter)):
                if begin is not None and unit.place <= begin:
                    continue
                if not admits(Event(0, 0, "", unit.name, {})):
                    continue
                items = _ended(self._items(unit, wanted.contents, only=wanted.only), cursor_of(unit.place))
                if scope.namespace:
                    items = _while_there(items, unit)
                yield from items

    def _items(self, unit: Unit, contents: Contents, *, only: bool) -> Iterator[Item]:
        resource = unit.resource
        match resource:
            case DatasetRef():
                yield self._catalog.read(lambda db: transfer_export.dataset(db, resource))
            case ModelName():
                yield self._catalog.read(lambda db: transfer_export.model(db, resource))
            case BuildName():
                yield from self._build(resource, contents)
            case VersionRef():
                yield from self._version(resource, contents, only=only)
            case AliasName() if unit.place.kind == RULES:
                yield self._catalog.read(lambda db: transfer_export.rules_of(db, resource))
            case AliasName():
                yield from self._alias(resource, unit.newest)

    def _build(self, name: BuildName, contents: Contents) -> Iterator[Item]:
        for left in reversed(range(SEAL_WAITS)):
            found = self._catalog.read(lambda db: transfer_export.build(db, name))
            if found.state in _UNDER_WAY:
                yield LeftOutItem(name.wire, _UNDER_WAY[found.state])
                return
            if transfer_export.is_settled(found):
                break
            if not left:
                yield LeftOutItem(name.wire, "its log is not sealed yet")
                return
            time.sleep(SEAL_WAIT)
        yield found
        if contents is Contents.ALL:
            yield from self._blobs(name, found)
        if contents:
            yield from self._build_points(name)

    def _build_points(self, name: BuildName) -> Iterator[Item]:
        after, first = (0, 0), 0
        while True:
            points, after = self._catalog.read(
                lambda db: transfer_export.build_points(db, name, after, POINTS)  # noqa: B023
            )
            if not points:
                return
            yield PointsItem(name, "", "", first, points)
            first += len(points)

    def _version(self, ref: VersionRef, contents: Contents, *, only: bool) -> Iterator[Item]:
        """Nothing of one that is deleted; whoever has begun to read its contents when that happens is told."""
        began = False
        try:
            for item in self._of_version(ref, contents):
                yield item
                began = True
        except VersionDeleted:
            if contents and (began or only):
                raise

    def _of_version(self, ref: VersionRef, contents: Contents) -> Iterator[Item]:
        found = self._catalog.read(lambda db: transfer_export.version(db, ref))
        yield found
        if contents is Contents.ALL:
            yield from self._manifest(ref)
            yield from self._blobs(ref, found)
        state = self._catalog.read(lambda db: transfer_export.version_state(db, ref))
        yield state
        if contents:
            for source, key, count in state.series:
                yield from self._series(ref, source, key, count)
        after = 0
        while True:
            notes, after = self._catalog.read(
                lambda db: transfer_export.notes_of(db, ref, after, NOTES)  # noqa: B023
            )
            if not notes.notes:
                return
            yield notes

    def _series(self, ref: VersionRef, source: str, key: str, count: int) -> Iterator[Item]:
        version_id = self._catalog.read(lambda db: versions.resolve(db, ref))
        for first in range(0, count, POINTS):
            most = min(POINTS, count - first)
            points = self._catalog.read(
                lambda db: transfer_export.evaluation_points(db, version_id, source, key, first, most)  # noqa: B023
            )
            yield PointsItem(ref, source, key, first, points)

    def _manifest(self, ref: VersionRef) -> Iterator[Item]:
        _, parts = self._files.manifest(ref, include_chunks=True)
        batch: list[FilePart] = []
        size = 0
        for part in parts:
            if size > MANIFEST_BYTES:
                yield ManifestItem(ref, batch, last=False)
                batch, size = [], 0
            batch.append(FilePart(part.file.path, part.file.size, part.file.digest, part.chunks))
            size += 100 + len(part.file.path) + 45 * len(part.chunks)
        yield ManifestItem(ref, batch, last=True)

    def _blobs(self, owner: Owner, item: BuildItem | VersionItem) -> Iterator[Item]:
        digests = [each.digest for each in item.attachments]
        if isinstance(item, BuildItem) and item.log_digest is not None:
            digests.append(item.log_digest)
        for digest in dict.fromkeys(digests):
            file_id, size = self._catalog.read(
                lambda db: transfer_export.blob(db, owner, digest)  # noqa: B023
            )
            offset = 0
            while True:
                pieces = self._catalog.read(
                    lambda db: transfer_export.blob_chunks(db, file_id, offset, CHUNKS)  # noqa: B023
                )
                if not pieces and offset:
                    break
                yield BlobItem(owner, digest, size, offset, pieces)
                offset += sum(length for _, length in pieces)
                if offset >= size:
                    break

    def _alias(self, name: AliasName, newest: int) -> Iterator[Item]:
        """Its history, up to where it names a version that was pushed while this export was under way."""
        first = 0
        while True:
            found = self._catalog.read(
                lambda db: transfer_export.alias(db, name, first, MOVES)  # noqa: B023
            )
            moves = list(takewhile(lambda move: move.number <= newest, found.moves))
            if moves:
                yield AliasItem(name, first, moves)
            if len(moves) < MOVES:
                return
            first += len(moves)


def _while_there(parts: Iterator[Part], unit: Unit) -> Iterator[Part]:
    """What a model was is left out under its old name when it is renamed meanwhile; all else goes on."""
    try:
        yield from parts
    except VersionDeleted:
        raise
    except NotFound:
        yield LeftOutItem(unit.name, "its model was renamed meanwhile"), cursor_of(unit.place)


def _ended(items: Iterator[Item], cursor: str) -> Iterator[Part]:
    """The items, the last of them with the cursor."""
    held: Item | None = None
    for item in items:
        if held is not None:
            yield held, ""
        held = item
    if held is not None:
        yield held, cursor
