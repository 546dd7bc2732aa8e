"""Aliases and their history, which is kept for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from regsvc.catalog import events, models
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import EtagMismatch, NotFound, ResourceExhausted
from regsvc.refs import AliasName, ModelName, VersionRef

MAX_ALIASES = 1000
"""Most aliases of one model."""

_SELECT = """
SELECT a.id, n.name, m.name, a.name, v.number, a.updated_at
FROM set_aliases a
JOIN models m ON m.id = a.model_id
JOIN namespaces n ON n.id = m.namespace_id
JOIN versions v ON v.id = a.version_id
"""

_SELECT_CHANGES = """
SELECT c.id, CASE WHEN c.kind = 3 THEN NULL ELSE v.number END, p.number, c.at, c.author, c.reason, c.kind
FROM alias_changes c
JOIN versions v ON v.id = c.version_id
LEFT JOIN versions p ON p.id = c.previous_version_id
"""


@dataclass(frozen=True)
class Alias:
    """A movable name for one version."""

    id: int
    name: AliasName
    version: VersionRef
    updated_at: int


class Kind(IntEnum):
    """How an alias was moved. Numbers as on the wire."""

    SET = 0
    PROMOTE = 1
    ROLLBACK = 2
    UNSET = 3


@dataclass(frozen=True)
class Move:
    """Who moves an alias, why and how."""

    author: str = ""
    """As the client says."""
    reason: str = ""
    kind: Kind = Kind.SET


@dataclass(frozen=True)
class AliasChange:
    """One entry of an alias's history."""

    id: int
    version: VersionRef | None
    """None when it named nothing from then on."""
    previous: VersionRef | None
    at: int
    author: str
    reason: str
    kind: Kind


def find(db: Reader, name: AliasName, *, ever: bool = False) -> Alias:
    """What it names, with `ever` or named before it was unset. Raises `NotFound`."""
    select = _SELECT.replace("set_aliases", "aliases") if ever else _SELECT
    row = db.row(
        select + "WHERE n.name = ? AND m.name = ? AND a.name = ?",
        [name.model.namespace, name.model.model, name.alias],
    )
    if row is None:
        raise NotFound(f"alias {name} does not exist", alias=name.wire)
    return _alias(row)


def of_model(db: Reader, model_id: int) -> list[Alias]:
    """By name."""
    return [_alias(row) for row in db.rows(_SELECT + "WHERE a.model_id = ? ORDER BY a.name", [model_id])]


def named(db: Reader, name: AliasName) -> int | None:
    """Id of the version that an alias names; None when it names none."""
    found: int | None = db.value(
        "SELECT a.version_id FROM set_aliases a JOIN models m ON m.id = a.model_id"
        " JOIN namespaces n ON n.id = m.namespace_id WHERE n.name = ? AND m.name = ? AND a.name = ?",
        [name.model.namespace, name.model.model, name.alias],
    )
    return found


def generation(db: Reader, name: AliasName) -> int:
    """Counts up with every move of an alias; 0 when it does not exist."""
    found = db.value(
        "SELECT max(c.id) FROM alias_changes c JOIN aliases a ON a.id = c.alias_id JOIN models m ON m.id = a.model_id"
        " JOIN namespaces n ON n.id = m.namespace_id WHERE n.name = ? AND m.name = ? AND a.name = ?",
        [name.model.namespace, name.model.model, name.alias],
    )
    return int(found or 0)


def mismatch(db: Reader, name: AliasName, current: int | None) -> EtagMismatch:
    """That an alias is not where the caller expected it: it names `current`, a version's id."""
    now = "nothing" if current is None else str(_ref(db, name.model, current))
    return EtagMismatch(f"alias {name} names {now}", alias=name.wire, version=now)


