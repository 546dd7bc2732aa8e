"""Takes items of another registry, each whole, in a transaction of its own, and says what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from regsvc.catalog import mirrors
from regsvc.catalog.database import Catalog
from regsvc.catalog.events import MAX_SEQ
from regsvc.catalog.mirrors import Mirror
from regsvc.catalog.transfer_items import (
    BlobItem,
    BuildItem,
    Item,
    LeftOutItem,
    ManifestItem,
    PointsItem,
    VersionItem,
    name_of,
)
from regsvc.errors import AlreadyExists, InvalidArgument, RegsvcError, StorageFull, Unavailable
from regsvc.refs import BuildName
from regsvc.service.eventfilter import EventFilter
from regsvc.service.limits import Limits
from regsvc.service.transfer_builds import BuildTaker
from regsvc.service.transfer_checks import check_item
from regsvc.service.transfer_facts import Outcome, Taken, taking
from regsvc.service.transfer_names import Into
from regsvc.service.transfer_versions import VersionTaker

MAX_SOURCE = 64
"""Characters of a store id."""


@dataclass(frozen=True)
class Result:
    """What came of an item."""

    name: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    missing: Sequence[bytes] = ()


@dataclass(frozen=True)
class Brought:
    """Uploads that came with items; their ids, or nothing."""

    files: str = ""
    blobs: str = ""


class Importer:
    """What `TransferService.Import` does."""

    def __init__(self, catalog: Catalog, versions: VersionTaker, builds: BuildTaker, limits: Limits):
        self._catalog = catalog
        self._versions = versions
        self._builds = builds
        self._limits = limits

    def take(self, source: str, items: Sequence[Item], into: Into, brought: Brought) -> list[Result]:
        """Take items in order; errors of one are its result. Raises `InvalidArgument`, `StorageFull`, `Unavailable`."""
        check_source(source)
        under_way: list[tuple[Item, Future[Taken] | RegsvcError]] = []
        for item in items:
            placed = into.placed(item)
            try:
                under_way.append((placed, self._begin(source, placed, into, brought)))
            except (StorageFull, Unavailable):
                raise
            except RegsvcError as error:
                under_way.append((placed, error))
        return [_result(item, begun) for item, begun in under_way]

    def mirror(self, source: str, filter: str) -> Mirror:
        """How far another registry was followed. Raises `NotFound`."""
        check_source(source)
        return self._catalog.read(lambda db: mirrors.find(db, source, filter))

    def set_mirror(self, source: str, filter: str, seq: int) -> Mirror:
        """Note how far it is. Raises `InvalidArgument`, `FilterInvalid`."""
        check_source(source)
        EventFilter(filter, self._limits)
        if seq > MAX_SEQ:
            raise InvalidArgument("no event has such a number", seq=seq)
        return self._catalog.write(lambda tx: mirrors.put(tx, source, filter, seq))

    def _begin(self, source: str, item: Item, into: Into, brought: Brought) -> Future[Taken]:
        check_item(item, self._limits)
        match item:
            case ManifestItem() | BlobItem() | LeftOutItem():
                return _done((Outcome.PRESENT, ()))
            case VersionItem():
                self._versions.check(item)
                if brought.files:
                    made = self._versions.make(source, item, into, brought.files, brought.blobs)
                    return _done((Outcome.CREATED if made else Outcome.PRESENT, ()))
                return self._catalog.submit(lambda tx: _wanted(self._versions.offer(tx, source, item)))
            case BuildItem():
                if brought.blobs:
                    made = self._builds.make(source, item, into, brought.blobs)
                    return _done((Outcome.CREATED if made else Outcome.PRESENT, ()))
                return self._catalog.submit(lambda tx: _wanted(self._builds.offer(tx, source, item)))
            case PointsItem(owner=BuildName()):
                if not brought.blobs:
                    raise InvalidArgument("points of a build come with the upload of its blobs")
                self._builds.stage(item, brought.blobs)
                return _done((Outcome.CREATED, ()))
            case _:
                return self._catalog.submit(taking(source, item))


def check_source(source: str) -> None:
    """Raises `InvalidArgument`."""
    if not source.isalnum() or not source.isascii() or len(source) > MAX_SOURCE:
        raise InvalidArgument("the store id of the source is required")


def _wanted(missing: Sequence[bytes] | None) -> Taken:
    return (Outcome.PRESENT, ()) if missing is None else (Outcome.WANTED, missing)


def _done(taken: Taken) -> Future[Taken]:
    future: Future[Taken] = Future()
    future.set_result(taken)
    return future


def _result(item: Item, begun: Future[Taken] | RegsvcError) -> Result:
    name = name_of(item)
    if isinstance(begun, RegsvcError):
        error = begun
    else:
        try:
            outcome, missing = begun.result()
        except (StorageFull, Unavailable):
            raise
        except RegsvcError as failed:
            error = failed
        else:
            return Result(name, outcome, missing=missing)
    refused = Outcome.CONFLICT if isinstance(error, AlreadyExists) else Outcome.REFUSED
    return Result(name, refused, error.reason, error.message)
