"""Datasets: their versions, profiles, and who used them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import zstandard

from regsvc.catalog import events, fulltext
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.content.record import DatasetUse
from regsvc.errors import NotFound
from regsvc.refs import DatasetRef, dataset_from_wire

_SELECT = """
SELECT y.id, n.name, d.name, y.number, y.digest, y.uri, y.row_count, y.column_count, y.created_at
FROM dataset_versions y
JOIN datasets d ON d.id = y.dataset_id
JOIN namespaces n ON n.id = d.namespace_id
"""


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset."""

    id: int
    ref: DatasetRef
    digest: bytes
    uri: str
    row_count: int | None
    column_count: int | None
    created_at: int


@dataclass(frozen=True)
class NewDataset:
    """What `register` needs to know."""

    ref: DatasetRef
    digest: bytes
    uri: str
    row_count: int | None
    column_count: int | None
    profile: bytes
    """JSON, or empty."""


@dataclass(frozen=True)
class User:
    """A version or build that used a dataset version."""

    name: str
    """Resource name."""
    dataset: DatasetRef
    split: str


def find(db: Reader, ref: DatasetRef) -> Dataset:
    """Raises `NotFound`."""
    clause = "y.number = d.last_version" if ref.number is None else "y.number = ?"
    row = db.row(
        f"{_SELECT} WHERE n.name = ? AND d.name = ? AND {clause}",
        [ref.namespace, ref.dataset, *([] if ref.number is None else [ref.number])],
    )
    if row is None:
        raise NotFound(f"dataset {ref} does not exist", dataset=ref.wire)
    return _dataset(row)


def get(db: Reader, version_id: int) -> Dataset:
    """By the id of a version, which must exist."""
    row = db.row(f"{_SELECT} WHERE y.id = ?", [version_id])
    assert row is not None, "ids of datasets come from the catalog"
    return _dataset(row)


def profile(db: Reader, dataset: Dataset) -> bytes:
    """The JSON of its profile, or nothing."""
    packed = db.value("SELECT profile FROM dataset_versions WHERE id = ?", [dataset.id])
    return b"" if packed is None else zstandard.ZstdDecompressor().decompress(packed)


def register(tx: Transaction, new: NewDataset) -> Dataset:
    """The next version, or the latest when it is the same."""
    tx.run(
        "INSERT INTO namespaces (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        [new.ref.namespace, tx.now],
    )
    tx.run(
        "INSERT INTO datasets (namespace_id, name, created_at) SELECT id, ?, ? FROM namespaces WHERE name = ?"
        " ON CONFLICT (namespace_id, name) DO NOTHING",
        [new.ref.dataset, tx.now, new.ref.namespace],
    )
    latest = tx.row(
        _SELECT + "WHERE n.name = ? AND d.name = ? AND y.number = d.last_version",
        [new.ref.namespace, new.ref.dataset],
    )
    if latest is not None:
        found = _dataset(latest)
        if found.digest == new.digest and found.uri == new.uri and profile(tx, found) == new.profile:
            return found
    dataset_id, number = _next(tx, new.ref)
    packed = zstandard.ZstdCompressor(level=3).compress(new.profile) if new.profile else None
    version_id = tx.insert(
        "INSERT INTO dataset_versions (dataset_id, number, digest, uri, row_count, column_count, profile, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        [dataset_id, number, new.digest, new.uri, new.row_count, new.column_count, packed, tx.now],
    )
    ref = replace(new.ref, number=number)
    fulltext.add_dataset(tx, version_id, ref, new.uri)
    events.record(tx, "dataset.created", ref.wire, digest=new.digest.hex())
    return find(tx, ref)


def page(db: Reader, namespace: str, after: tuple[str, str], limit: int) -> list[Dataset]:
    """Latest versions by (namespace, name) after a key; `namespace` "-" means all."""
    where, parameters = "WHERE y.number = d.last_version AND (n.name, d.name) > (?, ?)", [*after]
    if namespace != "-":
        where += " AND n.name = ?"
        parameters.append(namespace)
    rows = db.rows(f"{_SELECT} {where} ORDER BY n.name, d.name LIMIT ?", [*parameters, limit])
    return [_dataset(row) for row in rows]


def numbered(db: Reader, use: DatasetUse) -> DatasetUse:
    """The use by the dataset's number, with its digest. Raises `NotFound`."""
    found = find(db, dataset_from_wire(use.dataset))
    return replace(use, dataset=found.ref.wire, digest=found.digest.hex())


def link(
    tx: Transaction, owner: Literal["version", "build"], owner_id: int, uses: Sequence[DatasetUse]
) -> None:
    """Note what a version or build used, so that it is found by it."""
    tx.run_many(
        f"INSERT INTO {owner}_datasets ({owner}_id, dataset_version_id, split, filter) VALUES (?, ?, ?, ?)"  # noqa: S608
        f" ON CONFLICT ({owner}_id, dataset_version_id, split) DO UPDATE SET filter = excluded.filter",
        [(owner_id, find(tx, dataset_from_wire(use.dataset)).id, use.split, use.filter) for use in uses],
    )


def users(db: Reader, ref: DatasetRef, *, all_versions: bool, limit: int) -> list[User]:
    """Versions, then builds, that used a dataset, or one version of it; newest first."""
    found: list[User] = []
    for owner in ("version", "build"):
        clause = "" if all_versions else " AND y.id = ?"
        rows = db.rows(
            "SELECT n.name, m.name, o.number, dn.name, d.name, y.number, x.split"  # noqa: S608
            f" FROM {owner}_datasets x JOIN dataset_versions y ON y.id = x.dataset_version_id"
            " JOIN datasets d ON d.id = y.dataset_id JOIN namespaces dn ON dn.id = d.namespace_id"
            f" JOIN {owner}s o ON o.id = x.{owner}_id JOIN models m ON m.id = o.model_id"
            " JOIN namespaces n ON n.id = m.namespace_id"
            f" WHERE dn.name = ? AND d.name = ?{clause} ORDER BY o.id DESC, y.number DESC, x.split LIMIT ?",
            [ref.namespace, ref.dataset, *([] if all_versions else [find(db, ref).id]), limit - len(found)],
        )
        found += [
            User(f"namespaces/{row[0]}/models/{row[1]}/{owner}s/{row[2]}", DatasetRef(*row[3:6]), row[6])
            for row in rows
        ]
    return found


def _next(tx: Transaction, ref: DatasetRef) -> tuple[int, int]:
    row = tx.row(
        "UPDATE datasets SET last_version = last_version + 1 WHERE name = ? AND namespace_id ="
        " (SELECT id FROM namespaces WHERE name = ?) RETURNING id, last_version",
        [ref.dataset, ref.namespace],
    )
    assert row is not None, "made right before"
    return row[0], row[1]


def _dataset(row: Row) -> Dataset:
    dataset_id, namespace, name, number, digest, uri, rows, columns, created_at = row
    return Dataset(dataset_id, DatasetRef(namespace, name, number), digest, uri, rows, columns, created_at)
