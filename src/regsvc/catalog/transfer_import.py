"""Writes what came from another registry, with its numbers, times and authors. Whether it may is asked before.

Nothing here touches a model's time of change: that comes with the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import zstandard

from regsvc.catalog import (
    aliases,
    builds,
    chunks,
    datasets,
    events,
    fulltext,
    imported_runs,
    metrics,
    mirrors,
    models,
    provenance,
    records,
    transfer_gone,
    versions,
)
from regsvc.catalog.aliases import Kind
from regsvc.catalog.builds import Step
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.logs import LogBatch
from regsvc.catalog.metrics import MetricPoint, Summary
from regsvc.catalog.rules import Rules
from regsvc.catalog.transfer_items import (
    AliasItem,
    AliasMove,
    BuildItem,
    DatasetItem,
    ModelItem,
    NoteText,
    VersionItem,
    VersionStateItem,
)
from regsvc.catalog.versions import NewVersion
from regsvc.content.record import EMPTY, DatasetUse, Record
from regsvc.errors import NotFound, ResourceExhausted
from regsvc.refs import AliasName, ModelName, VersionRef, dataset_from_wire, version_from_wire

_POINTS = 10_000
"""Points that are in memory at once."""
_POINTS_OF_REVISION = 1_000
"""As many as one LogMetrics brings."""


def add_model(tx: Transaction, item: ModelItem) -> None:
    """Make a model as it was made elsewhere; the caller knows that it is not there."""
    model = models.create(tx, item.name, item.description)
    tx.run(
        "UPDATE models SET created_at = ?, updated_at = ? WHERE id = ?",
        [item.created_at, item.updated_at, model.id],
    )


def describe_model(tx: Transaction, name: ModelName, description: str) -> None:
    """Replace a model's description."""
    tx.run("UPDATE models SET description = ? WHERE id = ?", [description, models.find_id(tx, name)])


def advance_model(tx: Transaction, item: ModelItem) -> None:
    """The model has changed at least when it changed at the source."""
    tx.run(
        "UPDATE models SET updated_at = ? WHERE id = ? AND updated_at < ?",
        [item.updated_at, models.find_id(tx, item.name), item.updated_at],
    )


def set_updated(tx: Transaction, name: ModelName, at: int) -> None:
    """Say when a model was last changed."""
    tx.run("UPDATE models SET updated_at = ? WHERE id = ?", [at, models.find_id(tx, name)])


def add_dataset(tx: Transaction, item: DatasetItem, rows: int | None, columns: int | None) -> None:
    """Make a dataset version with its number."""
    ref = item.ref
    tx.run(
        "INSERT INTO namespaces (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        [ref.namespace, tx.now],
    )
    dataset_id = tx.insert(
        "INSERT INTO datasets (namespace_id, name, created_at, last_version)"
        " SELECT id, ?, ?, ? FROM namespaces WHERE name = ?"
        " ON CONFLICT (namespace_id, name) DO UPDATE SET"
        " last_version = max(datasets.last_version, excluded.last_version) RETURNING id",
        [ref.dataset, item.created_at, ref.number, ref.namespace],
    )
    packed = zstandard.ZstdCompressor(level=3).compress(item.profile) if item.profile else None
    version_id = tx.insert(
        "INSERT INTO dataset_versions (dataset_id, number, digest, uri, row_count, column_count, profile, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        [dataset_id, ref.number, item.digest, item.uri, rows, columns, packed, item.created_at],
    )
    fulltext.add_dataset(tx, version_id, ref, item.uri)


