"""Namespaces and models."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog import events, fulltext
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import AlreadyExists, NotFound
from regsvc.refs import ModelName

_SELECT = """
SELECT m.id, n.name, m.name, m.description, m.created_at, m.updated_at,
       coalesce((SELECT v.number FROM versions v WHERE v.model_id = m.id AND v.deleted_at IS NULL
                 AND v.archived_at IS NULL ORDER BY v.number DESC LIMIT 1), 0),
       (SELECT count(*) FROM versions v WHERE v.model_id = m.id AND v.deleted_at IS NULL)
FROM models m JOIN namespaces n ON n.id = m.namespace_id
"""


@dataclass(frozen=True)
class Model:
    """A named thing with versions."""

    id: int
    name: ModelName
    description: str
    created_at: int
    updated_at: int
    latest_version: int
    """Number of what `latest` names; 0 when there is none."""
    version_count: int


def find(db: Reader, name: ModelName) -> Model:
    """Raises `NotFound`."""
    row = db.row(_SELECT + "WHERE n.name = ? AND m.name = ?", [name.namespace, name.model])
    if row is None:
        raise _missing(db, name)
    return _model(row)


def find_id(db: Reader, name: ModelName) -> int:
    """Raises `NotFound`."""
    found = _id(db, name)
    if found is None:
        raise _missing(db, name)
    return found


def create(tx: Transaction, name: ModelName, description: str) -> Model:
    """Make a model, and its namespace if need be. Raises `AlreadyExists`."""
    if _id(tx, name) is not None:
        raise AlreadyExists(f"model {name} exists", model=name.wire)
    _insert(tx, name, description)
    return find(tx, name)


def exists(db: Reader, name: ModelName) -> bool:
    """Whether there is such a model."""
    return _id(db, name) is not None


def current_name(db: Reader, name: ModelName) -> ModelName:
    """What a model is called now that was called so; the name itself when it is some model's, or was none's."""
    if _id(db, name) is not None:
        return name
    return _renamed(db, name) or name


def rename(tx: Transaction, model_id: int, name: ModelName, new: ModelName) -> None:
    """Give a model a name that is free, in a namespace that is made if need be. The old one is remembered."""
    description = tx.value("SELECT description FROM models WHERE id = ?", [model_id])
    fulltext.remove_model(tx, model_id, name, description)
    tx.run(
        "UPDATE models SET namespace_id = ?, name = ?, updated_at = ? WHERE id = ?",
        [_namespace(tx, new.namespace), new.model, tx.now, model_id],
    )
    fulltext.add_model(tx, model_id, new, description)
    tx.run(
        "INSERT INTO model_renames (namespace, name, model_id, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (namespace, name) DO UPDATE SET model_id = excluded.model_id, at = excluded.at",
        [name.namespace, name.model, model_id, tx.now],
    )


def ensure(tx: Transaction, name: ModelName) -> int:
    """The id of a model, made when it does not exist."""
    found = _id(tx, name)
    return _insert(tx, name, "") if found is None else found


def touch(tx: Transaction, model_id: int) -> None:
    """Note that something of the model changed."""
    tx.run("UPDATE models SET updated_at = ? WHERE id = ?", [tx.now, model_id])


def next_version(tx: Transaction, model_id: int) -> int:
    """Take the next version number. In the committing transaction, so that none is skipped or doubled."""
    return tx.insert(
        "UPDATE models SET last_version = last_version + 1, updated_at = ? WHERE id = ? RETURNING last_version",
        [tx.now, model_id],
    )


def next_build(tx: Transaction, model_id: int) -> int:
    """Take the next build number."""
    return tx.insert(
        "UPDATE models SET last_build = last_build + 1 WHERE id = ? RETURNING last_build", [model_id]
    )


def get(db: Reader, model_id: int) -> Model:
    """By id, which must exist."""
    row = db.row(_SELECT + "WHERE m.id = ?", [model_id])
    assert row is not None, "model ids come from the catalog"
    return _model(row)


def page(db: Reader, namespace: str, after: tuple[str, str], limit: int) -> list[Model]:
    """Models by (namespace, name) after a key; `namespace` "-" means all."""
    where, parameters = "WHERE (n.name, m.name) > (?, ?)", [*after]
    if namespace != "-":
        where += " AND n.name = ?"
        parameters.append(namespace)
    rows = db.rows(f"{_SELECT} {where} ORDER BY n.name, m.name LIMIT ?", [*parameters, limit])
    return [_model(row) for row in rows]


def _id(db: Reader, name: ModelName) -> int | None:
    found: int | None = db.value(
        "SELECT m.id FROM models m JOIN namespaces n ON n.id = m.namespace_id WHERE n.name = ? AND m.name = ?",
        [name.namespace, name.model],
    )
    return found


def _missing(db: Reader, name: ModelName) -> NotFound:
    new = _renamed(db, name)
    if new is None:
        return NotFound(f"model {name} does not exist", model=name.wire)
    return NotFound(f"model {name} does not exist; it is called {new} now", model=name.wire, renamed=new.wire)


def _renamed(db: Reader, name: ModelName) -> ModelName | None:
    row = db.row(
        "SELECT n.name, m.name FROM model_renames r JOIN models m ON m.id = r.model_id JOIN namespaces n"
        " ON n.id = m.namespace_id WHERE r.namespace = ? AND r.name = ?",
        [name.namespace, name.model],
    )
    return None if row is None else ModelName(*row)


def _insert(tx: Transaction, name: ModelName, description: str) -> int:
    namespace_id = _namespace(tx, name.namespace)
    model_id = tx.insert(
        "INSERT INTO models (namespace_id, name, description, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
        " RETURNING id",
        [namespace_id, name.model, description, tx.now, tx.now],
    )
    fulltext.add_model(tx, model_id, name, description)
    events.record(tx, "model.created", name.wire)
    return model_id


def _namespace(tx: Transaction, name: str) -> int:
    """The id of a namespace, made when it does not exist."""
    tx.run(
        "INSERT INTO namespaces (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        [name, tx.now],
    )
    return int(tx.value("SELECT id FROM namespaces WHERE name = ?", [name]))


def _model(row: Row) -> Model:
    model_id, namespace, name, description, created_at, updated_at, latest, count = row
    return Model(model_id, ModelName(namespace, name), description, created_at, updated_at, latest, count)
