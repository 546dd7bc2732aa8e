"""Aliases and their history, which is kept for ever."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog import events, models
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import EtagMismatch, NotFound, ResourceExhausted
from regsvc.refs import AliasName, ModelName, VersionRef

MAX_ALIASES = 1000
"""Most aliases of one model."""

_SELECT = """
SELECT a.id, n.name, m.name, a.name, v.number, a.updated_at
FROM aliases a
JOIN models m ON m.id = a.model_id
JOIN namespaces n ON n.id = m.namespace_id
JOIN versions v ON v.id = a.version_id
"""


@dataclass(frozen=True)
class Alias:
    """A movable name for one version."""

    id: int
    name: AliasName
    version: VersionRef
    updated_at: int


@dataclass(frozen=True)
class AliasChange:
    """One entry of an alias's history."""

    id: int
    version: VersionRef
    previous: VersionRef | None
    at: int


def find(db: Reader, name: AliasName) -> Alias:
    """Raises `NotFound`."""
    row = db.row(
        _SELECT + "WHERE n.name = ? AND m.name = ? AND a.name = ?",
        [name.model.namespace, name.model.model, name.alias],
    )
    if row is None:
        raise NotFound(f"alias {name} does not exist", alias=name.wire)
    return _alias(row)


def of_model(db: Reader, model_id: int) -> list[Alias]:
    """By name."""
    return [_alias(row) for row in db.rows(_SELECT + "WHERE a.model_id = ? ORDER BY a.name", [model_id])]


def point(
    tx: Transaction, name: AliasName, model_id: int, version_id: int, expect: int | None = None
) -> None:
    """Point an alias at a version, making or moving it; nothing happens when it is there already.

    Raises `EtagMismatch` when `expect` is given and the alias does not name that version id now,
    `ResourceExhausted` when the model has too many aliases.
    """
    row = tx.row("SELECT id, version_id FROM aliases WHERE model_id = ? AND name = ?", [model_id, name.alias])
    current = None if row is None else row[1]
    if expect is not None and current != expect:
        now = "nothing" if current is None else str(_ref(tx, name.model, current))
        raise EtagMismatch(f"alias {name} names {now}", alias=name.wire, version=now)
    if current == version_id:
        return
    if row is None:
        if tx.value("SELECT count(*) FROM aliases WHERE model_id = ?", [model_id]) >= MAX_ALIASES:
            raise ResourceExhausted(f"{name.model} has {MAX_ALIASES} aliases already", limit=MAX_ALIASES)
        alias_id = tx.insert(
            "INSERT INTO aliases (model_id, name, version_id, updated_at) VALUES (?, ?, ?, ?) RETURNING id",
            [model_id, name.alias, version_id, tx.now],
        )
    else:
        alias_id = row[0]
        tx.run(
            "UPDATE aliases SET version_id = ?, updated_at = ? WHERE id = ?", [version_id, tx.now, alias_id]
        )
    tx.run(
        "INSERT INTO alias_changes (alias_id, version_id, previous_version_id, at) VALUES (?, ?, ?, ?)",
        [alias_id, version_id, current, tx.now],
    )
    models.touch(tx, model_id)
    previous = "" if current is None else _ref(tx, name.model, current).wire
    events.record(
        tx, "alias.set", name.wire, version=_ref(tx, name.model, version_id).wire, previous_version=previous
    )


def history(db: Reader, alias: Alias, before: int, limit: int) -> list[AliasChange]:
    """What the alias named, newest first, with a change id below `before`."""
    rows = db.rows(
        "SELECT c.id, v.number, p.number, c.at FROM alias_changes c JOIN versions v ON v.id = c.version_id"
        " LEFT JOIN versions p ON p.id = c.previous_version_id"
        " WHERE c.alias_id = ? AND c.id < ? ORDER BY c.id DESC LIMIT ?",
        [alias.id, before, limit],
    )
    model = alias.name.model
    return [
        AliasChange(
            change_id,
            VersionRef(model, number=number),
            None if previous is None else VersionRef(model, number=previous),
            at,
        )
        for change_id, number, previous, at in rows
    ]


def _ref(db: Reader, model: ModelName, version_id: int) -> VersionRef:
    return VersionRef(model, number=db.value("SELECT number FROM versions WHERE id = ?", [version_id]))


def _alias(row: Row) -> Alias:
    alias_id, namespace, model, name, number, updated_at = row
    owner = ModelName(namespace, model)
    return Alias(alias_id, AliasName(owner, name), VersionRef(owner, number=number), updated_at)
