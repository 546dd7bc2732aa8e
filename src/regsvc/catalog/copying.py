"""Versions of one model in another, and models under other names: rows are written, no bytes are moved."""

from __future__ import annotations

from regsvc.catalog import events, fulltext, models, runs, versions
from regsvc.catalog.database import Transaction
from regsvc.catalog.uploads import UploadState
from regsvc.catalog.versions import Version
from regsvc.errors import AlreadyExists, ModelInUse
from regsvc.refs import ModelName, VersionRef

_COPIED = {
    "version_files": "path, file_id",
    "version_attachments": "name, file_id",
    "version_params": "key, string_value, int_value, double_value, bool_value",
    "version_tags": "key, value",
    "version_metrics": "key, value",
    "version_labels": "label",
    "version_parents": "position, relation, name, parent_id",
    "version_datasets": "dataset_version_id, split, filter",
    "version_records": "environment_id, framework, format, code_remote, code_commit, code_branch, image, card, body",
}
"""All that is sealed with a version, by table; what was said of it later (notes, approvals, evaluations) is not."""


def copy(tx: Transaction, source: Version, model: ModelName, author: str) -> Version:
    """Make a version of another model, or the same, with all that is sealed with `source`."""
    model_id = models.ensure(tx, model)
    number = models.next_version(tx, model_id)
    copy_id = tx.insert(
        "INSERT INTO versions (model_id, number, digest, file_count, size, stored_size, description, created_at,"
        " record_digest, author, bad, bad_reason, copied_from)"
        " SELECT ?, ?, digest, file_count, size, stored_size, description, ?,"
        " record_digest, author, bad, bad_reason, id FROM versions WHERE id = ? RETURNING id",
        [model_id, number, tx.now, source.id],
    )
    for table, columns in _COPIED.items():
        tx.run(
            f"INSERT INTO {table} (version_id, {columns}) SELECT ?, {columns} FROM {table} WHERE version_id = ?",  # noqa: S608
            [copy_id, source.id],
        )
    fulltext.add_versions(tx, model, "v.id = ?", copy_id)
    events.record(
        tx,
        "version.created",
        VersionRef(model, number=number).wire,
        digest=source.digest.hex(),
        size=source.size,
        files=source.file_count,
        copied_from=source.ref.wire,
        author=author,
    )
    return versions.get(tx, copy_id)


def rename(tx: Transaction, name: ModelName, new: ModelName, author: str) -> None:
    """Give a model, with all that it has, another name. Raises `NotFound`, `AlreadyExists`, `ModelInUse`."""
    model_id = models.find_id(tx, name)
    if name == new:
        return
    if models.exists(tx, new):
        raise AlreadyExists(f"model {new} exists", model=new.wire)
    _check_unused(tx, model_id, name)
    fulltext.remove_versions(tx, name, "v.model_id = ?", model_id)
    models.rename(tx, model_id, name, new)
    fulltext.add_versions(tx, new, "v.model_id = ?", model_id)
    tx.run(
        "UPDATE uploads SET namespace = ?, model = ? WHERE namespace = ? AND model = ?",
        [new.namespace, new.model, name.namespace, name.model],
    )
    events.record(tx, "model.renamed", new.wire, previous=name.wire, author=author)


def _check_unused(tx: Transaction, model_id: int, name: ModelName) -> None:
    """Whoever is at work on a model knows it by its name."""
    counts = {
        "running builds": tx.value(
            "SELECT count(*) FROM builds WHERE model_id = ? AND ended_at IS NULL", [model_id]
        ),
        "open uploads": tx.value(
            "SELECT count(*) FROM uploads WHERE namespace = ? AND model = ? AND state = ?",
            [name.namespace, name.model, int(UploadState.OPEN)],
        ),
        "reading builds": len(
            {build for found in runs.readers(tx, name).values() for build in found if build.model != name}
        ),
        "deployments": tx.value("SELECT count(*) FROM deployments WHERE model_id = ?", [model_id]),
    }
    used = [f"{count} {what}" for what, count in counts.items() if count]
    if used:
        told = {what.replace(" ", "_"): count for what, count in counts.items()}
        raise ModelInUse(f"{name} is in use: {', '.join(used)}", model=name.wire, **told)
