"""Which versions of a model are kept: unary calls, as records."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import time_from, utf8
from regsvc.errors import InvalidArgument
from regsvc.v1 import lifecycle_pb2 as pb

_SLOW = 600.0
"""Seconds for a model of any size."""


@dataclass(frozen=True)
class RetentionPolicy:
    """The rules of a model: a version is kept if any of them keeps it; without rules all are."""

    model: str
    """`team/fraud`"""
    keep_last: int = 0
    """The newest so many; 0 is no rule."""
    keep_younger: timedelta = timedelta()
    """Those made less than so long ago; 0 is no rule."""
    keep_labels: tuple[str, ...] = ()
    keep_filter: str = ""
    """CEL over the fields of versions; empty is no rule."""
    scheduled: bool = False
    """The server applies it by itself."""
    updated: datetime | None = None
    applied: datetime | None = None


@dataclass(frozen=True)
class RetentionVerdict:
    """What a policy says of one version."""

    reference: str
    """`team/fraud:3`"""
    reasons: tuple[str, ...]
    """Why it is kept; empty when it is not."""


@dataclass(frozen=True)
class RetentionResult:
    """What applying a policy did, or would do."""

    verdicts: tuple[RetentionVerdict, ...]
    """Of the newest 10,000 versions, newest first."""
    kept: int
    deleted: int
    freed_bytes: int
    """By which packs shrink when all those have been purged and collected in full."""


def get(connection: Connection, model: refs.ModelName) -> RetentionPolicy:
    """Raises `NotFound`."""
    request = pb.GetRetentionRequest(name=model.wire)
    return _policy(connection.call(connection.lifecycle.GetRetention, request).policy)


def put(
    connection: Connection, model: refs.ModelName, policy: RetentionPolicy, author: str
) -> RetentionPolicy:
    """Errors as at `Client.set_retention`."""
    message = _message(model, policy)
    request = pb.SetRetentionRequest(policy=message, author=author, request_id=uuid.uuid4().hex)
    return _policy(connection.call(connection.lifecycle.SetRetention, request).policy)


def apply(
    connection: Connection,
    model: refs.ModelName,
    *,
    dry_run: bool,
    policy: RetentionPolicy | None,
    author: str,
) -> RetentionResult:
    """Errors as at `Client.apply_retention`."""
    request = pb.ApplyRetentionRequest(
        name=model.wire,
        dry_run=dry_run,
        policy=None if policy is None else _message(model, policy),
        author=author,
        request_id=uuid.uuid4().hex,
    )
    done = connection.call(connection.lifecycle.ApplyRetention, request, timeout=_SLOW)
    verdicts = (
        RetentionVerdict(str(refs.version_from_wire(each.version)), tuple(each.reasons))
        for each in done.verdicts
    )
    return RetentionResult(tuple(verdicts), done.kept, done.deleted, done.freed_size)


def _message(model: refs.ModelName, policy: RetentionPolicy) -> Any:
    younger = Duration()
    younger.FromTimedelta(policy.keep_younger)
    if not 0 <= policy.keep_last < 1 << 32:
        raise InvalidArgument(f"keep_last is {policy.keep_last}, not a count")
    return pb.RetentionPolicy(
        name=model.wire,
        keep_last=policy.keep_last,
        keep_younger=younger,
        keep_labels=[utf8("a label", label) for label in policy.keep_labels],
        keep_filter=utf8("the filter", policy.keep_filter),
        scheduled=policy.scheduled,
    )


def _policy(message: Any) -> RetentionPolicy:
    return RetentionPolicy(
        str(refs.model_from_wire(message.name)),
        message.keep_last,
        message.keep_younger.ToTimedelta(),
        tuple(message.keep_labels),
        message.keep_filter,
        message.scheduled,
        time_from(message.update_time) if message.HasField("update_time") else None,
        time_from(message.apply_time) if message.HasField("apply_time") else None,
    )
