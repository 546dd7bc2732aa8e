"""Putting versions away and deleting them: unary calls, as records."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import Version, version_from
from regsvc.v1 import lifecycle_pb2 as pb


@dataclass(frozen=True)
class Deletion:
    """What a deletion did, or would do."""

    version: Version
    """As it is now, or would be."""
    unset_aliases: tuple[str, ...]
    """Aliases that named it and name nothing any more."""
    hosts: tuple[str, ...]
    """That serve it."""


def archive(
    connection: Connection, ref: refs.VersionRef, *, archived: bool, reason: str, author: str
) -> Version:
    """Errors as at `Client.archive`."""
    request = pb.ArchiveVersionRequest(
        name=ref.wire, archived=archived, reason=reason, author=author, request_id=uuid.uuid4().hex
    )
    return version_from(connection.call(connection.lifecycle.ArchiveVersion, request).version)


def delete(
    connection: Connection,
    ref: refs.VersionRef,
    *,
    force: bool,
    dry_run: bool,
    keep: timedelta | None,
    reason: str,
    author: str,
) -> Deletion:
    """Errors as at `Client.delete`."""
    request = pb.DeleteVersionRequest(
        name=ref.wire,
        force=force,
        dry_run=dry_run,
        keep=None if keep is None else _duration(keep),
        reason=reason,
        author=author,
        request_id=uuid.uuid4().hex,
    )
    return _deletion(connection.call(connection.lifecycle.DeleteVersion, request))


def undelete(connection: Connection, ref: refs.VersionRef, author: str) -> Version:
    """Errors as at `Client.undelete`."""
    request = pb.UndeleteVersionRequest(name=ref.wire, author=author, request_id=uuid.uuid4().hex)
    return version_from(connection.call(connection.lifecycle.UndeleteVersion, request).version)


def _duration(length: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(length)
    return message


def _deletion(response: Any) -> Deletion:
    return Deletion(version_from(response.version), tuple(response.unset_aliases), tuple(response.hosts))