def add_build(
    tx: Transaction,
    item: BuildItem,
    log: tuple[int, Sequence[LogBatch]] | None,
    attachments: Mapping[str, int],
    uses: Sequence[DatasetUse],
    points: tuple[str, Sequence[Summary]],
    source: str,
) -> None:
    """Make a build that has ended.

    `log` is the file of its log and what of it is where; `attachments` are files by name; `points` are the upload that
    they came with, and their series.
    """
    model_id = models.ensure(tx, item.name.model)
    build_id = tx.insert(
        "INSERT INTO builds (model_id, number, state, reason, description, created_at, ended_at, lease_until,"
        " cancel_requested, log_seq, log_bytes, log_file_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        [
            model_id,
            item.name.number,
            item.state,
            item.reason,
            item.metadata.description,
            item.created_at,
            item.ended_at,
            item.ended_at or item.created_at,
            int(item.cancel_requested),
            item.log_seq,
            item.log_bytes,
            None if log is None else log[0],
        ],
    )
    tx.run("UPDATE models SET last_build = max(last_build, ?) WHERE id = ?", [item.name.number, model_id])
    records.set_params(tx, "build", build_id, item.metadata.params)
    records.set_tags(tx, "build", build_id, item.metadata.tags)
    _add_steps(tx, build_id, item.steps)
    tx.run_many(
        "INSERT INTO log_batches (build_id, first_seq, last_seq, size, payload, blob_offset)"
        " VALUES (?, ?, ?, ?, NULL, ?)",
        [
            (build_id, each.first_seq, each.last_seq, each.size, each.blob_offset)
            for each in (log[1] if log else ())
        ],
    )
    if item.record != EMPTY:
        provenance.put(tx, "build", build_id, item.record)
    if item.run is not None:
        imported_runs.add(tx, build_id, item.run)
    datasets.link(tx, "build", build_id, uses)
    for name, file_id in attachments.items():
        provenance.attach(tx, "build", build_id, name, file_id)
    _take_points(tx, builds.get(tx, build_id), *points)
    mirrors.came(tx, source, item.name.wire)
    _give_awaited(tx, model_id, item.name.number, build_id, source)


def known_build(tx: Transaction, item: BuildItem, source: str) -> None:
    """A build is the one that another registry has: versions that came before it learn of it."""
    build = builds.find(tx, item.name)
    mirrors.came(tx, source, item.name.wire)
    _give_awaited(tx, build.model_id, item.name.number, build.id, source)


def add_version(
    tx: Transaction,
    item: VersionItem,
    files: Sequence[tuple[str, int]],
    attachments: Mapping[str, int],
    uses: Sequence[DatasetUse],
    parents: Sequence[int | None],
    source: str,
) -> int:
    """Make a version with its number; gives its id. `uses` and `parents` are what is here of those in its record."""
    assert item.ref.number is not None
    model_id = models.ensure(tx, item.ref.model)
    new = NewVersion(
        model_id, item.ref.number, item.digest, files, item.size, None, item.metadata, item.author
    )
    kept = transfer_gone.make_way(tx, item.ref)
    version_id = versions.insert(tx, new)
    if kept is not None:
        transfer_gone.take_place(tx, kept, version_id)
    tx.run("UPDATE versions SET created_at = ? WHERE id = ?", [item.created_at, version_id])
    tx.run("UPDATE models SET last_version = max(last_version, ?) WHERE id = ?", [item.ref.number, model_id])
    link_build(tx, item, version_id, source)
    _add_record(tx, version_id, item.record, uses, parents)
    for name, file_id in attachments.items():
        provenance.attach(tx, "version", version_id, name, file_id)
    if item.record_digest is not None:
        provenance.seal(tx, version_id, item.record_digest)
    description, record = item.metadata.description, item.record
    fulltext.add_version(tx, version_id, item.ref.model, description, record.card, record.labels)
    known_version(tx, item.ref, version_id, source)
    return version_id


def known_version(tx: Transaction, ref: VersionRef, version_id: int, source: str) -> None:
    """A version is the one that another registry has: those that were made from it and came before learn of it."""
    mirrors.came(tx, source, ref.wire)
    tx.run(
        "UPDATE version_parents SET parent_id = ? WHERE name = ? AND parent_id IS NULL",
        [version_id, ref.wire],
    )


def link_build(tx: Transaction, item: VersionItem, version_id: int, source: str) -> None:
    """A version learns of its build, now or when that comes. One of the same number that is another is not its."""
    if item.build is None:
        return
    if mirrors.has_come(tx, source, item.build.wire):
        tx.run(
            "UPDATE versions SET build_id = ? WHERE id = ? AND build_id IS NULL",
            [builds.find(tx, item.build).id, version_id],
        )
    else:
        tx.run(
            "INSERT INTO awaited_builds (version_id, build_number, source) SELECT id, ?, ? FROM versions"
            " WHERE id = ? AND build_id IS NULL ON CONFLICT DO NOTHING",
            [item.build.number, source, version_id],
        )


def uses_here(db: Reader, uses: Sequence[DatasetUse]) -> list[DatasetUse]:
    """Those datasets that are here, with the digest that was used."""
    found = []
    for use in uses:
        try:
            here = datasets.find(db, dataset_from_wire(use.dataset))
        except NotFound:
            continue
        if here.digest.hex() == use.digest:
            found.append(replace(use, dataset=here.ref.wire))
    return found


