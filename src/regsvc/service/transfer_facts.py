"""Takes items of another registry that need no upload: models, datasets, points, marks, notes, rules, aliases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import IntEnum

from regsvc.catalog import (
    datasets,
    definitions,
    metrics,
    mirrors,
    models,
    rules,
    transfer_export,
    transfer_gone,
    transfer_import,
    versions,
)
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.transfer_items import (
    AliasItem,
    AliasMove,
    DatasetItem,
    Item,
    ModelItem,
    NotesItem,
    PointsItem,
    RulesItem,
    VersionStateItem,
)
from regsvc.content.comparison import Direction
from regsvc.errors import ImportConflict, InvalidArgument, NotFound, OutOfRange, ResourceExhausted
from regsvc.refs import VersionRef
from regsvc.service.checks import check_step_name
from regsvc.service.series import MAX_SERIES
from regsvc.service.transfer_checks import profile_size


class Outcome(IntEnum):
    """As in transfer.proto."""

    CREATED = 1
    PRESENT = 2
    CONFLICT = 3
    REFUSED = 4
    WANTED = 5


Taken = tuple[Outcome, Sequence[bytes]]
"""What came of an item, and what of it is missing."""


def taking(source: str, item: Item) -> Callable[[Transaction], Taken]:
    """What takes an item, in a transaction. Raises `ProfileInvalid`."""
    match item:
        case VersionStateItem():
            return lambda tx: _put_state(tx, source, item)
        case ModelItem():
            return _simple(lambda tx: _put_model(tx, source, item))
        case DatasetItem():
            size = profile_size(item.profile)
            return _simple(lambda tx: _add_dataset(tx, source, item, *size))
        case PointsItem():
            return _simple(lambda tx: _add_points(tx, source, item))
        case NotesItem():
            return _simple(lambda tx: _add_notes(tx, source, item))
        case RulesItem():
            return _simple(lambda tx: _put_rules(tx, source, item))
        case AliasItem():
            return _simple(lambda tx: _move_alias(tx, source, item))
        case _:
            raise AssertionError("builds and versions need uploads")


def _simple(take: Callable[[Transaction], bool]) -> Callable[[Transaction], Taken]:
    """`take` gives whether anything was new."""
    return lambda tx: (Outcome.CREATED if take(tx) else Outcome.PRESENT, ())


def _put_model(tx: Transaction, source: str, item: ModelItem) -> bool:
    try:
        here = transfer_export.model(tx, item.name)
    except NotFound:
        transfer_import.add_model(tx, item)
        here = replace(item, definitions=())
        created = True
    else:
        created = False
    transfer_import.advance_model(tx, item)
    changed = False
    name = item.name.wire
    if mirrors.follows(
        tx, source, name, "description", now=here.description, unset="", wanted=item.description
    ):
        transfer_import.describe_model(tx, item.name, item.description)
        changed = True
    if mirrors.follows(
        tx,
        source,
        name,
        "definitions of metrics",
        now=_pairs(here.definitions),
        unset=(),
        wanted=_pairs(item.definitions),
    ):
        wanted = dict(item.definitions)
        for key in dict(here.definitions).keys() - wanted.keys():
            definitions.define(tx, item.name, key, Direction.UNKNOWN)
        for key, direction in item.definitions:
            definitions.define(tx, item.name, key, direction)
        # Defining notes a change of now; it was made elsewhere, and then.
        transfer_import.set_updated(tx, item.name, max(here.updated_at, item.updated_at))
        changed = True
    return created or changed


def _pairs(found: Sequence[tuple[str, Direction]]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((key, int(direction)) for key, direction in found))


def _add_dataset(
    tx: Transaction, source: str, item: DatasetItem, rows: int | None, columns: int | None
) -> bool:
    try:
        here = datasets.find(tx, item.ref)
    except NotFound:
        transfer_import.add_dataset(tx, item, rows, columns)
        transfer_import.event(tx, "dataset.created", item.ref.wire, source, digest=item.digest.hex())
        return True
    if (here.digest, here.uri, datasets.profile(tx, here)) != (item.digest, item.uri, item.profile):
        raise ImportConflict(f"dataset {item.ref} is another one here", dataset=item.ref.wire)
    return False


def _put_state(tx: Transaction, source: str, item: VersionStateItem) -> Taken:
    version = versions.find(tx, item.ref)
    here = transfer_export.version_state(tx, item.ref)
    name, changed = item.ref.wire, False
    _same_version(tx, source, item.ref)
    if mirrors.follows(
        tx,
        source,
        name,
        "marks",
        now=(here.bad, here.bad_reason),
        unset=(False, ""),
        wanted=(item.bad, item.bad_reason),
    ):
        transfer_import.mark(tx, version.id, item)
        transfer_import.event(
            tx, "version.marked", name, source, bad=str(item.bad).lower(), reason=item.bad_reason
        )
        changed = True
    if mirrors.follows(tx, source, name, "approvals", now=here.approvals, unset=(), wanted=item.approvals):
        transfer_import.approve(tx, version.id, item)
        transfer_import.event(tx, "version.approved", name, source, approvals=len(item.approvals))
        changed = True
    archived, wanted = here.archived_at is not None, item.archived_at is not None
    if mirrors.follows(tx, source, name, "the archived mark", now=archived, unset=False, wanted=wanted):
        transfer_import.archive(tx, version.id, item)
        kind = "version.archived" if wanted else "version.unarchived"
        transfer_import.event(tx, kind, name, source)
        changed = True
    counts = {(measured, key): count for measured, key, count in here.series}
    if any(counts.get((measured, key), 0) < count for measured, key, count in item.series):
        return Outcome.WANTED, ()
    return (Outcome.CREATED if changed else Outcome.PRESENT), ()


def _add_notes(tx: Transaction, source: str, item: NotesItem) -> bool:
    version_id = versions.resolve(tx, item.ref)
    _same_version(tx, source, item.ref)
    added = sum(transfer_import.add_note(tx, version_id, note) for note in item.notes)
    if added:
        transfer_import.event(tx, "version.note", item.ref.wire, source, notes=added)
    return added > 0


def _add_points(tx: Transaction, source: str, item: PointsItem) -> bool:
    assert isinstance(item.owner, VersionRef)
    check_step_name(item.source, "source")
    _same_version(tx, source, item.owner)
    version_id = versions.resolve(tx, item.owner)
    known = metrics.find_evaluation(tx, version_id, item.source, item.key)
    count = 0 if known is None else known.count
    if item.first > count:
        raise OutOfRange(f"'{item.key}' of {item.owner} has {count} points", count=count)
    here = transfer_export.evaluation_points(
        tx, version_id, item.source, item.key, item.first, len(item.points)
    )
    if any(point.key != item.key for point in item.points):
        raise InvalidArgument("the points of a series have its key", key=item.key)
    if here != list(item.points[: len(here)]):
        raise ImportConflict(f"'{item.key}' of {item.owner} has other points here", key=item.key)
    new = item.points[len(here) :]
    if new:
        if known is None and metrics.count_evaluations(tx, version_id) >= MAX_SERIES:
            raise ResourceExhausted(f"{item.owner} has {MAX_SERIES} series already", limit=MAX_SERIES)
        metrics.evaluate(tx, version_id, item.source, new)
        name = item.owner.wire
        transfer_import.event(tx, "version.evaluated", name, source, source=item.source, points=len(new))
    return bool(new)


def _put_rules(tx: Transaction, source: str, item: RulesItem) -> bool:
    here, wanted = rules.find(tx, item.rules.name), item.rules
    name = wanted.name.wire
    if not mirrors.follows(
        tx,
        source,
        name,
        "rules",
        now=(here.protected, here.gate, here.approvals),
        unset=(False, "", 0),
        wanted=(wanted.protected, wanted.gate, wanted.approvals),
    ):
        return False
    transfer_import.set_rules(tx, wanted)
    transfer_import.event(
        tx,
        "alias.rules_set",
        name,
        source,
        protected=str(wanted.protected).lower(),
        gate=wanted.gate,
        approvals=wanted.approvals,
    )
    return True


def _move_alias(tx: Transaction, source: str, item: AliasItem) -> bool:
    models.find_id(tx, item.name.model)
    before = transfer_export.count_moves(tx, item.name)
    if item.first > before:
        raise OutOfRange(f"alias {item.name} has {before} moves", count=before)
    here = transfer_export.alias(tx, item.name, item.first, len(item.moves))
    known = transfer_import.known_moves(item, here)
    if known is None:
        raise ImportConflict(f"alias {item.name} has another history here", alias=item.name.wire)
    new = item.moves[known:]
    if not new:
        return False
    # A version that is still to come ends what can be taken; its own move comes with it.
    there = list(itertools.takewhile(lambda move: move.deleted or _exists(tx, item, move), new))
    new = there or new[:1]
    ids = [transfer_gone.id_of_move(tx, source, item.name, move) for move in new]
    named = transfer_import.move_alias(tx, item.name, new, ids)
    last = new[-1]
    ref = VersionRef(item.name.model, number=last.number).wire
    transfer_import.event(
        tx,
        "alias.set" if named else "alias.unset",
        item.name.wire,
        source,
        **{"version" if named else "previous_version": ref},
        kind=last.kind.name.lower(),
        author=last.author,
        reason=last.reason,
        moves=len(new),
    )
    return True


def _exists(db: Reader, item: AliasItem, move: AliasMove) -> bool:
    try:
        versions.resolve(db, VersionRef(item.name.model, number=move.number), deleted=True)
    except NotFound:
        return False
    return True


def _same_version(db: Reader, source: str, ref: VersionRef) -> None:
    """What is said of a version belongs to the one that the source has. Raises `ImportConflict`, `NotFound`."""
    if not mirrors.has_come(db, source, ref.wire):
        versions.resolve(db, ref)
        raise ImportConflict(f"{ref} is another version here", version=ref.wire)
