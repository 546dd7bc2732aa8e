"""Reads what travels to another registry, and what there is to export."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc.catalog import (
    builds,
    chunks,
    datasets,
    definitions,
    imported_runs,
    metrics,
    models,
    notes,
    provenance,
    rules,
    versions,
)
from regsvc.catalog.aliases import Kind
from regsvc.catalog.builds import BuildState
from regsvc.catalog.database import Reader
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.transfer_items import (
    AliasItem,
    AliasMove,
    BuildItem,
    DatasetItem,
    ModelItem,
    NotesItem,
    NoteText,
    Owner,
    RulesItem,
    VersionItem,
    VersionStateItem,
)
from regsvc.errors import NotFound
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef


def dataset(db: Reader, ref: DatasetRef) -> DatasetItem:
    """Raises `NotFound`."""
    found = datasets.find(db, ref)
    return DatasetItem(found.ref, found.digest, found.uri, datasets.profile(db, found), found.created_at)


def model(db: Reader, name: ModelName) -> ModelItem:
    """Raises `NotFound`."""
    found = models.find(db, name)
    defined = tuple(definitions.of_model(db, name).items())
    return ModelItem(name, found.description, found.created_at, found.updated_at, defined)


def build(db: Reader, name: BuildName) -> BuildItem:
    """Raises `NotFound`."""
    found = builds.find(db, name)
    return BuildItem(
        name=name,
        state=found.state,
        reason=found.reason,
        metadata=builds.metadata(db, found),
        created_at=found.created_at,
        ended_at=found.ended_at,
        cancel_requested=found.cancel_requested,
        steps=tuple(builds.steps(db, found.id)),
        log_seq=found.log_seq,
        log_bytes=found.log_bytes,
        log_digest=found.log_digest,
        record=provenance.find(db, "build", found.id),
        attachments=tuple(provenance.attachments(db, "build", found.id)),
        point_count=sum(each.count for each in metrics.of_build(db, found.id)),
        run=imported_runs.item_of(imported_runs.told(db, found)),
    )


def is_settled(item: BuildItem) -> bool:
    """Whether a build has ended and its log is sealed: nothing of it changes any more."""
    if item.state in (BuildState.QUEUED, BuildState.RUNNING):
        return False
    return not item.log_seq or item.log_digest is not None


def version(db: Reader, ref: VersionRef) -> VersionItem:
    """Raises `NotFound`."""
    found = versions.find(db, ref)
    return VersionItem(
        ref=found.ref,
        digest=found.digest,
        file_count=found.file_count,
        size=found.size,
        created_at=found.created_at,
        metadata=found.metadata,
        author=found.author,
        build=found.build or _awaited(db, found),
        record=provenance.find(db, "version", found.id),
        attachments=tuple(provenance.attachments(db, "version", found.id)),
        record_digest=found.record_digest,
    )


def version_state(db: Reader, ref: VersionRef) -> VersionStateItem:
    """Raises `NotFound`."""
    found = versions.find(db, ref)
    series = tuple((each.source, each.key, each.count) for each in metrics.of_version(db, found.id))
    approvals = tuple(rules.approvals_of(db, found.id))
    return VersionStateItem(found.ref, found.bad, found.bad_reason, approvals, series, found.archived_at)


def notes_of(db: Reader, ref: VersionRef, after: int, limit: int) -> tuple[NotesItem, int]:
    """The next notes, and the id of the last of them. Raises `NotFound`."""
    page = notes.page(db, versions.resolve(db, ref), after, limit)
    found = tuple(NoteText(each.author, each.text, each.at) for each in page)
    return NotesItem(ref, found), page[-1].id if page else after


def rules_of(db: Reader, name: AliasName) -> RulesItem:
    """Raises `NotFound` (model)."""
    return RulesItem(rules.find(db, name))


def alias(db: Reader, name: AliasName, first: int, limit: int) -> AliasItem:
    """The moves after the first `first`; none when it does not exist. Raises `NotFound` (model)."""
    rows = db.rows(
        "SELECT v.number, v.digest, c.at, c.author, c.reason, c.kind, v.deleted_at IS NOT NULL FROM alias_changes c"
        " JOIN aliases a ON a.id = c.alias_id JOIN versions v ON v.id = c.version_id"
        " WHERE a.model_id = ? AND a.name = ? ORDER BY c.id LIMIT ? OFFSET ?",
        [models.find_id(db, name.model), name.alias, limit, first],
    )
    moves = (AliasMove(row[0], row[1], row[2], row[3], row[4], Kind(row[5]), bool(row[6])) for row in rows)
    return AliasItem(name, first, tuple(moves))


def count_moves(db: Reader, name: AliasName) -> int:
    """How often an alias was moved."""
    return int(
        db.value(
            "SELECT count(*) FROM alias_changes c JOIN aliases a ON a.id = c.alias_id"
            " WHERE a.model_id = ? AND a.name = ?",
            [models.find_id(db, name.model), name.alias],
        )
    )


def build_points(
    db: Reader, name: BuildName, after: tuple[int, int], limit: int
) -> tuple[list[MetricPoint], tuple[int, int]]:
    """The next points of a build, and where they end: (revision, id) of the last."""
    rows = db.rows(
        "SELECT s.key, p.value, p.step, p.at, p.revision, p.id FROM metric_points p"
        " JOIN metric_series s ON s.id = p.series_id"
        " WHERE p.build_id = ? AND (p.revision, p.id) > (?, ?) ORDER BY p.revision, p.id LIMIT ?",
        [builds.find(db, name).id, *after, limit],
    )
    return [MetricPoint(*row[:4]) for row in rows], (rows[-1][4], rows[-1][5]) if rows else after


def evaluation_points(
    db: Reader, version_id: int, source: str, key: str, first: int, limit: int
) -> list[MetricPoint]:
    """Points of a series in the order in which they came, after the first `first`."""
    rows = db.rows(
        "SELECT p.value, p.step, p.at FROM evaluation_points p JOIN evaluation_series s ON s.id = p.series_id"
        " WHERE s.version_id = ? AND s.source = ? AND s.key = ? ORDER BY p.id LIMIT ? OFFSET ?",
        [version_id, source, key, limit, first],
    )
    return [MetricPoint(key, *row) for row in rows]


def blob(db: Reader, owner: Owner, digest: bytes) -> tuple[int, int]:
    """(file id, size) of a file, attachment or log of a version or build. Raises `NotFound`."""
    if isinstance(owner, BuildName):
        owner_id = builds.find(db, owner).id
        holds = (
            "f.id IN (SELECT file_id FROM build_attachments WHERE build_id = ?"
            " UNION ALL SELECT log_file_id FROM builds WHERE id = ?)"
        )
    else:
        owner_id = versions.resolve(db, owner)
        holds = (
            "(EXISTS (SELECT 1 FROM version_files x WHERE x.file_id = f.id AND x.version_id = ?)"
            " OR f.id IN (SELECT file_id FROM version_attachments WHERE version_id = ?))"
        )
    row = db.row(
        f"SELECT f.id, f.size FROM files f WHERE f.digest = ? AND {holds}",  # noqa: S608 - no values
        [digest, owner_id, owner_id],
    )
    if row is None:
        raise NotFound(f"{owner} has no blob {digest.hex()}", digest=digest.hex())
    return row[0], row[1]


def blob_chunks(db: Reader, file_id: int, start: int, limit: int) -> list[tuple[bytes, int]]:
    """(digest, size) of the next chunks of a file from an offset."""
    found = chunks.of_file(db, file_id, start, 1 << 62, limit)
    return [(piece.chunk.digest, piece.chunk.raw_size) for piece in found]


def namespaces(db: Reader) -> list[str]:
    """All, by name."""
    return [name for (name,) in db.rows("SELECT name FROM namespaces ORDER BY name")]


def dataset_refs(db: Reader, namespace: str) -> list[DatasetRef]:
    """Every dataset version of a namespace, by name and number."""
    rows = db.rows(
        "SELECT d.name, y.number FROM dataset_versions y JOIN datasets d ON d.id = y.dataset_id"
        " JOIN namespaces n ON n.id = d.namespace_id WHERE n.name = ? ORDER BY d.name, y.number",
        [namespace],
    )
    return [DatasetRef(namespace, *row) for row in rows]


def versions_of_dataset(db: Reader, ref: DatasetRef) -> list[DatasetRef]:
    """Its versions, or the one that is named. Raises `NotFound`."""
    if ref.number is not None:
        return [datasets.find(db, ref).ref]
    found = [each for each in dataset_refs(db, ref.namespace) if each.dataset == ref.dataset]
    if not found:
        raise NotFound(f"dataset {ref} does not exist", dataset=ref.wire)
    return found


def used_datasets(
    db: Reader, model_id: int, version: int | None = None, build: int | None = None
) -> list[DatasetRef]:
    """Datasets that a model's versions and builds used, or those of one version or build, by number."""
    found: set[tuple[str, str, int]] = set()
    for owner, number in (("version", version), ("build", build)):
        if number is None and (version is not None or build is not None):
            continue
        clause = "" if number is None else " AND o.number = ?"
        rows = db.rows(
            f"SELECT DISTINCT n.name, d.name, y.number FROM {owner}_datasets x JOIN {owner}s o ON o.id = x.{owner}_id"  # noqa: S608
            " JOIN dataset_versions y ON y.id = x.dataset_version_id JOIN datasets d ON d.id = y.dataset_id"
            f" JOIN namespaces n ON n.id = d.namespace_id WHERE o.model_id = ?{clause}",
            [model_id, *([] if number is None else [number])],
        )
        found |= {(row[0], row[1], row[2]) for row in rows}
    return [DatasetRef(*each) for each in sorted(found)]


