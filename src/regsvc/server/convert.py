"""Between wire messages and domain types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blake3 import blake3

from regsvc.catalog.aliases import Alias, AliasChange
from regsvc.catalog.builds import Step
from regsvc.catalog.datasets import Dataset
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.records import Metadata, ParamValue
from regsvc.catalog.requests import Request
from regsvc.catalog.rules import Rules
from regsvc.catalog.uploads import Upload
from regsvc.catalog.versions import Version
from regsvc.errors import InvalidArgument, NameInvalid, ResourceExhausted
from regsvc.refs import VersionRef
from regsvc.server.runs import run_to
from regsvc.service.builds import BuildView
from regsvc.service.checks import check_request_id
from regsvc.service.incoming import FileProgress
from regsvc.service.limits import Limits
from regsvc.service.loglines import STREAMS, LogLine
from regsvc.service.paging import PageRequest
from regsvc.service.registry import ModelView
from regsvc.v1 import artifact_pb2, build_pb2, dataset_pb2, promotion_pb2, registry_pb2
from regsvc.wire.values import microseconds, param_to, timestamp

_ENTRIES = Limits.max_record_entries


def request_of(message: Any, method: str) -> Request:
    """What makes a call idempotent. Raises `InvalidArgument`."""
    check_request_id(message.request_id)
    if not message.request_id:
        return Request("", method, b"")
    bare = type(message)()
    bare.CopyFrom(message)
    bare.request_id = ""
    return Request(message.request_id, method, blake3(bare.SerializeToString(deterministic=True)).digest())


def check_count(count: int, limit: int, what: str) -> None:
    """Raises `ResourceExhausted`, before millions of tiny entries are converted one by one."""
    if count > limit:
        raise ResourceExhausted(f"{count} {what} in one message, at most {limit}", limit=limit)


def page_request(message: Any) -> PageRequest:
    """The paging fields of a list request."""
    return PageRequest(message.page_size, message.page_token)


def digest_from_hex(text: str) -> bytes | None:
    """64 hex digits, or nothing. Raises `InvalidArgument`."""
    if not text:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32 or len(text) != 64:
        raise InvalidArgument("a digest has 64 hex digits")
    return digest


def upload_id(name: str) -> str:
    """`uploads/{id}` to the id. Raises `NameInvalid`."""
    collection, slash, identity = name.partition("/")
    if collection != "uploads" or not slash or not identity.isalnum() or len(identity) > 64:
        raise NameInvalid("expected uploads/{upload}")
    return identity


def metadata_from(message: registry_pb2.VersionMetadata) -> Metadata:
    """What a client records."""
    check_count(len(message.metrics), _ENTRIES, "metrics")
    return Metadata(
        message.description, params_from(message.params), dict(message.metrics), tags_from(message.tags)
    )


def params_from(params: Mapping[str, registry_pb2.ParamValue]) -> dict[str, ParamValue]:
    """Typed params. Raises `InvalidArgument` for one without a value."""
    check_count(len(params), _ENTRIES, "params")
    found: dict[str, ParamValue] = {}
    for key, value in params.items():
        kind = value.WhichOneof("kind")
        if kind is None:
            raise InvalidArgument(f"param '{key[:60]}' has no value")
        found[key] = getattr(value, kind)
    return found


def tags_from(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags."""
    check_count(len(tags), _ENTRIES, "tags")
    return dict(tags)


def metadata_to(data: Metadata) -> registry_pb2.VersionMetadata:
    """The record of a version or build."""
    return registry_pb2.VersionMetadata(
        description=data.description,
        params={key: param_to(value) for key, value in data.params.items()},
        metrics=data.metrics,
        tags=data.tags,
    )


def model_to(view: ModelView) -> registry_pb2.Model:
    """A model."""
    model = view.model
    return registry_pb2.Model(
        name=model.name.wire,
        description=model.description,
        create_time=timestamp(model.created_at),
        update_time=timestamp(model.updated_at),
        version_count=model.version_count,
        latest_version=model.latest_version,
        aliases=[alias_to(alias) for alias in view.aliases],
    )


def version_to(version: Version) -> registry_pb2.Version:
    """A version."""
    message = registry_pb2.Version(
        name=version.ref.wire,
        number=version.number,
        digest=version.digest.hex(),
        file_count=version.file_count,
        size=version.size,
        create_time=timestamp(version.created_at),
        metadata=metadata_to(version.metadata),
        aliases=version.aliases,
        build="" if version.build is None else version.build.wire,
        log_digest="" if version.log_digest is None else version.log_digest.hex(),
        stored_size=version.stored_size,
        record_digest="" if version.record_digest is None else version.record_digest.hex(),
        author=version.author,
        bad=version.bad,
        bad_reason=version.bad_reason,
    )
    for field, at in (
        (message.archive_time, version.archived_at),
        (message.delete_time, version.deleted_at),
        (message.purge_time, version.purge_at),
    ):
        if at is not None:
            field.CopyFrom(timestamp(at))
    return message


