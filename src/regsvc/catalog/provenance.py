"""How versions and builds were made: records, with what they are searched by in tables of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from regsvc.catalog import datasets, versions
from regsvc.catalog.database import Reader, Transaction
from regsvc.content import record as content
from regsvc.content.record import Attachment, Environment, Parent, Record
from regsvc.errors import InvalidArgument
from regsvc.refs import version_from_wire

Owner = Literal["version", "build"]
Holder = Literal["version", "build", "upload"]


def find(db: Reader, owner: Owner, owner_id: int) -> Record:
    """The record of a version or build; an empty one when there is none."""
    row = db.row(
        f"SELECT r.body, r.card, e.body FROM {owner}_records r LEFT JOIN environments e ON e.id = r.environment_id"  # noqa: S608
        f" WHERE r.{owner}_id = ?",
        [owner_id],
    )
    if row is None:
        return content.EMPTY
    body = json.loads(row[0])
    body["card"] = row[1]
    if row[2] is not None:
        body["environment"] = json.loads(row[2])
    return content.from_document(body)


def merge(tx: Transaction, build_id: int, record: Record) -> None:
    """Merge into the record of a build; what is set replaces what was there."""
    datasets.link(tx, "build", build_id, record.datasets)
    put(tx, "build", build_id, content.merged(find(tx, "build", build_id), record))


def put(tx: Transaction, owner: Owner, owner_id: int, record: Record) -> None:
    """Write a record, in place of the one that was there."""
    environment_id = _environment(tx, record.environment)
    # Environments are shared, and the card has a column to be searched in.
    body = content.canonical(content.document(replace(record, environment=Environment(), card=""))).decode()
    columns = [
        owner_id,
        environment_id,
        record.framework,
        record.format,
        record.code.remote,
        record.code.commit,
        record.code.branch,
        record.image.reference,
        record.card,
        body,
    ]
    tx.run(
        f"INSERT INTO {owner}_records ({owner}_id, environment_id, framework, format, code_remote, code_commit,"  # noqa: S608
        " code_branch, image, card, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        f" ON CONFLICT ({owner}_id) DO UPDATE SET environment_id = excluded.environment_id,"
        " framework = excluded.framework, format = excluded.format, code_remote = excluded.code_remote,"
        " code_commit = excluded.code_commit, code_branch = excluded.code_branch, image = excluded.image,"
        " card = excluded.card, body = excluded.body",
        columns,
    )


def link(tx: Transaction, version_id: int, record: Record) -> None:
    """Write what a new version is found by: labels, parents and datasets, which `numbered` has resolved."""
    datasets.link(tx, "version", version_id, record.datasets)
    tx.run_many(
        "INSERT INTO version_labels (version_id, label) VALUES (?, ?)",
        [(version_id, label) for label in record.labels],
    )
    tx.run_many(
        "INSERT INTO version_parents (version_id, position, relation, name, parent_id) VALUES (?, ?, ?, ?, ?)",
        [
            (version_id, place, parent.relation, parent.version or parent.uri, _parent_id(tx, parent))
            for place, parent in enumerate(record.parents)
        ],
    )


def numbered(db: Reader, record: Record) -> Record:
    """The record with parents and datasets by number, wherever an alias moves later. Raises `NotFound`."""
    parents = [
        replace(parent, version=versions.find(db, version_from_wire(parent.version)).ref.wire)
        if parent.version
        else parent
        for parent in record.parents
    ]
    uses = [datasets.numbered(db, use) for use in record.datasets]
    return replace(record, parents=tuple(dict.fromkeys(parents)), datasets=tuple(dict.fromkeys(uses)))


def seal(tx: Transaction, version_id: int, digest: bytes) -> None:
    """Note the digest of the sealed record."""
    tx.run("UPDATE versions SET record_digest = ? WHERE id = ?", [digest, version_id])


def attachments(db: Reader, holder: Holder, holder_id: int | str) -> list[Attachment]:
    """By name."""
    rows = db.rows(
        f"SELECT a.name, f.size, f.digest FROM {holder}_attachments a JOIN files f ON f.id = a.file_id"  # noqa: S608
        f" WHERE a.{holder}_id = ? ORDER BY a.name",
        [holder_id],
    )
    return [Attachment(*row) for row in rows]


def attachment(db: Reader, holder: Holder, holder_id: int | str, name: str) -> tuple[int, Attachment] | None:
    """(file id, attachment), or None."""
    row = db.row(
        f"SELECT f.id, a.name, f.size, f.digest FROM {holder}_attachments a JOIN files f ON f.id = a.file_id"  # noqa: S608
        f" WHERE a.{holder}_id = ? AND a.name = ?",
        [holder_id, name],
    )
    return None if row is None else (row[0], Attachment(*row[1:]))


def attach(tx: Transaction, holder: Holder, holder_id: int | str, name: str, file_id: int) -> None:
    """Add an attachment, or replace the one of that name."""
    tx.run(
        f"INSERT INTO {holder}_attachments ({holder}_id, name, file_id) VALUES (?, ?, ?)"  # noqa: S608
        f" ON CONFLICT ({holder}_id, name) DO UPDATE SET file_id = excluded.file_id",
        [holder_id, name, file_id],
    )


def pass_on(tx: Transaction, upload_id: str, build_id: int | None, version_id: int) -> None:
    """Give a new version the attachments of its build, and over them those of its upload."""
    if build_id is not None:
        tx.run(
            "INSERT INTO version_attachments (version_id, name, file_id)"
            " SELECT ?, name, file_id FROM build_attachments WHERE build_id = ?",
            [version_id, build_id],
        )
    tx.run(
        "INSERT INTO version_attachments (version_id, name, file_id)"
        " SELECT ?, name, file_id FROM upload_attachments WHERE upload_id = ?"
        " ON CONFLICT (version_id, name) DO UPDATE SET file_id = excluded.file_id",
        [version_id, upload_id],
    )


def check_attached(db: Reader, version_id: int, record: Record) -> None:
    """Every attachment that the record names is there. Raises `InvalidArgument`."""
    there = {each.name for each in attachments(db, "version", version_id)}
    for name in (record.code.diff, record.code.snapshot, record.environment.lock_file):
        if name and name not in there:
            raise InvalidArgument(f"the record names attachment '{name}', which was not written", name=name)


def _environment(tx: Transaction, environment: Environment) -> int | None:
    """The row of an environment, which many versions share."""
    body: dict[str, Any] = content.document(Record(environment=environment)).get("environment", {})
    if not body:
        return None
    text = content.canonical(body)
    digest = content.digest_of(text)
    known = tx.value("SELECT id FROM environments WHERE digest = ?", [digest])
    if known is not None:
        return int(known)
    made = tx.insert(
        "INSERT INTO environments (digest, body) VALUES (?, ?) RETURNING id", [digest, text.decode()]
    )
    rows: Sequence[tuple[int, str, str]] = [
        (made, name, version) for name, version in sorted(environment.packages.items())
    ]
    tx.run_many("INSERT INTO environment_packages (environment_id, name, version) VALUES (?, ?, ?)", rows)
    return made


def _parent_id(db: Reader, parent: Parent) -> int | None:
    return versions.resolve(db, version_from_wire(parent.version)) if parent.version else None
