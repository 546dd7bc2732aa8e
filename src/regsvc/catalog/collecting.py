"""What a collection writes: versions forgotten, then files, then chunks and packs. Each step may be the last."""

# ruff: noqa: S608 - what is put into the statements is all written here
from __future__ import annotations

from collections.abc import Sequence

from regsvc.catalog import events, fulltext, versions
from regsvc.catalog.chunks import PackFacts, add_notes
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.storage import CHUNK_USED, FILE_USED, NOTE_USED

_FORGOTTEN = b"gone"
"""What the digest of a forgotten file begins with: nobody finds it by what it was."""
_OF_VERSION = (
    "version_files",
    "version_attachments",
    "version_params",
    "version_tags",
    "version_metrics",
    "version_labels",
    "version_records",
    "notes",
    "approvals",
)
"""Tables of what is forgotten of a version. Its parents and datasets stay: others' lineage leads through it."""
_FILE_USED = FILE_USED.format(apart="1")
_CHUNK_USED = CHUNK_USED.format(apart="1")
_NOTE_USED = NOTE_USED.format(apart="1", file_apart="1")


class PackChanged(Exception):
    """Something of a pack that was not needed is needed now."""


def purge(tx: Transaction, version_id: int) -> bool:
    """Take a version out of reach for good, if it is still deleted and due; what is left of it is for `forget`."""
    version = versions.get(tx, version_id)
    if version.purged or version.purge_at is None or version.purge_at > tx.now:
        return False
    fulltext.remove_versions(tx, version.model, "v.id = ?", version_id)
    tx.run(
        "UPDATE versions SET purged = 1, description = '', bad_reason = '', record_digest = NULL WHERE id = ?",
        [version_id],
    )
    events.record(tx, "version.purged", version.ref.wire, digest=version.digest.hex(), size=version.size)
    return True


def to_forget(db: Reader, limit: int) -> list[int]:
    """Purged versions of which something is left, by id."""
    rows = db.rows(
        "SELECT id FROM versions WHERE deleted_at IS NOT NULL AND purged = 1 AND purge_at IS NOT NULL LIMIT ?",
        [limit],
    )
    return [version_id for (version_id,) in rows]


def forget(tx: Transaction, version_ids: Sequence[int], limit: int) -> None:
    """Forget what is left of purged versions, at most about `limit` rows; call it while there is one."""
    left = limit
    for version_id in version_ids:
        count = _forget_one(tx, version_id, left)
        if count >= left:
            return
        left -= count
        tx.run("UPDATE versions SET purge_at = NULL WHERE id = ?", [version_id])


def _forget_one(tx: Transaction, version_id: int, limit: int) -> int:
    """Forget at most `limit` rows; gives how many that were, `limit` when some may be left."""
    count = 0
    for table in _OF_VERSION:
        count += tx.run(
            f"DELETE FROM {table} WHERE version_id = ? AND {_key(table)} IN"
            f" (SELECT {_key(table)} FROM {table} WHERE version_id = ? LIMIT ?)",
            [version_id, version_id, limit - count],
        )
        if count >= limit:
            return limit
    count += tx.run(
        "DELETE FROM evaluation_points WHERE id IN (SELECT p.id FROM evaluation_points p JOIN evaluation_series s"
        " ON s.id = p.series_id WHERE s.version_id = ? LIMIT ?)",
        [version_id, limit - count],
    )
    if count >= limit:
        return limit
    return count + tx.run("DELETE FROM evaluation_series WHERE version_id = ?", [version_id])


def _key(table: str) -> str:
    """What tells the rows of one version apart."""
    known = {
        "version_files": "path",
        "version_attachments": "name",
        "version_labels": "label",
        "version_records": "version_id",
        "notes": "id",
        "approvals": "id",
    }
    return known.get(table, "key")


def last_file(db: Reader) -> int:
    """The highest id of a file."""
    return int(db.value("SELECT coalesce(max(id), 0) FROM files"))


def unused_files(db: Reader, first: int, last: int) -> list[int]:
    """Files with ids in [first, last] that nobody needs."""
    rows = db.rows(
        f"SELECT f.id FROM files f WHERE f.id BETWEEN ? AND ? AND length(f.digest) = 32 AND NOT {_FILE_USED}",
        [first, last],
    )
    return [file_id for (file_id,) in rows]


def forget_files(tx: Transaction, file_ids: Sequence[int]) -> None:
    """Let no new version find these files, those that are needed by now aside. Their rows go by `drop_files`."""
    still = tx.rows_in(
        f"SELECT f.id FROM files f WHERE f.id IN ({{}}) AND length(f.digest) = 32 AND NOT {_FILE_USED}",
        file_ids,
    )
    tx.run_many(
        "UPDATE files SET digest = ? WHERE id = ?",
        [(_FORGOTTEN + file_id.to_bytes(8, "big"), file_id) for (file_id,) in list(still)],
    )