def point(tx: Transaction, name: AliasName, version_id: int, by: Move) -> None:
    """Point an alias at a version, making or moving it; nothing happens when it is there already.

    Asks no rules: see `rules`. Raises `ResourceExhausted` when the model has too many aliases.
    """
    model_id = models.find_id(tx, name.model)
    row = tx.row(
        "SELECT id, version_id, unset FROM aliases WHERE model_id = ? AND name = ?", [model_id, name.alias]
    )
    current = None if row is None or row[2] else row[1]
    if current == version_id:
        return
    if row is None:
        if tx.value("SELECT count(*) FROM aliases WHERE model_id = ?", [model_id]) >= MAX_ALIASES:
            raise ResourceExhausted(f"{name.model} has {MAX_ALIASES} aliases already", limit=MAX_ALIASES)
        alias_id = tx.insert(
            "INSERT INTO aliases (model_id, name, version_id, updated_at) VALUES (?, ?, ?, ?) RETURNING id",
            [model_id, name.alias, version_id, tx.now],
        )
        at = tx.now
    else:
        alias_id = row[0]
        at = _after_last(tx, alias_id)
        tx.run(
            "UPDATE aliases SET version_id = ?, unset = 0, updated_at = ? WHERE id = ?",
            [version_id, at, alias_id],
        )
    _note(tx, alias_id, version_id, current, at, by)
    models.touch(tx, model_id)
    tx.notify(name.wire)
    events.record(
        tx,
        "alias.set",
        name.wire,
        version=_ref(tx, name.model, version_id).wire,
        previous_version="" if current is None else _ref(tx, name.model, current).wire,
        kind=by.kind.name.lower(),
        author=by.author,
        reason=by.reason,
    )


def unset(tx: Transaction, name: AliasName, by: Move) -> None:
    """Make an alias name nothing, which must name something; its history stays."""
    row = tx.row(
        "SELECT id, version_id FROM set_aliases WHERE model_id = ? AND name = ?",
        [models.find_id(tx, name.model), name.alias],
    )
    assert row is not None, "the caller has looked"
    alias_id, current = row
    at = _after_last(tx, alias_id)
    tx.run("UPDATE aliases SET unset = 1, updated_at = ? WHERE id = ?", [at, alias_id])
    _note(tx, alias_id, current, current, at, replace(by, kind=Kind.UNSET))
    models.touch(tx, models.find_id(tx, name.model))
    tx.notify(name.wire)
    was = _ref(tx, name.model, current).wire
    events.record(tx, "alias.unset", name.wire, previous_version=was, author=by.author, reason=by.reason)


def _after_last(db: Transaction, alias_id: int) -> int:
    """Now, or later: a clock that was set back must not date a move before the one it follows."""
    last = db.value("SELECT max(at) FROM alias_changes WHERE alias_id = ?", [alias_id])
    return db.now if last is None else max(db.now, last)


def _note(tx: Transaction, alias_id: int, version_id: int, previous: int | None, at: int, by: Move) -> None:
    """Add to the history. What names nothing bears the version that it named before."""
    tx.run(
        "INSERT INTO alias_changes (alias_id, version_id, previous_version_id, at, author, reason, kind)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [alias_id, version_id, previous, at, by.author, by.reason, int(by.kind)],
    )


def history(db: Reader, alias: Alias, before: int, limit: int) -> list[AliasChange]:
    """What the alias named, newest first, with a change id below `before`."""
    rows = db.rows(
        _SELECT_CHANGES + "WHERE c.alias_id = ? AND c.id < ? ORDER BY c.id DESC LIMIT ?",
        [alias.id, before, limit],
    )
    return [_change(alias.name.model, row) for row in rows]


def change_at(db: Reader, alias: Alias, at: int) -> AliasChange | None:
    """The last change up to a moment, in microseconds since 1970; None when the alias named nothing then."""
    row = db.row(
        _SELECT_CHANGES + "WHERE c.alias_id = ? AND c.at <= ? ORDER BY c.at DESC, c.id DESC LIMIT 1",
        [alias.id, at],
    )
    change = None if row is None else _change(alias.name.model, row)
    return None if change is None or change.version is None else change


def moves(db: Reader, alias: Alias) -> list[tuple[int, Kind]]:
    """Every move of an alias, oldest first: the id of the version that it named from then on, and how."""
    rows = db.rows(
        "SELECT version_id, kind FROM alias_changes WHERE alias_id = ? AND kind <> ? ORDER BY id",
        [alias.id, int(Kind.UNSET)],
    )
    return [(version_id, Kind(kind)) for version_id, kind in rows]


def _ref(db: Reader, model: ModelName, version_id: int) -> VersionRef:
    return VersionRef(model, number=db.value("SELECT number FROM versions WHERE id = ?", [version_id]))


def _alias(row: Row) -> Alias:
    alias_id, namespace, model, name, number, updated_at = row
    owner = ModelName(namespace, model)
    return Alias(alias_id, AliasName(owner, name), VersionRef(owner, number=number), updated_at)


def _change(model: ModelName, row: Row) -> AliasChange:
    change_id, number, previous, at, author, reason, kind = row
    return AliasChange(
        change_id,
        None if number is None else VersionRef(model, number=number),
        None if previous is None else VersionRef(model, number=previous),
        at,
        author,
        reason,
        Kind(kind),
    )
