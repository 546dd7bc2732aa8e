"""Versions that are deleted where a history of an alias comes from: their numbers are kept, as that of purged ones."""

from __future__ import annotations

from regsvc.catalog import mirrors, models, versions
from regsvc.catalog.aliases import Kind
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.transfer_items import AliasMove
from regsvc.catalog.versions import Version
from regsvc.errors import ImportConflict, NotFound
from regsvc.refs import AliasName, VersionRef


def find(db: Reader, ref: VersionRef) -> Version | None:
    """The version of a number, also a deleted one; None where there is none, or only its number is kept."""
    found = _find(db, ref)
    return None if found is None or _is_kept(db, found) else found


def id_of_move(tx: Transaction, source: str, alias: AliasName, move: AliasMove) -> int:
    """The id of the version that an alias was moved to; a deleted one that has not come is noted.

    Raises `NotFound`, `ImportConflict` when it is another one here.
    """
    ref = VersionRef(alias.model, number=move.number)
    found = _find(tx, ref)
    if found is None:
        if not move.deleted:
            raise NotFound(f"version {ref} does not exist", version=ref.wire)
        return _keep(tx, source, ref, move.digest)
    if found.digest != move.digest:
        raise ImportConflict(f"alias {alias} names {ref}, which is another version here", version=ref.wire)
    return found.id


def names_nothing(db: Reader, version_id: int, kind: Kind) -> bool:
    """Whether an alias names nothing after such a move: it was unset, or its version is deleted here."""
    return kind is Kind.UNSET or versions.get(db, version_id).deleted_at is not None


def make_way(tx: Transaction, ref: VersionRef) -> int | None:
    """Free the number of a version that comes after all; gives the id of what stood there."""
    kept = _find(tx, ref)
    if kept is None or not _is_kept(tx, kept):
        return None
    tx.run("UPDATE versions SET number = -id WHERE id = ?", [kept.id])
    mirrors.forget_gone(tx, ref.wire)
    return kept.id


def take_place(tx: Transaction, kept: int, version_id: int) -> None:
    """Let histories name the version that has come."""
    for table, column in (
        ("aliases", "version_id"),
        ("alias_changes", "version_id"),
        ("alias_changes", "previous_version_id"),
    ):
        tx.run(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [version_id, kept])  # noqa: S608
    tx.run("DELETE FROM versions WHERE id = ?", [kept])


def _find(db: Reader, ref: VersionRef) -> Version | None:
    try:
        return versions.get(db, versions.resolve(db, ref, deleted=True))
    except NotFound:
        return None


def _is_kept(db: Reader, found: Version) -> bool:
    return found.purged and mirrors.is_gone(db, found.ref.wire)


def _keep(tx: Transaction, source: str, ref: VersionRef, digest: bytes) -> int:
    model_id = models.find_id(tx, ref.model)
    mirrors.gone(tx, source, ref.wire)
    tx.run("UPDATE models SET last_version = max(last_version, ?) WHERE id = ?", [ref.number, model_id])
    return tx.insert(
        "INSERT INTO versions (model_id, number, digest, file_count, size, stored_size, description, created_at,"
        " deleted_at, purged) VALUES (?, ?, ?, 0, 0, 0, '', ?, ?, 1) RETURNING id",
        [model_id, ref.number, digest, tx.now, tx.now],
    )
