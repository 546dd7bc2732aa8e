"""Putting versions away and deleting them: unary calls, as records."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import Model, Version, model_from, version_from
from regsvc.v1 import lifecycle_pb2 as pb

_SLOW = 600.0
"""Seconds for statistics of a registry of any size."""
_LONGEST = 7 * 24 * 3600.0
"""Seconds for a collection."""


@dataclass(frozen=True)
class Deletion:
    """What a deletion did, or would do."""

    version: Version
    """As it is now, or would be."""
    unset_aliases: tuple[str, ...]
    """Aliases that named it and name nothing any more."""
    hosts: tuple[str, ...]
    """That serve it."""
    freed_bytes: int = 0
    """By which the server's packs shrink when it is purged and collected in full."""


@dataclass(frozen=True)
class Usage:
    """What some versions take together; sizes in bytes."""

    versions: int
    files: int
    logical_bytes: int
    """Raw bytes of all files, each counted as often as it occurs."""
    stored_bytes: int
    """Of their chunks, as stored, each counted once."""
    unique_bytes: int
    """Of chunks that nothing else needs."""
    shared_bytes: int
    """Of the others."""
    chunks: int
    freed_bytes: int
    """By which packs shrink when all of these versions are deleted, purged and collected in full."""


@dataclass(frozen=True)
class Stats:
    """What versions take."""

    usage: Usage
    """Of those that are not deleted."""
    deleted: Usage
    """Of those that are deleted and can be had back."""
    packs: int
    """Of the whole registry."""
    pack_bytes: int


@dataclass(frozen=True)
class Collection:
    """What a collection did, or would do."""

    versions: int
    """Purged."""
    chunks: int
    """That are not stored any more."""
    freed_bytes: int
    """By which packs shrank."""
    dead_bytes: int
    """What nobody needs and stays for now."""
    packs_removed: int
    packs_rewritten: int


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


def stats(connection: Connection, names: Sequence[refs.VersionRef | refs.ModelName]) -> Stats:
    """Errors as at `Client.stats`."""
    request = pb.GetStorageStatsRequest(names=[name.wire for name in names])
    found = connection.call(connection.lifecycle.GetStorageStats, request, timeout=_SLOW)
    return Stats(_usage(found.usage), _usage(found.deleted), found.packs, found.pack_size)


def collect(connection: Connection, *, dry_run: bool, full: bool) -> Collection:
    """Errors as at `Client.collect`."""
    request = pb.CollectGarbageRequest(dry_run=dry_run, full=full)
    done = connection.call(connection.lifecycle.CollectGarbage, request, timeout=_LONGEST)
    return Collection(
        done.versions, done.chunks, done.freed_size, done.dead_size, done.packs_removed, done.packs_rewritten
    )


def copy(
    connection: Connection, ref: refs.VersionRef, model: refs.ModelName, aliases: Sequence[str], author: str
) -> Version:
    """Errors as at `Client.copy`."""
    request = pb.CopyVersionRequest(
        name=ref.wire, parent=model.wire, aliases=aliases, author=author, request_id=uuid.uuid4().hex
    )
    return version_from(connection.call(connection.lifecycle.CopyVersion, request).version)


def rename(connection: Connection, model: refs.ModelName, new: refs.ModelName, author: str) -> Model:
    """Errors as at `Client.rename`."""
    request = pb.RenameModelRequest(
        name=model.wire, new_name=new.wire, author=author, request_id=uuid.uuid4().hex
    )
    return model_from(connection.call(connection.lifecycle.RenameModel, request, timeout=_SLOW).model)


def _usage(message: Any) -> Usage:
    return Usage(
        message.versions,
        message.files,
        message.logical_size,
        message.stored_size,
        message.unique_size,
        message.shared_size,
        message.chunks,
        message.freed_size,
    )


def _duration(length: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(length)
    return message


def _deletion(response: Any) -> Deletion:
    return Deletion(
        version_from(response.version),
        tuple(response.unset_aliases),
        tuple(response.hosts),
        response.freed_size,
    )
