"""Versions and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from regsvc.catalog import models, records
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.catalog.records import Metadata
from regsvc.errors import NotFound, VersionDeleted
from regsvc.refs import BuildName, ModelName, VersionRef

_SELECT = """
SELECT v.id, n.name, m.name, v.number, v.digest, v.file_count, v.size, v.stored_size, v.description,
       v.created_at, b.number, f.digest, v.record_digest, v.author, v.bad, v.bad_reason, v.archived_at,
       v.deleted_at, v.purge_at, v.purged
FROM versions v
JOIN models m ON m.id = v.model_id
JOIN namespaces n ON n.id = m.namespace_id
LEFT JOIN builds b ON b.id = v.build_id
LEFT JOIN files f ON f.id = b.log_file_id
"""


_SELECT_ID = """
SELECT v.id, v.deleted_at
FROM models m
JOIN namespaces n ON n.id = m.namespace_id
JOIN versions v ON v.model_id = m.id
"""


LATEST = (
    "SELECT number FROM versions WHERE model_id = m.id AND deleted_at IS NULL AND archived_at IS NULL"
    " ORDER BY number DESC LIMIT 1"
)
"""The number of what `latest` names, of a model m."""


@dataclass(frozen=True)
class Version:
    """An immutable version: a manifest plus the record of how it was made."""

    id: int
    model: ModelName
    number: int
    digest: bytes
    file_count: int
    size: int
    """Raw bytes of all files."""
    stored_size: int
    """Bytes of its chunks as stored, shared ones included."""
    created_at: int
    metadata: Metadata
    aliases: tuple[str, ...]
    build: BuildName | None
    log_digest: bytes | None
    """Digest of the build's sealed log."""
    record_digest: bytes | None
    """Digest of the sealed record; None for versions that were made before there were records."""
    author: str = ""
    """Who pushed it, as the client said."""
    bad: bool = False
    bad_reason: str = ""
    archived_at: int | None = None
    deleted_at: int | None = None
    purge_at: int | None = None
    """From when on a deleted version cannot be had back."""
    purged: bool = False
    """Nothing but this row is left of it."""

    @property
    def ref(self) -> VersionRef:
        """Its canonical reference."""
        return VersionRef(self.model, number=self.number)


@dataclass(frozen=True)
class VersionFile:
    """One file of a version."""

    file_id: int
    path: str
    size: int
    digest: bytes


@dataclass(frozen=True)
class NewVersion:
    """What `insert` needs to know."""

    model_id: int
    number: int
    digest: bytes
    files: Sequence[tuple[str, int]]
    """(path, file id)"""
    size: int
    build_id: int | None
    metadata: Metadata
    author: str = ""


def resolve(db: Reader, ref: VersionRef, *, deleted: bool = False) -> int:
    """The id of the version that a reference names now, with `deleted` even of one that is. Raises `NotFound`."""
    clause, parameters = _named(ref)
    row = db.row(_SELECT_ID + clause, parameters)
    if row is None:
        raise _missing(db, ref)
    version_id, deleted_at = row
    if deleted_at is not None and not deleted:
        raise gone(get(db, version_id))
    return int(version_id)


def find(db: Reader, ref: VersionRef, *, deleted: bool = False) -> Version:
    """With `deleted` also one that is deleted and can be had back. Raises `NotFound`, `VersionDeleted`."""
    clause, parameters = _named(ref)
    row = db.row(_SELECT + clause, parameters)
    if row is None:
        raise _missing(db, ref)
    version = _version(db, row)
    if version.deleted_at is not None and (version.purged or not deleted):
        raise gone(version)
    return version


def gone(version: Version) -> VersionDeleted:
    """That a version is deleted, and whether it can be had back."""
    assert version.deleted_at is not None, "the caller has looked"
    if version.purged or version.purge_at is None:
        return VersionDeleted(f"{version.ref} was deleted and is gone for good", version=version.ref.wire)
    until = datetime.fromtimestamp(version.purge_at / 1e6, UTC).isoformat(timespec="seconds")
    return VersionDeleted(
        f"{version.ref} is deleted; `regsvc undelete {version.ref}` has it back until {until}",
        version=version.ref.wire,
        purge_time=until,
    )


def _named(ref: VersionRef) -> tuple[str, list[object]]:
    """The end of a query over versions v, models m and namespaces n that leaves the one a reference names."""
    parameters: list[object] = [ref.model.namespace, ref.model.model]
    if ref.alias is not None:
        clause = "v.id = (SELECT version_id FROM set_aliases WHERE model_id = m.id AND name = ?)"
        parameters.append(ref.alias)
    elif ref.digest is not None:
        # The plus keeps the order from being taken from an index, which would walk all versions of the model.
        # Of equal ones the newest that is not deleted, else a deleted one, which is to be told apart from none.
        clause = "v.digest = ? ORDER BY v.deleted_at IS NOT NULL, +v.number DESC LIMIT 1"
        parameters.append(bytes.fromhex(ref.digest))
    elif ref.number is not None:
        clause = "v.number = ?"
        parameters.append(ref.number)
    else:
        clause = f"v.number = ({LATEST})"
    return f"WHERE n.name = ? AND m.name = ? AND {clause}", parameters


