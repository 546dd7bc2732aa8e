"""What versions, builds and datasets were made from, and what was made from them, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from regsvc.catalog.database import PARAMETERS, Reader, Row
from regsvc.content.record import Relation
from regsvc.errors import NotFound
from regsvc.refs import DatasetRef


class Kind(Enum):
    """What stands in a lineage."""

    VERSION = 1
    BUILD = 2
    DATASET = 3
    """All versions of a dataset."""
    DATASET_VERSION = 4
    ELSEWHERE = 5
    """A model that is in no regsvc."""


@dataclass(frozen=True)
class Thing:
    """One of them, by its id in the catalog; a model of elsewhere by its URI."""

    kind: Kind
    id: int | str


@dataclass(frozen=True)
class Link:
    """`target` was made from, or by, `source`."""

    source: Thing
    target: Thing
    relation: str


@dataclass(frozen=True)
class Named:
    """What is shown of a thing."""

    name: str
    """Resource name, or URI."""
    created_at: int | None = None
    aliases: Sequence[str] = ()


# (kind of the source, kind of the target, query of source, target and relation)
_UP = (
    (
        Kind.BUILD,
        Kind.VERSION,
        "SELECT build_id, id, 'built' FROM versions WHERE build_id > 0 AND id IN ({})",
    ),
    (
        Kind.VERSION,
        Kind.VERSION,
        "SELECT parent_id, version_id, relation FROM version_parents"
        " WHERE parent_id IS NOT NULL AND version_id IN ({}) ORDER BY version_id, position",
    ),
    (
        Kind.VERSION,
        Kind.VERSION,
        "SELECT copied_from, id, 'copied' FROM versions WHERE copied_from > 0 AND id IN ({})",
    ),
    (
        Kind.ELSEWHERE,
        Kind.VERSION,
        "SELECT name, version_id, relation FROM version_parents"
        " WHERE parent_id IS NULL AND version_id IN ({}) ORDER BY version_id, position",
    ),
    (
        Kind.DATASET_VERSION,
        Kind.VERSION,
        "SELECT dataset_version_id, version_id, split FROM version_datasets WHERE version_id IN ({})"
        " ORDER BY version_id, dataset_version_id, split",
    ),
    (
        Kind.DATASET_VERSION,
        Kind.BUILD,
        "SELECT dataset_version_id, build_id, split FROM build_datasets WHERE build_id IN ({})"
        " ORDER BY build_id, dataset_version_id, split",
    ),
)

_USED = (
    "SELECT dataset_version_id, {owner}_id, split FROM {owner}_datasets WHERE dataset_version_id IN ({{}})"
    " ORDER BY dataset_version_id, {owner}_id DESC, split"
)
_DOWN = (
    (
        Kind.BUILD,
        Kind.VERSION,
        "SELECT build_id, id, 'built' FROM versions WHERE build_id IN ({}) ORDER BY id",
    ),
    (
        Kind.VERSION,
        Kind.VERSION,
        "SELECT parent_id, version_id, relation FROM version_parents WHERE parent_id IN ({})"
        " ORDER BY parent_id, version_id, position",
    ),
    (
        Kind.VERSION,
        Kind.VERSION,
        "SELECT copied_from, id, 'copied' FROM versions WHERE copied_from IN ({}) ORDER BY id DESC",
    ),
    (
        Kind.ELSEWHERE,
        Kind.VERSION,
        "SELECT name, version_id, relation FROM version_parents WHERE parent_id IS NULL AND name IN ({})"
        " ORDER BY version_id, position",
    ),
    (
        Kind.DATASET,
        Kind.DATASET_VERSION,
        "SELECT dataset_id, id, '' FROM dataset_versions y WHERE dataset_id IN ({})"
        " AND (EXISTS (SELECT 1 FROM version_datasets x WHERE x.dataset_version_id = y.id)"
        " OR EXISTS (SELECT 1 FROM build_datasets x WHERE x.dataset_version_id = y.id)) ORDER BY number DESC",
    ),
    (Kind.DATASET_VERSION, Kind.BUILD, _USED.format(owner="build")),
    (Kind.DATASET_VERSION, Kind.VERSION, _USED.format(owner="version")),
)

_NAMES = (
    (
        Kind.VERSION,
        "namespaces/{}/models/{}/versions/{}",
        "SELECT v.id, v.created_at, n.name, m.name, v.number FROM versions v JOIN models m ON m.id = v.model_id"
        " JOIN namespaces n ON n.id = m.namespace_id WHERE v.id IN ({})",
    ),
    (
        Kind.BUILD,
        "namespaces/{}/models/{}/builds/{}",
        "SELECT b.id, b.created_at, n.name, m.name, b.number FROM builds b JOIN models m ON m.id = b.model_id"
        " JOIN namespaces n ON n.id = m.namespace_id WHERE b.id IN ({})",
    ),
    (
        Kind.DATASET,
        "namespaces/{}/datasets/{}",
        "SELECT d.id, d.created_at, n.name, d.name FROM datasets d"
        " JOIN namespaces n ON n.id = d.namespace_id WHERE d.id IN ({})",
    ),
    (
        Kind.DATASET_VERSION,
        "namespaces/{}/datasets/{}/versions/{}",
        "SELECT y.id, y.created_at, n.name, d.name, y.number FROM dataset_versions y"
        " JOIN datasets d ON d.id = y.dataset_id JOIN namespaces n ON n.id = d.namespace_id WHERE y.id IN ({})",
    ),
)
"""(kind, resource name, query of id, time and the parts of the name)"""


def dataset(db: Reader, ref: DatasetRef) -> Thing:
    """A dataset, whatever its number. Raises `NotFound`."""
    found = db.value(
        "SELECT d.id FROM datasets d JOIN namespaces n ON n.id = d.namespace_id WHERE n.name = ? AND d.name = ?",
        [ref.namespace, ref.dataset],
    )
    if found is None:
        raise NotFound(f"dataset {ref} does not exist", dataset=ref.parent)
    return Thing(Kind.DATASET, found)


def above(db: Reader, things: Sequence[Thing], limit: int) -> list[Link]:
    """What these were made from: builds, parents and datasets of versions, datasets of builds. At most `limit`."""
    found: list[Link] = []
    for source, target, sql in _UP:
        rows = _some(db, sql, things, target, limit - len(found))
        found += [Link(Thing(source, row[0]), Thing(target, row[1]), _word(row[2])) for row in rows]
    return _ordered(found, things, lambda link: link.target)


def below(db: Reader, things: Sequence[Thing], limit: int) -> list[Link]:
    """What was made from these: by builds, from models, with datasets, the newest users first. At most `limit`.

    Of a whole dataset the versions that somebody used.
    """
    found: list[Link] = []
    for source, target, sql in _DOWN:
        rows = _some(db, sql, things, source, limit - len(found))
        found += [Link(Thing(source, row[0]), Thing(target, row[1]), _word(row[2])) for row in rows]
    return _ordered(found, things, lambda link: link.source)


def named(db: Reader, things: Iterable[Thing]) -> dict[Thing, Named]:
    """Names, times and aliases of things that exist."""
    ids: dict[Kind, list[int | str]] = {}
    for thing in things:
        ids.setdefault(thing.kind, []).append(thing.id)
    found = {Thing(Kind.ELSEWHERE, uri): Named(str(uri)) for uri in ids.get(Kind.ELSEWHERE, ())}
    aliases: dict[int, list[str]] = {}
    pointing = "SELECT version_id, name FROM set_aliases WHERE version_id IN ({}) ORDER BY name"
    for version_id, alias in db.rows_in(pointing, ids.get(Kind.VERSION, ())):
        aliases.setdefault(version_id, []).append(alias)
    for kind, name, sql in _NAMES:
        for thing_id, created_at, *parts in db.rows_in(sql, ids.get(kind, ())):
            shown = aliases.get(thing_id, ()) if kind is Kind.VERSION else ()
            found[Thing(kind, thing_id)] = Named(name.format(*parts), created_at, shown)
    return found


def _some(db: Reader, sql: str, things: Sequence[Thing], kind: Kind, limit: int) -> Iterator[Row]:
    """At most `limit` rows of a query with `IN ({})`, for those of the things that are of one kind."""
    ids = [thing.id for thing in things if thing.kind is kind]
    for start in range(0, len(ids), PARAMETERS - 1):
        part = ids[start : start + PARAMETERS - 1]
        rows = db.rows(sql.format(",".join("?" * len(part))) + " LIMIT ?", [*part, max(0, limit)])
        limit -= len(rows)
        yield from rows


def _ordered(found: list[Link], things: Sequence[Thing], origin: Callable[[Link], Thing]) -> list[Link]:
    places = {thing: place for place, thing in enumerate(things)}
    return sorted(found, key=lambda link: places[origin(link)])


def _word(relation: int | str) -> str:
    """`fine-tuned` and the like; a split is a word already."""
    if isinstance(relation, str):
        return relation
    return Relation(relation).name.lower().replace("_", "-") if relation else ""