def drop_files(tx: Transaction, limit: int) -> bool:
    """Drop at most about `limit` rows of forgotten files; whether none is left."""
    end = _FORGOTTEN[:-1] + bytes([_FORGOTTEN[-1] + 1])
    rows = tx.rows(
        "SELECT id FROM files WHERE digest >= ? AND digest < ? AND length(digest) = 12 LIMIT ?",
        [_FORGOTTEN, end, limit],
    )
    left = limit
    for (file_id,) in rows:
        left -= 1 + tx.run(
            "DELETE FROM file_chunks WHERE file_id = ? AND file_offset IN"
            " (SELECT file_offset FROM file_chunks WHERE file_id = ? ORDER BY file_offset LIMIT ?)",
            [file_id, file_id, left],
        )
        if left <= 0:
            return False
        _drop_file(tx, file_id)
    return len(rows) < limit


def _drop_file(tx: Transaction, file_id: int) -> None:
    # An id is not given again, or who reads the dropped file by its id would read another: the last one is never free.
    if file_id == last_file(tx):
        tx.run(
            "INSERT INTO files (id, digest, size) VALUES (?, ?, 0) ON CONFLICT (digest) DO UPDATE SET id = excluded.id",
            [file_id + 1, b""],
        )
    tx.run("DELETE FROM files WHERE id = ?", [file_id])


def needed(db: Reader, pack_id: int) -> frozenset[int]:
    """Where the records of a pack are that somebody needs."""
    rows = db.rows(
        f"SELECT c.record_offset FROM chunks c WHERE c.pack_id = ? AND {_CHUNK_USED}"
        f" UNION ALL SELECT n.record_offset FROM pack_notes n WHERE n.pack_id = ? AND {_NOTE_USED}",
        [pack_id, pack_id],
    )
    return frozenset(offset for (offset,) in rows)


def drop_pack(tx: Transaction, pack_id: int, name: str) -> int:
    """Take a pack that nobody needs anything of out of the catalog; its file is to be removed then.

    Gives how many chunks that were. Raises `PackChanged`.
    """
    noted = tx.value(f"SELECT 1 FROM pack_notes n WHERE n.pack_id = ? AND {_NOTE_USED} LIMIT 1", [pack_id])
    if noted is not None:
        raise PackChanged
    return _out(tx, pack_id, name)


def replace_pack(tx: Transaction, pack_id: int, name: str, by: PackFacts) -> int:
    """Put a pack with what is needed of another in its place. Gives how many chunks are gone. Raises `PackChanged`."""
    new_id = tx.insert(
        "INSERT INTO packs (name, size, records, created_at, noted) VALUES (?, ?, ?, ?, 1) RETURNING id",
        [by.name, by.size, by.record_count, tx.now],
    )
    add_notes(tx, new_id, by.notes)
    tx.run_many(
        "UPDATE chunks SET pack_id = ?, record_offset = ? WHERE digest = ? AND pack_id = ?",
        [(new_id, offset, digest, pack_id) for digest, offset, *_ in by.chunks],
    )
    kept = {(kind, digest) for _, kind, digest, _ in by.notes}
    rows = tx.rows(
        f"SELECT n.kind, n.digest FROM pack_notes n WHERE n.pack_id = ? AND {_NOTE_USED}",
        [pack_id],
    )
    if not kept.issuperset((kind, digest) for kind, digest in rows):
        raise PackChanged
    gone = _out(tx, pack_id, name)
    removed(tx, by.name)
    return gone


def _out(tx: Transaction, pack_id: int, name: str) -> int:
    used = tx.value(f"SELECT 1 FROM chunks c WHERE c.pack_id = ? AND {_CHUNK_USED} LIMIT 1", [pack_id])
    if used is not None:
        raise PackChanged
    gone = tx.run("DELETE FROM chunks WHERE pack_id = ?", [pack_id])
    tx.run("DELETE FROM pack_notes WHERE pack_id = ?", [pack_id])
    tx.run("DELETE FROM packs WHERE id = ?", [pack_id])
    not_wanted(tx, name)
    return gone


def unwanted(db: Reader) -> list[str]:
    """Packs whose files are to be removed, if they are there."""
    return [name for (name,) in db.rows("SELECT name FROM unwanted_packs")]


def not_wanted(tx: Transaction, name: str) -> None:
    """The file of this pack is not to outlive the process, unless `removed` says otherwise."""
    tx.run("INSERT INTO unwanted_packs (name) VALUES (?) ON CONFLICT DO NOTHING", [name])


def removed(tx: Transaction, name: str) -> None:
    """The file is removed, or wanted after all."""
    tx.run("DELETE FROM unwanted_packs WHERE name = ?", [name])


def collected_at(db: Reader) -> int:
    """When a collection last ended, in microseconds since 1970; 0 when none has."""
    return int(db.value("SELECT value FROM settings WHERE key = 'collected_at'") or 0)


def note_collected(tx: Transaction, **told: int) -> None:
    """A collection has ended."""
    tx.run(
        "INSERT INTO settings (key, value) VALUES ('collected_at', ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [str(tx.now)],
    )
    if told.get("versions") or told.get("freed_size"):
        events.record(tx, "storage.collected", "storage", **told)
