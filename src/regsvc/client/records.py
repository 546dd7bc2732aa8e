"""What the SDK gives back: plain frozen records, made from the wire's messages at the bottom of this page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeAlias

from regsvc import refs
from regsvc.errors import InvalidArgument, MetricNotFinite
from regsvc.v1 import registry_pb2

Param: TypeAlias = str | int | float | bool

_CHANGE_KINDS = {
    registry_pb2.ALIAS_CHANGE_KIND_PROMOTE: "promote",
    registry_pb2.ALIAS_CHANGE_KIND_ROLLBACK: "rollback",
    registry_pb2.ALIAS_CHANGE_KIND_UNSET: "unset",
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One immutable version of a model."""

    reference: str
    """`team/fraud:3`"""
    name: str
    """The model: `team/fraud`"""
    number: int
    digest: str
    """64 hex digits: BLAKE3 of the manifest, which is the text that `b3sum` prints for the files."""
    files: int
    """How many."""
    bytes: int
    """Raw bytes of all files."""
    created: datetime
    description: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    """The aliases that name it now, without the model."""
    build: str | None = None
    """The build that published it: `team/fraud/builds/7`"""
    log_digest: str | None = None
    """64 hex digits of the build's sealed log."""
    stored_bytes: int = 0
    """Bytes that its chunks take in the store, those shared with other versions included."""
    record_digest: str | None = None
    """64 hex digits: BLAKE3 of the sealed record."""
    author: str = ""
    """Who pushed it, as the client said."""
    bad: bool = False
    """Somebody marked it as bad, for `bad_reason`."""
    bad_reason: str = ""
    archived: datetime | None = None
    """Since when it is archived."""
    deleted: datetime | None = None
    """Since when it is deleted."""
    purge: datetime | None = None
    """From when on a deleted version cannot be had back."""


@dataclass(frozen=True, kw_only=True)
class PushResult(Version):
    """The version that a push made, and what that took."""

    chunks: int
    """Chunks that make up the files; one that occurs twice counts twice."""
    chunks_sent: int
    """Chunks that this push sent, those of attempts that broke off included."""
    bytes_sent: int
    """Bytes of their payloads, as encoded."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PullResult:
    """What a pull did."""

    reference: str
    """The version, by number."""
    digest: str
    """64 hex digits, of the whole version; every byte in the folder was checked against it."""
    files: int
    left_out: int = 0
    """Files of the version that were not asked for: without them the folder's digest is another."""
    bytes: int
    """Raw bytes of all files."""
    bytes_received: int
    """Bytes of payloads that came from the server, as encoded."""
    links: tuple[str, ...] = ()
    """How files came out of the cache without being copied: `reflink`, `hardlink`."""
    seconds: float


@dataclass(frozen=True)
class Progress:
    """How far a push or pull is, in raw bytes and in bytes on the wire."""

    done: int
    total: int
    moved: int


@dataclass(frozen=True)
class File:
    """One file of a version."""

    path: str
    size: int
    digest: str
    """64 hex digits, as `b3sum` prints them."""


@dataclass(frozen=True)
class Alias:
    """A movable name and the version it names now."""

    alias: str
    reference: str
    updated: datetime


@dataclass(frozen=True)
class AliasChange:
    """One entry of an alias's history."""

    reference: str | None
    """The version it named from then on; None for nothing."""
    previous: str | None
    """The version it named before; None for the first."""
    time: datetime
    author: str = ""
    """Who moved it, as the client said."""
    reason: str = ""
    kind: str = "set"
    """How: `set`, `promote`, `rollback` or `unset`."""


@dataclass(frozen=True)
class Model:
    """A named thing with versions."""

    name: str
    description: str
    created: datetime
    updated: datetime
    versions: int
    """How many."""
    latest: int
    """Number of the newest version that is neither deleted nor archived; 0 when there is none."""
    aliases: tuple[Alias, ...]


def metadata_message(
    *,
    params: Mapping[str, Param] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
) -> Any:
    """A `VersionMetadata`. Raises `MetricNotFinite` and `InvalidArgument`, each naming the key."""
    message = registry_pb2.VersionMetadata(description=utf8("the description", description))
    for key, param in (params or {}).items():
        message.params[key].CopyFrom(param_message(key, param))
    for key, metric in (metrics or {}).items():
        message.metrics[key] = finite(key, metric)
    for key, tag in (tags or {}).items():
        message.tags[key] = utf8(f"tag {key!r}", str(tag))
    return message


