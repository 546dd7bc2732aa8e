"""Which versions of a model are kept: policies, and what they say of each version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import events, models, runs
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.filters import VERSIONS
from regsvc.catalog.filters.query import matching
from regsvc.catalog.filters.sql import Sql
from regsvc.content.expression import Node
from regsvc.refs import ModelName, VersionRef

MAX_REASONS = 20
"""Most reasons that are told of one version."""


@dataclass(frozen=True)
class Policy:
    """The rules of a model; a version is kept if any of them keeps it."""

    model: ModelName
    keep_last: int = 0
    keep_younger_us: int = 0
    keep_labels: Sequence[str] = ()
    keep_filter: str = ""
    scheduled: bool = False
    updated_at: int | None = None
    applied_at: int | None = None

    @property
    def keeps_all(self) -> bool:
        """Without a rule nothing is deleted."""
        return not (self.keep_last or self.keep_younger_us or self.keep_labels or self.keep_filter)


@dataclass(frozen=True)
class Verdict:
    """What a policy says of one version."""

    id: int
    version: VersionRef
    reasons: Sequence[str]
    """Why it is kept; empty when it is not."""


def find(db: Reader, model: ModelName) -> Policy:
    """The policy of a model; one that keeps all when there is none. Raises `NotFound` (model)."""
    row = db.row(
        "SELECT keep_last, keep_younger, keep_labels, keep_filter, scheduled, updated_at, applied_at FROM retention"
        " WHERE model_id = ?",
        [models.find_id(db, model)],
    )
    if row is None:
        return Policy(model)
    return Policy(model, row[0], row[1], tuple(json.loads(row[2])), row[3], bool(row[4]), row[5], row[6])


def put(tx: Transaction, policy: Policy, author: str) -> None:
    """Replace the policy of a model; one without rules removes it. Raises `NotFound` (model)."""
    model_id = models.find_id(tx, policy.model)
    if policy.keeps_all:
        tx.run("DELETE FROM retention WHERE model_id = ?", [model_id])
    else:
        tx.run(
            "INSERT INTO retention (model_id, keep_last, keep_younger, keep_labels, keep_filter, scheduled, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model_id) DO UPDATE SET keep_last = excluded.keep_last,"
            " keep_younger = excluded.keep_younger, keep_labels = excluded.keep_labels,"
            " keep_filter = excluded.keep_filter, scheduled = excluded.scheduled, updated_at = excluded.updated_at,"
            " applied_at = NULL",
            [
                model_id,
                policy.keep_last,
                policy.keep_younger_us,
                json.dumps(list(policy.keep_labels), ensure_ascii=False),
                policy.keep_filter,
                int(policy.scheduled),
                tx.now,
            ],
        )
    models.touch(tx, model_id)
    events.record(
        tx,
        "model.retention_set",
        policy.model.wire,
        keep_last=policy.keep_last,
        keep_younger_seconds=policy.keep_younger_us // 1_000_000,
        keep_labels=",".join(policy.keep_labels),
        keep_filter=policy.keep_filter,
        scheduled=str(policy.scheduled and not policy.keeps_all).lower(),
        author=author,
    )


def note_applied(tx: Transaction, model: ModelName) -> None:
    """It was applied now."""
    tx.run("UPDATE retention SET applied_at = ? WHERE model_id = ?", [tx.now, models.find_id(tx, model)])


def due(db: Reader, before: int) -> list[ModelName]:
    """Models whose scheduled policy was not applied since a moment."""
    rows = db.rows(
        "SELECT n.name, m.name FROM retention r JOIN models m ON m.id = r.model_id JOIN namespaces n"
        " ON n.id = m.namespace_id WHERE r.scheduled = 1 AND coalesce(r.applied_at, 0) <= ? ORDER BY r.model_id",
        [before],
    )
    return [ModelName(namespace, name) for namespace, name in rows]


def judge(db: Reader, policy: Policy, node: Node | None, now: int) -> list[Verdict]:
    """What a policy says of each version that is not deleted, newest first; `node` is its filter, read.

    Raises `NotFound` (model), `Unsupported`.
    """
    model_id = models.find_id(db, policy.model)
    why, readers = _used(db, model_id), runs.readers(db, policy.model)
    labels = set(policy.keep_labels)
    labelled = (
        "SELECT l.version_id, l.label FROM version_labels l JOIN versions v ON v.id = l.version_id"
        " WHERE v.model_id = ? ORDER BY l.label"
    )
    for version_id, label in db.rows(labelled, [model_id]) if labels else ():
        if label in labels:
            why.setdefault(version_id, []).append(f"label {label}")
    if node is not None:
        for version_id in matching(db, VERSIONS, node, Sql("v.model_id = ?", (model_id,))):
            why.setdefault(version_id, []).append("filter")
    found, last = [], policy.keep_last
    rows = db.rows(
        "SELECT id, number, created_at, archived_at FROM versions WHERE model_id = ? AND deleted_at IS NULL"
        " ORDER BY number DESC",
        [model_id],
    )
    for version_id, number, created_at, archived_at in rows:
        reasons = [*why.get(version_id, []), *(f"build {build}" for build in readers.get(number, ()))]
        if policy.keeps_all:
            reasons = ["no rules", *reasons]
        if created_at > now - policy.keep_younger_us:
            reasons = ["younger", *reasons]
        if archived_at is not None:
            reasons = ["archived", *reasons]
        elif last > 0:
            last -= 1
            reasons = [f"last {policy.keep_last}", *reasons]
        found.append(Verdict(version_id, VersionRef(policy.model, number=number), reasons[:MAX_REASONS]))
    return found


def _used(db: Reader, model_id: int) -> dict[int, list[str]]:
    """Who uses versions of a model, as reasons to keep them, by id."""
    used: dict[int, list[str]] = {}
    for version_id, alias in db.rows(
        "SELECT version_id, name FROM set_aliases WHERE model_id = ? ORDER BY name", [model_id]
    ):
        used.setdefault(version_id, []).append(f"alias {alias}")
    for version_id, host in db.rows(
        "SELECT DISTINCT version_id, host FROM deployments WHERE model_id = ? AND version_id IS NOT NULL"
        " ORDER BY host LIMIT 100000",
        [model_id],
    ):
        used.setdefault(version_id, []).append(f"host {host}")
    return used
