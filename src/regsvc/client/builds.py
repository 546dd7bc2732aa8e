"""Builds: start one, find the one this process runs in, look at them, ask one to stop."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from regsvc import refs
from regsvc.client.build_records import Build, build_from_wire
from regsvc.client.capture import NOTHING, Capture
from regsvc.client.connection import Connection
from regsvc.client.current import CurrentBuild, NoCurrentBuild, current_build
from regsvc.client.params import check_params, check_tags
from regsvc.client.provenance import log_record, write_attachment
from regsvc.client.records import metadata_message
from regsvc.client.session import BuildCancelled, BuildSession, Registry
from regsvc.content.record import EMPTY
from regsvc.v1 import build_pb2

__all__ = [
    "Build",
    "BuildCancelled",
    "BuildSession",
    "CurrentBuild",
    "NoCurrentBuild",
    "cancel_build",
    "current_build",
    "get_build",
    "list_builds",
    "start_build",
]

_PAGE = 200


def start_build(
    connection: Connection,
    model: str,
    *,
    registry: Registry,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    captured: Capture = NOTHING,
) -> BuildSession:
    """Create a build of `[namespace/]model`, which need not exist; it is RUNNING.

    `registry` publishes its version and registers its datasets: the client. Raises `NameInvalid`, `InvalidArgument`,
    `Unavailable`.
    """
    request = build_pb2.CreateBuildRequest(
        parent=refs.parse_model(model).wire,
        metadata=metadata_message(
            params=check_params(params or {}), tags=check_tags(tags or {}), description=description
        ),
        request_id=uuid.uuid4().hex,
    )
    created = connection.call(connection.builds.CreateBuild, request).build
    for name, data in captured.attachments.items():
        write_attachment(connection, created.name, name, data)
    if captured.record != EMPTY:
        log_record(connection, created.name, captured.record)
    return BuildSession(connection, refs.build_from_wire(created.name), registry)


def list_builds(connection: Connection, model: str) -> Iterator[Build]:
    """Builds of a model, newest first, without their steps. Raises `NotFound`."""
    request = build_pb2.ListBuildsRequest(parent=refs.parse_model(model).wire, page_size=_PAGE)
    while True:
        page = connection.call(connection.builds.ListBuilds, request)
        yield from map(build_from_wire, page.builds)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def get_build(connection: Connection, build: str) -> Build:
    """One build with its steps. Raises `NotFound`."""
    request = build_pb2.GetBuildRequest(name=refs.parse_build(build).wire)
    return build_from_wire(connection.call(connection.builds.GetBuild, request).build)


def cancel_build(connection: Connection, build: str) -> Build:
    """Ask a build to stop; whoever publishes it ends it. Raises `NotFound`, `BuildEnded`."""
    request = build_pb2.CancelBuildRequest(name=refs.parse_build(build).wire)
    return build_from_wire(connection.call(connection.builds.CancelBuild, request).build)
