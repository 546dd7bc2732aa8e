"""What the files of versions share and where they differ, answered by the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog.database import Reader


@dataclass(frozen=True)
class FileChanges:
    """How the files of a version differ from those of a base."""

    added: int
    removed: int
    changed: int


def file_changes(db: Reader, base: int, other: int) -> FileChanges:
    """Counts by path and content."""
    row = db.row(
        "SELECT (SELECT count(*) FROM version_files o WHERE o.version_id = ?2 AND NOT EXISTS"
        "  (SELECT 1 FROM version_files b WHERE b.version_id = ?1 AND b.path = o.path)),"
        " (SELECT count(*) FROM version_files b WHERE b.version_id = ?1 AND NOT EXISTS"
        "  (SELECT 1 FROM version_files o WHERE o.version_id = ?2 AND o.path = b.path)),"
        " (SELECT count(*) FROM version_files b JOIN version_files o ON o.version_id = ?2 AND o.path = b.path"
        "  WHERE b.version_id = ?1 AND b.file_id <> o.file_id)",
        [base, other],
    )
    assert row is not None
    return FileChanges(*row)


def shared_bytes(db: Reader, base: int, other: int) -> int:
    """Raw bytes of `other` in chunks that `base` has too; a chunk counts as often as it occurs."""
    return int(
        db.value(
            "SELECT coalesce(sum(c.raw_size), 0) FROM version_files vf JOIN file_chunks fc ON fc.file_id = vf.file_id"
            " JOIN chunks c ON c.id = fc.chunk_id WHERE vf.version_id = ?2 AND fc.chunk_id IN"
            " (SELECT b.chunk_id FROM version_files v JOIN file_chunks b ON b.file_id = v.file_id"
            "  WHERE v.version_id = ?1)",
            [base, other],
        )
    )


def shared_bytes_of_files(db: Reader, base: int, other: int) -> int:
    """The same for two files, by their ids."""
    return int(
        db.value(
            "SELECT coalesce(sum(c.raw_size), 0) FROM file_chunks fc JOIN chunks c ON c.id = fc.chunk_id"
            " WHERE fc.file_id = ?2 AND fc.chunk_id IN (SELECT chunk_id FROM file_chunks WHERE file_id = ?1)",
            [base, other],
        )
    )


def differing_paths(db: Reader, version_ids: Sequence[int], limit: int) -> list[str]:
    """The first `limit` paths whose file is not the same in all of these versions."""
    marks = ",".join("?" * len(version_ids))
    rows = db.rows(
        f"SELECT path FROM version_files WHERE version_id IN ({marks}) GROUP BY path"  # noqa: S608
        " HAVING count(*) < ? OR min(file_id) <> max(file_id) ORDER BY path LIMIT ?",
        [*version_ids, len(version_ids), limit],
    )
    return [path for (path,) in rows]


def files_ending(db: Reader, version_id: int, ends: Sequence[str]) -> list[tuple[str, int, int]]:
    """(path, file id, size) of files whose path ends so, by path."""
    tests = " OR ".join("substr(vf.path, -?) = ?" for _ in ends)
    parameters: list[object] = [version_id]
    for end in ends:
        parameters += [len(end), end]
    rows = db.rows(
        "SELECT vf.path, f.id, f.size FROM version_files vf JOIN files f ON f.id = vf.file_id"  # noqa: S608
        f" WHERE vf.version_id = ? AND ({tests}) ORDER BY vf.path",
        parameters,
    )
    return [(row[0], row[1], row[2]) for row in rows]


def layout(db: Reader, file_id: int) -> list[tuple[int, int, int]]:
    """(file offset, raw size, chunk id) of all chunks of a file, in order."""
    rows = db.rows(
        "SELECT fc.file_offset, c.raw_size, c.id FROM file_chunks fc JOIN chunks c ON c.id = fc.chunk_id"
        " WHERE fc.file_id = ? ORDER BY fc.file_offset",
        [file_id],
    )
    return [(row[0], row[1], row[2]) for row in rows]