def parent_here(db: Reader, name: str, source: str) -> int | None:
    """The id of a version, if it is here and the one that the source means."""
    if not name or not mirrors.has_come(db, source, name):
        return None
    return versions.resolve(db, version_from_wire(name), deleted=True)


def mark(tx: Transaction, version_id: int, item: VersionStateItem) -> None:
    """Mark a version as it is marked at the source."""
    tx.run(
        "UPDATE versions SET bad = ?, bad_reason = ? WHERE id = ?",
        [int(item.bad), item.bad_reason, version_id],
    )


def archive(tx: Transaction, version_id: int, item: VersionStateItem) -> None:
    """Put a version away, or take it out, as at the source. Aliases that name it move later."""
    tx.run("UPDATE versions SET archived_at = ? WHERE id = ?", [item.archived_at, version_id])


def approve(tx: Transaction, version_id: int, item: VersionStateItem) -> None:
    """Replace the approvals of a version."""
    tx.run("DELETE FROM approvals WHERE version_id = ?", [version_id])
    tx.run_many(
        "INSERT INTO approvals (version_id, alias, author, comment, at) VALUES (?, ?, ?, ?, ?)",
        [(version_id, each.alias, each.author, each.comment, each.at) for each in item.approvals],
    )


def add_note(tx: Transaction, version_id: int, note: NoteText) -> bool:
    """Add a note, unless it is there; gives whether it was not."""
    return (
        tx.run(
            "INSERT INTO notes (version_id, author, text, at) SELECT ?, ?, ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM notes WHERE version_id = ? AND author = ? AND text = ? AND at = ?)",
            [version_id, note.author, note.text, note.at] * 2,
        )
        > 0
    )


def set_rules(tx: Transaction, rules: Rules) -> None:
    """Replace the rules of an alias, with the time of the change."""
    model_id = models.find_id(tx, rules.name.model)
    tx.run("DELETE FROM alias_rules WHERE model_id = ? AND alias = ?", [model_id, rules.name.alias])
    if rules.updated_at is not None:
        tx.run(
            "INSERT INTO alias_rules (model_id, alias, protected, gate, approvals, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                model_id,
                rules.name.alias,
                int(rules.protected),
                rules.gate,
                rules.approvals,
                rules.updated_at,
            ],
        )


def move_alias(tx: Transaction, name: AliasName, moves: Sequence[AliasMove], ids: Sequence[int]) -> bool:
    """Add moves, to versions of these ids, to the end of an alias's history; whether it names the last one then.

    It names nothing when it was unset there, or when that version is deleted here. Asks no rules.
    """
    model_id = models.find_id(tx, name.model)
    last = ids[-1]
    unset = transfer_gone.names_nothing(tx, last, moves[-1].kind)
    row = tx.row(
        "SELECT id, version_id, unset FROM aliases WHERE model_id = ? AND name = ?", [model_id, name.alias]
    )
    if row is None:
        if tx.value("SELECT count(*) FROM aliases WHERE model_id = ?", [model_id]) >= aliases.MAX_ALIASES:
            limit = aliases.MAX_ALIASES
            raise ResourceExhausted(f"{name.model} has {limit} aliases already", limit=limit)
        alias_id = tx.insert(
            "INSERT INTO aliases (model_id, name, version_id, updated_at, unset) VALUES (?, ?, ?, ?, ?) RETURNING id",
            [model_id, name.alias, last, moves[-1].at, int(unset)],
        )
        previous = None
    else:
        alias_id, previous = row[0], None if row[2] else row[1]
        tx.run(
            "UPDATE aliases SET version_id = ?, updated_at = ?, unset = ? WHERE id = ?",
            [last, moves[-1].at, int(unset), alias_id],
        )
    for each, version_id in zip(moves, ids, strict=True):
        tx.run(
            "INSERT INTO alias_changes (alias_id, version_id, previous_version_id, at, author, reason, kind)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [alias_id, version_id, previous, each.at, each.author, each.reason, int(each.kind)],
        )
        previous = None if each.kind is Kind.UNSET else version_id
    tx.notify(name.wire)
    return not unset


def known_moves(item: AliasItem, here: AliasItem) -> int | None:
    """How many of the moves are in the history here; None when that is another history."""
    overlap = len(here.moves)
    same = tuple(here.moves[: len(item.moves)]) == tuple(item.moves[:overlap])
    return min(overlap, len(item.moves)) if same else None