def param_message(key: str, value: Any) -> Any:
    """A `ParamValue`; NumPy scalars count as what they hold. Raises `InvalidArgument`, naming the key."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return registry_pb2.ParamValue(bool_value=value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise InvalidArgument(f"param {key!r} does not fit in 64 bits", key=key)
        return registry_pb2.ParamValue(int_value=value)
    if isinstance(value, float):
        return registry_pb2.ParamValue(double_value=value)
    if isinstance(value, str):
        return registry_pb2.ParamValue(string_value=utf8(f"param {key!r}", value))
    raise InvalidArgument(
        f"param {key!r} is a {type(value).__name__}; it must be text, a number or a boolean", key=key
    )


def utf8(what: str, text: str) -> str:
    """The text, which a message can carry: no lone surrogates, as of arguments that are not UTF-8.

    Raises `InvalidArgument`, naming `what` it is.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{what} is not UTF-8") from None
    return text


def finite(key: str, value: Any) -> float:
    """The metric as a float. Raises `MetricNotFinite` or `InvalidArgument`, naming the key."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"metric {key!r} is not a number", key=key) from None
    if not math.isfinite(number):
        raise MetricNotFinite(f"metric {key!r} is {number}; it must be finite", key=key)
    return number


def params_from(message: Mapping[str, Any]) -> dict[str, Param]:
    """Typed values of a map of `ParamValue`, by key in order."""
    return {
        key: getattr(message[key], message[key].WhichOneof("kind") or "string_value")
        for key in sorted(message)
    }


def time_from(message: Any) -> datetime:
    """A `Timestamp` as an aware datetime in UTC."""
    moment: datetime = message.ToDatetime(tzinfo=UTC)
    return moment


def version_from(message: Any) -> Version:
    """From a `Version` message."""
    reference = refs.version_from_wire(message.name)
    return Version(
        reference=str(reference),
        name=str(reference.model),
        number=message.number,
        digest=message.digest,
        files=message.file_count,
        bytes=message.size,
        created=time_from(message.create_time),
        description=message.metadata.description,
        params=params_from(message.metadata.params),
        metrics=dict(sorted(message.metadata.metrics.items())),
        tags=dict(sorted(message.metadata.tags.items())),
        aliases=tuple(refs.alias_from_wire(name).alias if "/" in name else name for name in message.aliases),
        build=str(refs.build_from_wire(message.build)) if message.build else None,
        log_digest=message.log_digest or None,
        stored_bytes=message.stored_size,
        record_digest=message.record_digest or None,
        author=message.author,
        bad=message.bad,
        bad_reason=message.bad_reason,
        archived=time_from(message.archive_time) if message.HasField("archive_time") else None,
        deleted=time_from(message.delete_time) if message.HasField("delete_time") else None,
        purge=time_from(message.purge_time) if message.HasField("purge_time") else None,
    )


def push_result(
    version: Version, *, chunks: int, chunks_sent: int, bytes_sent: int, seconds: float
) -> PushResult:
    """The version with the counters of the push that made it."""
    record = {each.name: getattr(version, each.name) for each in fields(Version)}
    return PushResult(
        **record, chunks=chunks, chunks_sent=chunks_sent, bytes_sent=bytes_sent, seconds=seconds
    )


def model_from(message: Any) -> Model:
    """From a `Model` message."""
    return Model(
        name=str(refs.model_from_wire(message.name)),
        description=message.description,
        created=time_from(message.create_time),
        updated=time_from(message.update_time),
        versions=message.version_count,
        latest=message.latest_version,
        aliases=tuple(map(alias_from, message.aliases)),
    )


def alias_from(message: Any) -> Alias:
    """From an `Alias` message."""
    return Alias(
        refs.alias_from_wire(message.name).alias,
        str(refs.version_from_wire(message.version)),
        time_from(message.update_time),
    )


def alias_changes_from(messages: Iterable[Any]) -> list[AliasChange]:
    """From `AliasChange` messages."""
    return [
        AliasChange(
            str(refs.version_from_wire(message.version)) if message.version else None,
            str(refs.version_from_wire(message.previous_version)) if message.previous_version else None,
            time_from(message.time),
            message.author,
            message.reason,
            _CHANGE_KINDS.get(message.kind, "set"),
        )
        for message in messages
    ]