def dataset_to(dataset: Dataset, profile: bytes = b"") -> dataset_pb2.Dataset:
    """A dataset version; a search has no profiles."""
    return dataset_pb2.Dataset(
        name=dataset.ref.wire,
        digest=dataset.digest.hex(),
        uri=dataset.uri,
        row_count=dataset.row_count or 0,
        column_count=dataset.column_count or 0,
        create_time=timestamp(dataset.created_at),
        profile=profile.decode(),
    )


def alias_to(alias: Alias) -> registry_pb2.Alias:
    """An alias."""
    return registry_pb2.Alias(
        name=alias.name.wire, version=alias.version.wire, update_time=timestamp(alias.updated_at)
    )


def rules_to(found: Rules) -> promotion_pb2.AliasRules:
    """What an alias may name."""
    message = promotion_pb2.AliasRules(
        name=found.name.wire,
        protected=found.protected,
        gate=found.gate,
        approvals=found.approvals,
        etag=found.etag,
    )
    if found.updated_at is not None:
        message.update_time.CopyFrom(timestamp(found.updated_at))
    return message


def alias_change_to(change: AliasChange) -> registry_pb2.AliasChange:
    """An entry of an alias's history."""
    return registry_pb2.AliasChange(
        version="" if change.version is None else change.version.wire,
        previous_version="" if change.previous is None else change.previous.wire,
        time=timestamp(change.at),
        author=change.author,
        reason=change.reason,
        kind=_number(change.kind),
    )


def upload_to(upload: Upload, files: Iterable[FileProgress] = ()) -> artifact_pb2.Upload:
    """An upload and how far its files got."""
    version = "" if upload.version is None else VersionRef(upload.model, number=upload.version).wire
    return artifact_pb2.Upload(
        name=upload.name,
        model=upload.model.wire,
        state=_number(upload.state),
        expire_time=timestamp(upload.lease_until),
        files=[upload_file_to(file) for file in files],
        version=version,
    )


def upload_file_to(file: FileProgress) -> artifact_pb2.UploadFile:
    """How far one file got."""
    return artifact_pb2.UploadFile(
        path=file.path,
        committed_size=file.committed_size,
        complete=file.digest is not None,
        digest="" if file.digest is None else file.digest.hex(),
    )


def build_to(view: BuildView) -> build_pb2.Build:
    """A build."""
    build = view.build
    message = build_pb2.Build(
        name=build.name.wire,
        number=build.name.number,
        state=_number(build.state),
        reason=build.reason,
        create_time=timestamp(build.created_at),
        metadata=metadata_to(view.metadata),
        steps=[step_to(step) for step in view.steps],
        versions=[ref.wire for ref in view.versions],
        log_seq=build.log_seq,
        log_digest="" if build.log_digest is None else build.log_digest.hex(),
        cancel_requested=build.cancel_requested,
        log_bytes=build.log_bytes,
        run=None if view.run is None else run_to(view.run),
    )
    if build.ended_at is not None:
        message.end_time.CopyFrom(timestamp(build.ended_at))
    return message


def step_to(step: Step) -> build_pb2.Step:
    """A step."""
    message = build_pb2.Step(
        number=step.number,
        name=step.name,
        state=_number(step.state),
        start_time=timestamp(step.started_at),
        reason=step.reason,
    )
    if step.ended_at is not None:
        message.end_time.CopyFrom(timestamp(step.ended_at))
    return message


def point_to(point: MetricPoint) -> build_pb2.MetricPoint:
    """A point of a series."""
    return build_pb2.MetricPoint(key=point.key, value=point.value, step=point.step, time=timestamp(point.at))


def point_from(message: build_pb2.MetricPoint, now: int) -> MetricPoint:
    """A point of a series; `now` stands in for a missing time."""
    at = microseconds(message.time) if message.HasField("time") else now
    return MetricPoint(message.key, message.value, message.step, at)


def line_to(line: LogLine) -> build_pb2.LogLine:
    """A log line."""
    return build_pb2.LogLine(
        seq=line.seq,
        time=timestamp(line.at),
        step=line.step,
        stream=_number(line.stream),
        partial=line.partial,
        text=line.text,
    )


def line_from(message: build_pb2.LogLine, now: int) -> LogLine:
    """A log line; `now` stands in for a missing time, and an unknown stream is none."""
    at = microseconds(message.time) if message.HasField("time") else now
    stream = message.stream if 0 <= message.stream < len(STREAMS) else 0
    return LogLine(message.seq, at, message.step, stream, message.partial, message.text)


def _number(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
