"""Which resources an export has, and in which order: what is pointed at comes first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from regsvc import refs
from regsvc.catalog import models, transfer_export, versions
from regsvc.catalog.database import Catalog, Reader
from regsvc.errors import InvalidArgument, NotFound
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef

MAX_CURSOR = 1_000
"""Characters."""
PAGE = 500
"""Numbers of versions and builds that are read at once."""


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


_DATASET, _MODEL = 0, 1
_USED, _HEAD, _BUILD, _VERSION, RULES, _ALIAS = range(6)
Resource = ModelName | VersionRef | BuildName | AliasName | DatasetRef
_ANY = 1 << 62


@dataclass(frozen=True)
class Unit:
    """One resource that is to be exported."""

    place: Place
    resource: Resource
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


@dataclass(frozen=True)
class Scope:
    """What one name of a request stands for."""

    namespace: str = ""
    model: ModelName | None = None
    version: VersionRef | None = None
    build: BuildName | None = None
    alias: AliasName | None = None
    datasets: Sequence[DatasetRef] = ()


class Units:
    """Finds what names of an export stand for."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    def scope(self, name: str) -> Scope:
        """What a name stands for. Raises `NameInvalid`, `NotFound`."""
        parts = name.split("/")
        if len(parts) == 2:
            return Scope(namespace=refs.namespace_from_wire(name))
        if "datasets" in parts[2:3]:
            ref = refs.dataset_from_wire(name)
            return Scope(datasets=self._catalog.read(lambda db: transfer_export.versions_of_dataset(db, ref)))
        if len(parts) == 4:
            model = refs.model_from_wire(name)
            self._catalog.read(lambda db: models.find_id(db, model))
            return Scope(model=model)
        if "aliases" in parts[4:5]:
            alias = refs.alias_from_wire(name)
            self._catalog.read(lambda db: models.find_id(db, alias.model))
            return Scope(alias=alias)
        owner = refs.source_from_wire(name)
        if isinstance(owner, BuildName):
            self._catalog.read(lambda db: transfer_export.build(db, owner))
            return Scope(build=owner)
        return Scope(version=self._catalog.read(lambda db: versions.find(db, owner)).ref)

    def of(self, position: int, scope: Scope, *, only: bool, filtered: bool) -> Iterator[Unit]:
        """The resources of one name, in order; `only` without what they point at. `filtered`: some will be left out."""
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
                    if filtered or not every:
                        yield from _while_there(self._used(position, model))
                    yield from _while_there(self._model(position, model))
        elif scope.model is not None:
            yield from self._used(position, scope.model)
            yield from self._model(position, scope.model)
        elif scope.alias is not None:
            name = scope.alias
            if not only:
                yield Unit(_model_place(position, name.model), name.model)
            yield Unit(_model_place(position, name.model, RULES, alias=name.alias), name)
            yield Unit(_model_place(position, name.model, _ALIAS, alias=name.alias), name)
        elif scope.build is not None or scope.version is not None:
            yield from self._one(position, scope.build, scope.version, only=only)
        else:
            for ref in scope.datasets:
                yield _dataset_unit(position, ref)

    def _one(
        self, position: int, build: BuildName | None, version: VersionRef | None, *, only: bool
    ) -> Iterator[Unit]:
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
            yield Unit(_model_place(position, model), model)
        if build is not None:
            yield Unit(_model_place(position, model, _BUILD, build.number), build)
        if version is not None:
            yield Unit(_model_place(position, model, _VERSION, version.number or 0), version)

    def _used(
        self, position: int, model: ModelName, version: int | None = None, build: int | None = None
    ) -> Iterator[Unit]:
        """The datasets that a model used, or that one version and its build did."""

        def find(db: Reader) -> list[DatasetRef]:
            return transfer_export.used_datasets(db, models.find_id(db, model), version, build)

        for count, ref in enumerate(self._catalog.read(find)):
            yield Unit(_model_place(position, model, _USED, count), ref, because=model)

    def _model(self, position: int, model: ModelName) -> Iterator[Unit]:
        model_id = self._catalog.read(lambda db: models.find_id(db, model))
        yield Unit(_model_place(position, model), model)
        for number in self._numbers("builds", model_id):
            yield Unit(_model_place(position, model, _BUILD, number), BuildName(model, number))
        newest = 0
        for newest in self._numbers("versions", model_id):
            yield Unit(_model_place(position, model, _VERSION, newest), VersionRef(model, number=newest))
        for alias in self._catalog.read(lambda db: transfer_export.ruled(db, model_id)):
            yield Unit(_model_place(position, model, RULES, alias=alias), AliasName(model, alias))
        for alias in self._catalog.read(lambda db: transfer_export.alias_names(db, model_id)):
            yield Unit(_model_place(position, model, _ALIAS, alias=alias), AliasName(model, alias), newest)

    def _numbers(self, table: str, model_id: int) -> Iterator[int]:
        after = 0
        while found := self._catalog.read(
            lambda db: transfer_export.numbers(db, table, model_id, after, PAGE)  # noqa: B023
        ):
            yield from found
            after = found[-1]


def _while_there(units: Iterator[Unit]) -> Iterator[Unit]:
    """Nothing more of a model that is renamed meanwhile: its new name may come later, or is the next export's."""
    with contextlib.suppress(NotFound):
        yield from units


def _dataset_unit(position: int, ref: DatasetRef) -> Unit:
    return Unit(Place(position, _DATASET, ref.namespace, ref.dataset, number=ref.number or 0), ref)


def _model_place(
    position: int, model: ModelName, kind: int = _HEAD, number: int = 0, alias: str = ""
) -> Place:
    return Place(position, _MODEL, model.namespace, model.model, kind, number, alias)


def cursor_of(place: Place) -> str:
    """Where to go on, as text."""
    return json.dumps(place, separators=(",", ":"))


def place_of(cursor: str) -> Place | None:
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