def _missing(db: Reader, ref: VersionRef) -> NotFound:
    """That a reference names nothing. Raises `NotFound` itself when there is no such model."""
    models.find_id(db, ref.model)
    if ref.alias is not None:
        what = f"alias {ref}"
    elif ref == VersionRef(ref.model):
        what = f"a version of {ref.model}"
    else:
        what = f"version {ref}"
    return NotFound(f"{what} does not exist", version=ref.wire)


def exists(db: Reader, ref: VersionRef) -> bool:
    """Whether a reference names anything."""
    try:
        resolve(db, ref)
    except NotFound:
        return False
    return True


def get(db: Reader, version_id: int) -> Version:
    """By id, which must exist."""
    row = db.row(_SELECT + "WHERE v.id = ?", [version_id])
    assert row is not None, "version ids come from the catalog"
    return _version(db, row)


def page(db: Reader, model_id: int, before: int, limit: int, *, deleted: bool = False) -> list[Version]:
    """Versions of a model, newest first, with a number below `before`; with `deleted` also those not purged yet."""
    shown = "v.purged = 0" if deleted else "v.deleted_at IS NULL"
    rows = db.rows(
        f"{_SELECT} WHERE v.model_id = ? AND v.number < ? AND {shown} ORDER BY v.number DESC LIMIT ?",
        [model_id, before, limit],
    )
    return [_version(db, row) for row in rows]


def insert(tx: Transaction, new: NewVersion) -> int:
    """Write a version; gives its id."""
    version_id = tx.insert(
        "INSERT INTO versions (model_id, number, digest, file_count, size, stored_size, description, build_id,"
        " created_at, author) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?) RETURNING id",
        [
            new.model_id,
            new.number,
            new.digest,
            len(new.files),
            new.size,
            new.metadata.description,
            new.build_id,
            tx.now,
            new.author,
        ],
    )
    tx.run_many(
        "INSERT INTO version_files (version_id, path, file_id) VALUES (?, ?, ?)",
        [(version_id, path, file_id) for path, file_id in new.files],
    )
    tx.run(
        "UPDATE versions SET stored_size = (SELECT coalesce(sum(stored_size), 0) FROM chunks WHERE id IN"
        " (SELECT fc.chunk_id FROM version_files vf JOIN file_chunks fc ON fc.file_id = vf.file_id"
        "  WHERE vf.version_id = ?)) WHERE id = ?",
        [version_id, version_id],
    )
    records.set_params(tx, "version", version_id, new.metadata.params)
    records.set_tags(tx, "version", version_id, new.metadata.tags)
    records.set_version_metrics(tx, version_id, new.metadata.metrics)
    return version_id


def files(db: Reader, version_id: int, after: str, limit: int) -> list[VersionFile]:
    """Files by path, bytewise, after a path."""
    rows = db.rows(
        "SELECT f.id, vf.path, f.size, f.digest FROM version_files vf JOIN files f ON f.id = vf.file_id"
        " WHERE vf.version_id = ? AND vf.path > ? ORDER BY vf.path LIMIT ?",
        [version_id, after, limit],
    )
    return [VersionFile(*row) for row in rows]


def file(db: Reader, version_id: int, path: str) -> VersionFile:
    """One file of a version. Raises `NotFound`."""
    row = db.row(
        "SELECT f.id, vf.path, f.size, f.digest FROM version_files vf JOIN files f ON f.id = vf.file_id"
        " WHERE vf.version_id = ? AND vf.path = ?",
        [version_id, path],
    )
    if row is None:
        raise NotFound(f"the version has no file '{path}'", path=path)
    return VersionFile(*row)


def files_by_path(db: Reader, version_id: int, paths: Sequence[str]) -> dict[str, VersionFile]:
    """Those of these files that the version has."""
    rows = db.rows_in(
        "SELECT f.id, vf.path, f.size, f.digest FROM version_files vf JOIN files f ON f.id = vf.file_id"
        " WHERE vf.version_id = ? AND vf.path IN ({})",
        paths,
        before=[version_id],
    )
    return {row[1]: VersionFile(*row) for row in rows}


def _version(db: Reader, row: Row) -> Version:
    (version_id, namespace, model, number, digest, file_count, size, stored_size, description) = row[:9]
    created_at, build_number, log_digest, record_digest, author, bad, bad_reason = row[9:16]
    archived_at, deleted_at, purge_at, purged = row[16:]
    name = ModelName(namespace, model)
    aliases = db.rows("SELECT name FROM set_aliases WHERE version_id = ? ORDER BY name", [version_id])
    return Version(
        id=version_id,
        model=name,
        number=number,
        digest=digest,
        file_count=file_count,
        size=size,
        stored_size=stored_size,
        created_at=created_at,
        metadata=records.find(db, "version", version_id, description),
        aliases=tuple(alias for (alias,) in aliases),
        build=None if build_number is None else BuildName(name, build_number),
        log_digest=log_digest,
        record_digest=record_digest,
        author=author,
        bad=bool(bad),
        bad_reason=bad_reason,
        archived_at=archived_at,
        deleted_at=deleted_at,
        purge_at=purge_at,
        purged=bool(purged),
    )
