"""Parents, children and builds of versions, a step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog.database import Reader


@dataclass(frozen=True)
class Link:
    """One version was made from another, or from a model of elsewhere."""

    parent_id: int | None
    """None for a model of elsewhere."""
    name: str
    """Resource name or URI of the parent."""
    relation: int
    child_id: int


def parents(db: Reader, version_ids: Sequence[int]) -> list[Link]:
    """What these versions were made from, in the order that each named."""
    return _links(db, "version_id IN ({})", version_ids)


def children(db: Reader, version_ids: Sequence[int]) -> list[Link]:
    """What was made from these versions."""
    return _links(db, "parent_id IN ({})", version_ids)


def children_of_uri(db: Reader, uri: str) -> list[Link]:
    """What was made from a model of elsewhere."""
    return _links(db, "parent_id IS NULL AND name IN ({})", [uri])


def built(db: Reader, version_ids: Sequence[int]) -> list[tuple[int, int]]:
    """(build id, version id) of those that builds published."""
    rows = db.rows_in(
        "SELECT build_id, id FROM versions WHERE build_id IS NOT NULL AND id IN ({}) ORDER BY id", version_ids
    )
    return [(row[0], row[1]) for row in rows]


def published(db: Reader, build_id: int) -> list[int]:
    """Ids of the versions of a build, by number."""
    rows = db.rows("SELECT id FROM versions WHERE build_id = ? ORDER BY number", [build_id])
    return [version_id for (version_id,) in rows]


def _links(db: Reader, condition: str, values: Sequence[object]) -> list[Link]:
    rows = db.rows_in(
        "SELECT parent_id, name, relation, version_id FROM version_parents WHERE "  # noqa: S608
        f"{condition} ORDER BY version_id, position",
        values,
    )
    return [Link(*row) for row in rows]