def model_names(db: Reader, namespace: str) -> list[ModelName]:
    """By name."""
    rows = db.rows(
        "SELECT m.name FROM models m JOIN namespaces n ON n.id = m.namespace_id WHERE n.name = ? ORDER BY m.name",
        [namespace],
    )
    return [ModelName(namespace, name) for (name,) in rows]


def numbers(db: Reader, table: str, model_id: int, after: int, limit: int) -> Sequence[int]:
    """The next numbers of `versions` or `builds` of a model."""
    rows = db.rows(
        f"SELECT number FROM {table} WHERE model_id = ? AND number > ? ORDER BY number LIMIT ?",  # noqa: S608
        [model_id, after, limit],
    )
    return [number for (number,) in rows]


def ruled(db: Reader, model_id: int) -> list[str]:
    """Aliases that have rules, by name."""
    rows = db.rows("SELECT alias FROM alias_rules WHERE model_id = ? ORDER BY alias", [model_id])
    return [name for (name,) in rows]


def alias_names(db: Reader, model_id: int) -> list[str]:
    """By name, also those that name nothing any more."""
    return [
        name for (name,) in db.rows("SELECT name FROM aliases WHERE model_id = ? ORDER BY name", [model_id])
    ]


def _awaited(db: Reader, found: versions.Version) -> BuildName | None:
    """The build of a version that came before its build did."""
    number = db.value("SELECT build_number FROM awaited_builds WHERE version_id = ?", [found.id])
    return None if number is None else BuildName(found.model, number)
