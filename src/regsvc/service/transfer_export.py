"""What is exported: items of resources, in an order in which what is pointed at comes first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import takewhile
from typing import NamedTuple

from regsvc import refs
from regsvc.catalog import models, transfer_export, versions
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
from regsvc.errors import InvalidArgument, OutOfRange
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef
from regsvc.service.eventfilter import EventFilter
from regsvc.service.limits import Limits
from regsvc.service.reading import StoredFrame, VersionReader

MAX_NAMES = 1_000
"""Names of one export."""
MAX_CURSOR = 1_000
"""Characters."""
PAGE = 500
"""Numbers of versions and builds, or notes of at most 64 KiB, read at once."""
NOTES = 16
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


class Place(NamedTuple):
    """Where a resource stands in an export; they ascend."""

    name: int
    """Position of the name in the request."""
    stage: int
    namespace: str = ""
    resource: str = ""
    kind: int = 0
    number: int = 0
    alias: str = ""


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

_DATASET, _MODEL = 0, 1
_USED, _HEAD, _BUILD, _VERSION, _RULES, _ALIAS = range(6)
_Resource = ModelName | VersionRef | BuildName | AliasName | DatasetRef
_ANY = 1 << 62


@dataclass(frozen=True)
class _Unit:
    """One resource that is to be exported."""

    place: Place
    resource: _Resource
    newest: int = _ANY
    """Of an alias of a whole model: the newest version that was exported with it."""
    because: ModelName | None = None
    """Of a dataset: the model that used it."""

    @property
    def name(self) -> str:
        """What a filter sees: a dataset that was used goes with the model."""
        if self.because is not None:
            return self.because.wire
        if isinstance(self.resource, DatasetRef):
            return replace(self.resource, number=self.resource.number or 1).wire
        return self.resource.wire


class Exporter:
    """What `TransferService.Export` does."""

    def __init__(self, catalog: Catalog, files: VersionReader, limits: Limits):
        self._catalog = catalog
        self._files = files
        self._limits = limits

    def export(self, wanted: Wanted) -> Iterator[Part]:
        """Items in order. Errors as Export documents; names that are none are refused before the first item."""
        if not 1 <= len(wanted.names) <= MAX_NAMES:
            raise InvalidArgument(f"1 to {MAX_NAMES} names", limit=MAX_NAMES)
        begin = _place(wanted.cursor)
        admits = EventFilter(wanted.filter, self._limits)
        scopes = [self._scope(name) for name in wanted.names]
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
        self, scopes: Sequence[_Scope], wanted: Wanted, begin: Place | None, admits: EventFilter
    ) -> Iterator[Part]:
        for position, scope in enumerate(scopes):
            if begin is not None and position < begin.name:
                continue
            for unit in self._units(position, scope, wanted):
                if begin is not None and unit.place <= begin:
                    continue
                if not admits(Event(0, 0, "", unit.name, {})):
                    continue
                yield from _ended(self._items(unit, wanted.contents), _cursor(unit.place))

    def _scope(self, name: str) -> _Scope:
        """What a name stands for. Raises `NameInvalid`, `NotFound`."""
        parts = name.split("/")
        if len(parts) == 2:
            return _Scope(namespace=refs.namespace_from_wire(name))
        if "datasets" in parts[2:3]:
            ref = refs.dataset_from_wire(name)
            return _Scope(
                datasets=self._catalog.read(lambda db: transfer_export.versions_of_dataset(db, ref))
            )
        if len(parts) == 4:
            model = refs.model_from_wire(name)
            self._catalog.read(lambda db: models.find_id(db, model))
            return _Scope(model=model)
        if "aliases" in parts[4:5]:
            alias = refs.alias_from_wire(name)
            self._catalog.read(lambda db: models.find_id(db, alias.model))
            return _Scope(alias=alias)
        owner = refs.source_from_wire(name)
        if isinstance(owner, BuildName):
            self._catalog.read(lambda db: transfer_export.build(db, owner))
            return _Scope(build=owner)
        return _Scope(version=self._catalog.read(lambda db: versions.find(db, owner)).ref)

    def _units(self, position: int, scope: _Scope, wanted: Wanted) -> Iterator[_Unit]:
        if scope.namespace:
            every = scope.namespace == "-"
            namespaces = self._catalog.read(transfer_export.namespaces) if every else [scope.namespace]
            for namespace in namespaces:
                found = self._catalog.read(
                    lambda db, namespace=namespace: transfer_export.dataset_refs(db, namespace)  # type: ignore[misc]
                )
                for ref in found:
                    yield _dataset_unit(position, ref)
            for namespace in namespaces:
                for model in self._catalog.read(
                    lambda db, namespace=namespace: transfer_export.model_names(db, namespace)  # type: ignore[misc]
                ):
                    # All of the namespace's came already, unless a filter left them out.
                    if wanted.filter or not every:
                        yield from self._used(position, model)
                    yield from self._model(position, model)
        elif scope.model is not None:
            yield from self._used(position, scope.model)
            yield from self._model(position, scope.model)
        elif scope.alias is not None:
            name = scope.alias
            if not wanted.only:
                yield _Unit(_model_place(position, name.model), name.model)
            yield _Unit(_model_place(position, name.model, _RULES, alias=name.alias), name)
            yield _Unit(_model_place(position, name.model, _ALIAS, alias=name.alias), name)
        elif scope.build is not None or scope.version is not None:
            yield from self._one(position, scope.build, scope.version, only=wanted.only)
        else:
            for ref in scope.datasets:
                yield _dataset_unit(position, ref)

    def _one(
        self, position: int, build: BuildName | None, version: VersionRef | None, *, only: bool
    ) -> Iterator[_Unit]:
        """One build, or a version with its build, and what they point at."""
        if version is not None and not only:
            build = self._catalog.read(lambda db: transfer_export.version(db, version)).build
        model = version.model if version is not None else build.model  # type: ignore[union-attr]
        if not only:
            yield from self._used(
                position,
                model,
                None if version is None else version.number,
                None if build is None else build.number,
            )
            yield _Unit(_model_place(position, model), model)
        if build is not None:
            yield _Unit(_model_place(position, model, _BUILD, build.number), build)
        if version is not None:
            yield _Unit(_model_place(position, model, _VERSION, version.number or 0), version)

    def _used(
        self, position: int, model: ModelName, version: int | None = None, build: int | None = None
    ) -> Iterator[_Unit]:
        """The datasets that a model used, or that one version and its build did."""

        def find(db: Reader) -> list[DatasetRef]:
            return transfer_export.used_datasets(db, models.find_id(db, model), version, build)

        for count, ref in enumerate(self._catalog.read(find)):
            yield _Unit(_model_place(position, model, _USED, count), ref, because=model)

    def _model(self, position: int, model: ModelName) -> Iterator[_Unit]:
        model_id = self._catalog.read(lambda db: models.find_id(db, model))
        yield _Unit(_model_place(position, model), model)
        for number in self._numbers("builds", model_id):
            yield _Unit(_model_place(position, model, _BUILD, number), BuildName(model, number))
        newest = 0
        for newest in self._numbers("versions", model_id):
            yield _Unit(_model_place(position, model, _VERSION, newest), VersionRef(model, number=newest))
        for alias in self._catalog.read(lambda db: transfer_export.ruled(db, model_id)):
            yield _Unit(_model_place(position, model, _RULES, alias=alias), AliasName(model, alias))
        for alias in self._catalog.read(lambda db: transfer_export.alias_names(db, model_id)):
            yield _Unit(_model_place(position, model, _ALIAS, alias=alias), AliasName(model, alias), newest)

    def _numbers(self, table: str, model_id: int) -> Iterator[int]:
        after = 0
        while found := self._catalog.read(
            lambda db: transfer_export.numbers(db, table, model_id, after, PAGE)  # noqa: B023
        ):
            yield from found
            after = found[-1]

    def _items(self, unit: _Unit, contents: Contents) -> Iterator[Item]:
        resource = unit.resource
        match resource:
            case DatasetRef():
                yield self._catalog.read(lambda db: transfer_export.dataset(db, resource))
            case ModelName():
                yield self._catalog.read(lambda db: transfer_export.model(db, resource))
            case BuildName():
                yield from self._build(resource, contents)
            case VersionRef():
                yield from self._version(resource, contents)
            case AliasName() if unit.place.kind == _RULES:
                yield self._catalog.read(lambda db: transfer_export.rules_of(db, resource))
            case AliasName():
                yield from self._alias(resource, unit.newest)

    def _build(self, name: BuildName, contents: Contents) -> Iterator[Item]:
        for left in reversed(range(SEAL_WAITS)):
            found = self._catalog.read(lambda db: transfer_export.build(db, name))
            if found.state is BuildState.RUNNING:
                yield LeftOutItem(name.wire, "it is running")
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

    def _version(self, ref: VersionRef, contents: Contents) -> Iterator[Item]:
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


@dataclass(frozen=True)
class _Scope:
    """What one name of a request stands for."""

    namespace: str = ""
    model: ModelName | None = None
    version: VersionRef | None = None
    build: BuildName | None = None
    alias: AliasName | None = None
    datasets: Sequence[DatasetRef] = ()


def _ended(items: Iterator[Item], cursor: str) -> Iterator[Part]:
    """The items, the last of them with the cursor."""
    held: Item | None = None
    for item in items:
        if held is not None:
            yield held, ""
        held = item
    if held is not None:
        yield held, cursor


def _dataset_unit(position: int, ref: DatasetRef) -> _Unit:
    return _Unit(Place(position, _DATASET, ref.namespace, ref.dataset, number=ref.number or 0), ref)


def _model_place(
    position: int, model: ModelName, kind: int = _HEAD, number: int = 0, alias: str = ""
) -> Place:
    return Place(position, _MODEL, model.namespace, model.model, kind, number, alias)


def _cursor(place: Place) -> str:
    return json.dumps(place, separators=(",", ":"))


def _place(cursor: str) -> Place | None:
    """Raises `InvalidArgument`."""
    if not cursor:
        return None
    try:
        found = Place(*json.loads(cursor)) if len(cursor) <= MAX_CURSOR else None
    except (ValueError, TypeError, RecursionError):
        found = None
    if found is None or [type(each) for each in found] != [int, int, str, str, int, int, str]:
        raise InvalidArgument("the cursor is none of this service")
    return found
