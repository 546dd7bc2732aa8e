"""Notes on versions: what was said of them later. They are never changed or removed."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog import events, models
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.versions import Version
from regsvc.errors import ResourceExhausted

MAX_NOTES = 10_000
"""Most notes of one version."""


@dataclass(frozen=True)
class Note:
    """What somebody said of a version."""

    id: int
    author: str
    text: str
    at: int
    """Microseconds since 1970."""


def add(tx: Transaction, version: Version, author: str, text: str) -> int:
    """Add a note; gives its id. Raises `ResourceExhausted`."""
    if tx.value("SELECT count(*) FROM notes WHERE version_id = ?", [version.id]) >= MAX_NOTES:
        raise ResourceExhausted(f"{version.ref} has {MAX_NOTES} notes already", limit=MAX_NOTES)
    note_id = tx.insert(
        "INSERT INTO notes (version_id, author, text, at) VALUES (?, ?, ?, ?) RETURNING id",
        [version.id, author, text, tx.now],
    )
    models.touch(tx, models.find_id(tx, version.model))
    events.record(tx, "version.note", version.ref.wire, author=author, note=note_id)
    return note_id


def get(db: Reader, note_id: int) -> Note:
    """By id, which must exist."""
    row = db.row("SELECT id, author, text, at FROM notes WHERE id = ?", [note_id])
    assert row is not None, "note ids come from the catalog"
    return Note(*row)


def page(db: Reader, version_id: int, after: int, limit: int) -> list[Note]:
    """Oldest first, with an id above `after`."""
    rows = db.rows(
        "SELECT id, author, text, at FROM notes WHERE version_id = ? AND id > ? ORDER BY id LIMIT ?",
        [version_id, after, limit],
    )
    return [Note(*row) for row in rows]
