"""Deployments: which host serves which version, as its follower says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from regsvc.catalog import events, models, versions
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import DeploymentAlive, NotFound, ResourceExhausted
from regsvc.refs import AliasName, DeploymentName, ModelName, VersionRef

MAX_DEPLOYMENTS = 10_000
"""Most deployments of one model."""

_SELECT = """
SELECT d.id, n.name, m.name, d.name, d.alias, d.host, d.labels, d.lease, v.number, d.serving_at, d.state, d.error,
  d.seen_at, d.created_at, t.number
FROM deployments d
JOIN models m ON m.id = d.model_id
JOIN namespaces n ON n.id = m.namespace_id
LEFT JOIN versions v ON v.id = d.version_id
LEFT JOIN set_aliases a ON a.model_id = d.model_id AND a.name = d.alias
LEFT JOIN versions t ON t.id = a.version_id
"""


class State(IntEnum):
    """What a follower is doing. Numbers as on the wire."""

    WAITING = 1
    PULLING = 2
    SWITCHING = 3
    SERVING = 4
    FAILED = 5


@dataclass(frozen=True)
class Hello:
    """Who follows what."""

    name: DeploymentName
    alias: AliasName
    host: str
    labels: Mapping[str, str]
    lease: int
    """Microseconds for which it counts as alive without a word."""


@dataclass(frozen=True)
class Report:
    """What a follower says of itself."""

    state: State
    version: VersionRef | None
    """What it serves."""
    error: str


@dataclass(frozen=True)
class Deployment:
    """One follower."""

    id: int
    name: DeploymentName
    alias: AliasName
    host: str
    labels: Mapping[str, str]
    lease: int
    version: VersionRef | None
    serving_at: int | None
    state: State
    error: str
    seen_at: int
    created_at: int
    target: VersionRef | None
    """What its alias names now."""

    def away(self, now: int) -> bool:
        """Whether its lease has lapsed."""
        return now > self.seen_at + self.lease


def enter(tx: Transaction, hello: Hello) -> int:
    """Note a follower that has come, or come back; gives its id. Raises `NotFound` (model), `ResourceExhausted`."""
    model_id = models.find_id(tx, hello.name.model)
    found = tx.value(
        "SELECT id FROM deployments WHERE model_id = ? AND name = ?", [model_id, hello.name.deployment]
    )
    told = [hello.alias.alias, hello.host, json.dumps(dict(hello.labels)), hello.lease, tx.now]
    if found is not None:
        tx.run(
            "UPDATE deployments SET alias = ?, host = ?, labels = ?, lease = ?, seen_at = ? WHERE id = ?",
            [*told, found],
        )
        return int(found)
    if tx.value("SELECT count(*) FROM deployments WHERE model_id = ?", [model_id]) >= MAX_DEPLOYMENTS:
        raise ResourceExhausted(
            f"{hello.name.model} has {MAX_DEPLOYMENTS} deployments already", limit=MAX_DEPLOYMENTS
        )
    return tx.insert(
        "INSERT INTO deployments (alias, host, labels, lease, seen_at, model_id, name, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        [*told, model_id, hello.name.deployment, int(State.WAITING), tx.now],
    )


def report(tx: Transaction, deployment_id: int, told: Report) -> None:
    """Note what a follower says; an event when something has changed. Raises `NotFound`."""
    now = get(tx, deployment_id)
    if now is None:
        raise NotFound("the deployment was forgotten")
    version_id = None if told.version is None else versions.resolve(tx, told.version, deleted=True)
    serving = now.serving_at if told.version == now.version else None if version_id is None else tx.now
    tx.run(
        "UPDATE deployments SET version_id = ?, serving_at = ?, state = ?, error = ?, seen_at = ? WHERE id = ?",
        [version_id, serving, int(told.state), told.error, tx.now, deployment_id],
    )
    if (told.state, told.version, told.error) != (now.state, now.version, now.error):
        events.record(
            tx,
            "deployment.changed",
            now.name.wire,
            alias=now.alias.wire,
            host=now.host,
            state=told.state.name.lower(),
            version="" if told.version is None else told.version.wire,
            error=told.error,
        )


def seen(tx: Transaction, deployment_id: int) -> None:
    """A follower is alive."""
    tx.run("UPDATE deployments SET seen_at = ? WHERE id = ?", [tx.now, deployment_id])


def get(db: Reader, deployment_id: int) -> Deployment | None:
    """By id."""
    row = db.row(_SELECT + "WHERE d.id = ?", [deployment_id])
    return None if row is None else _deployment(row)


def forget(tx: Transaction, name: DeploymentName) -> None:
    """Raises `NotFound`, `DeploymentAlive`."""
    row = tx.row(
        _SELECT + "WHERE n.name = ? AND m.name = ? AND d.name = ?",
        [name.model.namespace, name.model.model, name.deployment],
    )
    if row is None:
        raise NotFound(f"deployment {name} does not exist", deployment=name.wire)
    found = _deployment(row)
    if not found.away(tx.now):
        raise DeploymentAlive(f"{name} is alive: stop its follower", deployment=name.wire)
    tx.run("DELETE FROM deployments WHERE id = ?", [found.id])
    events.record(tx, "deployment.forgotten", name.wire, host=found.host)


def page(
    db: Reader, parent: str | ModelName | AliasName, after: tuple[str, str, str, str], limit: int
) -> list[Deployment]:
    """By namespace, model, alias and name after a key; of a namespace (`-` is all), a model or an alias."""
    where, parameters = "WHERE (n.name, m.name, d.alias, d.name) > (?, ?, ?, ?)", [*after]
    match parent:
        case AliasName():
            where += " AND n.name = ? AND m.name = ? AND d.alias = ?"
            parameters += [parent.model.namespace, parent.model.model, parent.alias]
        case ModelName():
            where += " AND n.name = ? AND m.name = ?"
            parameters += [parent.namespace, parent.model]
        case str() if parent != "-":
            where += " AND n.name = ?"
            parameters.append(parent)
    rows = db.rows(
        f"{_SELECT} {where} ORDER BY n.name, m.name, d.alias, d.name LIMIT ?", [*parameters, limit]
    )
    return [_deployment(row) for row in rows]


def _deployment(row: Row) -> Deployment:
    model = ModelName(row[1], row[2])
    number, target = row[8], row[14]
    return Deployment(
        row[0],
        DeploymentName(model, row[3]),
        AliasName(model, row[4]),
        row[5],
        json.loads(row[6]),
        row[7],
        None if number is None else VersionRef(model, number=number),
        row[9],
        State(row[10]),
        row[11],
        row[12],
        row[13],
        None if target is None else VersionRef(model, number=target),
    )
