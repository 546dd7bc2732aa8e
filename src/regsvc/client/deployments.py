"""The inventory of followers over the wire."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import time_from
from regsvc.v1 import deployment_pb2 as pb

_PAGE = 200


@dataclass(frozen=True)
class Deployment:
    """One follower, as it last said."""

    name: str
    """`team/fraud/deployments/web-1`"""
    alias: str
    """`team/fraud@prod`"""
    host: str
    reference: str | None
    """What it serves."""
    serving_since: datetime | None
    target: str | None
    """What its alias names now."""
    state: str
    """`WAITING`, `PULLING`, `SWITCHING`, `SERVING`, `FAILED`."""
    error: str
    """The last one, until the next success."""
    away: bool
    """Its lease has lapsed."""
    last_seen: datetime
    labels: Mapping[str, str]


def list_deployments(connection: Connection, parent: str) -> Iterator[Deployment]:
    """Those of `namespaces/-`, a namespace, a model or an alias, by alias and name."""
    request = pb.ListDeploymentsRequest(parent=parent, page_size=_PAGE)
    while True:
        page = connection.call(connection.deployments.ListDeployments, request)
        yield from map(_deployment, page.deployments)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def forget(connection: Connection, name: refs.DeploymentName) -> None:
    """Raises `NotFound`, `DeploymentAlive`."""
    request = pb.DeleteDeploymentRequest(name=name.wire, request_id=uuid.uuid4().hex)
    connection.call(connection.deployments.DeleteDeployment, request)


def _deployment(message: Any) -> Deployment:
    return Deployment(
        str(refs.deployment_from_wire(message.name)),
        str(refs.alias_from_wire(message.alias)),
        message.host,
        str(refs.version_from_wire(message.version)) if message.version else None,
        time_from(message.serving_time) if message.HasField("serving_time") else None,
        str(refs.version_from_wire(message.target_version)) if message.target_version else None,
        pb.DeploymentState.Name(message.state).removeprefix("DEPLOYMENT_STATE_"),
        message.error,
        message.away,
        time_from(message.last_seen_time),
        dict(message.labels),
    )