def stage_points(tx: Transaction, upload_id: str, first: int, points: Sequence[MetricPoint]) -> None:
    """Keep points of a build that is on its way; those that are kept already stay."""
    tx.run_many(
        "INSERT INTO upload_points (upload_id, place, key, value, step, at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [
            (upload_id, first + place, each.key, each.value, each.step, each.at)
            for place, each in enumerate(points)
        ],
    )


def staged_series(db: Reader, upload_id: str) -> list[Summary]:
    """The series that the points of an upload make up, by key. It reads them all."""
    found: dict[str, Summary] = {}
    after = -1
    while True:
        rows = db.rows(
            "SELECT place, key, value, step, at FROM upload_points WHERE upload_id = ? AND place > ?"
            " ORDER BY place LIMIT ?",
            [upload_id, after, _POINTS],
        )
        if not rows:
            return [found[key] for key in sorted(found)]
        for each in metrics.summaries_of("", [MetricPoint(*row[1:]) for row in rows]):
            found[each.key] = metrics.joined(found[each.key], each) if each.key in found else each
        after = rows[-1][0]


def count_staged(db: Reader, upload_id: str) -> int:
    """How many points came with an upload, from the first without a gap."""
    row = db.row("SELECT count(*), max(place) FROM upload_points WHERE upload_id = ?", [upload_id])
    return row[0] if row is not None and row[0] and row[1] == row[0] - 1 else 0


def file_of(db: Reader, digest: bytes) -> int | None:
    """The file of that digest, if all of it is here."""
    found = chunks.find_file(db, digest)
    return None if found is None else found[0]


def event(tx: Transaction, kind: str, name: str, source: str, /, **attributes: object) -> None:
    """Write the event of something that came from another registry."""
    events.record(tx, kind, name, **attributes, imported_from=source)


def _add_steps(tx: Transaction, build_id: int, steps: Sequence[Step]) -> None:
    tx.run_many(
        "INSERT INTO steps (build_id, number, name, state, reason, started_at, ended_at, revision)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
        [
            (build_id, each.number, each.name, each.state, each.reason, each.started_at, each.ended_at)
            for each in steps
        ],
    )


def _take_points(tx: Transaction, build: builds.Build, upload_id: str, series: Sequence[Summary]) -> None:
    metrics.add_series(tx, build.id, series)
    # Watchers read by revision, and hold whole ones in memory.
    tx.run(
        "INSERT INTO metric_points (series_id, build_id, revision, step, value, at)"
        " SELECT s.id, s.build_id, ? + p.place / ?, p.step, p.value, p.at FROM upload_points p"
        " JOIN metric_series s ON s.build_id = ? AND s.key = p.key WHERE p.upload_id = ? ORDER BY p.place",
        [build.revision + 1, _POINTS_OF_REVISION, build.id, upload_id],
    )
    last = sum(each.count for each in series) // _POINTS_OF_REVISION + 1
    tx.run("UPDATE builds SET revision = revision + ? WHERE id = ?", [last, build.id])


def _give_awaited(tx: Transaction, model_id: int, number: int, build_id: int, source: str) -> None:
    """The versions that came before their build did."""
    awaiting = (
        "SELECT a.version_id FROM awaited_builds a JOIN versions v ON v.id = a.version_id"
        " WHERE v.model_id = ? AND a.build_number = ? AND a.source = ?"
    )
    tx.run(
        f"UPDATE versions SET build_id = ? WHERE build_id IS NULL AND id IN ({awaiting})",  # noqa: S608
        [build_id, model_id, number, source],
    )
    parameters = [model_id, number, source]
    tx.run(f"DELETE FROM awaited_builds WHERE version_id IN ({awaiting})", parameters)  # noqa: S608


def _add_record(
    tx: Transaction,
    version_id: int,
    record: Record,
    uses: Sequence[DatasetUse],
    parents: Sequence[int | None],
) -> None:
    provenance.put(tx, "version", version_id, record)
    datasets.link(tx, "version", version_id, uses)
    tx.run_many(
        "INSERT INTO version_labels (version_id, label) VALUES (?, ?)",
        [(version_id, label) for label in record.labels],
    )
    tx.run_many(
        "INSERT INTO version_parents (version_id, position, relation, name, parent_id) VALUES (?, ?, ?, ?, ?)",
        [
            (version_id, place, each.relation, each.version or each.uri, parents[place])
            for place, each in enumerate(record.parents)
        ],
    )
