"""Items of transfers between wire messages and domain types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from regsvc import refs
from regsvc.catalog.aliases import Kind
from regsvc.catalog.builds import BuildState, Step, StepState
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.rules import Approval, Rules
from regsvc.catalog.transfer_items import (
    AliasItem,
    AliasMove,
    BlobItem,
    BuildItem,
    DatasetItem,
    Item,
    LeftOutItem,
    ManifestItem,
    ModelItem,
    NotesItem,
    NoteText,
    PointsItem,
    RulesItem,
    RunItem,
    VersionItem,
    VersionStateItem,
)
from regsvc.content.comparison import Direction
from regsvc.errors import InvalidArgument
from regsvc.refs import AliasName, VersionRef
from regsvc.server import convert
from regsvc.v1 import (
    artifact_pb2,
    build_pb2,
    dataset_pb2,
    metric_pb2,
    promotion_pb2,
    record_pb2,
    registry_pb2,
    run_pb2,
)
from regsvc.v1 import transfer_pb2 as pb
from regsvc.wire import record as wire
from regsvc.wire import template as templates
from regsvc.wire.values import microseconds, timestamp


def item_to(item: Item) -> pb.TransferItem:
    """To the wire."""
    match item:
        case DatasetItem():
            return pb.TransferItem(dataset=_dataset_to(item))
        case ModelItem():
            return pb.TransferItem(model=_model_to(item))
        case BuildItem():
            return pb.TransferItem(build=_build_to(item))
        case PointsItem():
            return pb.TransferItem(points=_points_to(item))
        case VersionItem():
            return pb.TransferItem(version=_version_to(item))
        case ManifestItem():
            return pb.TransferItem(manifest=_manifest_to(item))
        case BlobItem():
            return pb.TransferItem(blob=_blob_to(item))
        case VersionStateItem():
            return pb.TransferItem(version_state=_state_to(item))
        case NotesItem():
            return pb.TransferItem(notes=_notes_to(item))
        case RulesItem():
            return pb.TransferItem(rules=convert.rules_to(item.rules))
        case AliasItem():
            return pb.TransferItem(alias=_alias_to(item))
        case LeftOutItem():
            return pb.TransferItem(left_out=pb.LeftOutItem(name=item.name, reason=item.reason))


def item_from(message: pb.TransferItem) -> Item:
    """From the wire. Raises `InvalidArgument`, also for an item of a kind that is not known."""
    kind = message.WhichOneof("item")
    if kind is None:
        raise InvalidArgument("an item of a kind that is not known: it comes from a newer registry")
    return _FROM[kind](getattr(message, kind))


def name_on_wire(message: pb.TransferItem) -> str:
    """The name that an item gives itself, whatever else is wrong with it."""
    kind = message.WhichOneof("item")
    if kind is None:
        return ""
    found = getattr(message, kind)
    return str(getattr(found, kind).name if kind in ("build", "version") else found.name)[:500]


def _dataset_to(item: DatasetItem) -> dataset_pb2.Dataset:
    return dataset_pb2.Dataset(
        name=item.ref.wire,
        digest=item.digest.hex(),
        uri=item.uri,
        create_time=timestamp(item.created_at),
        profile=item.profile.decode(),
    )


def _dataset_from(message: dataset_pb2.Dataset) -> DatasetItem:
    return DatasetItem(
        refs.dataset_from_wire(message.name),
        _digest(message.digest),
        message.uri,
        message.profile.encode(),
        _time(message, "create_time"),
    )


def _model_to(item: ModelItem) -> pb.ModelItem:
    return pb.ModelItem(
        name=item.name.wire,
        description=item.description,
        create_time=timestamp(item.created_at),
        update_time=timestamp(item.updated_at),
        definitions=[
            metric_pb2.MetricDefinition(key=key, direction=_number(direction))
            for key, direction in item.definitions
        ],
    )


def _model_from(message: pb.ModelItem) -> ModelItem:
    return ModelItem(
        refs.model_from_wire(message.name),
        message.description,
        _time(message, "create_time"),
        _time(message, "update_time"),
        tuple((each.key, _known(Direction, each.direction)) for each in message.definitions),
    )


def _build_to(item: BuildItem) -> pb.BuildItem:
    message = build_pb2.Build(
        name=item.name.wire,
        number=item.name.number,
        state=_number(item.state),
        reason=item.reason,
        create_time=timestamp(item.created_at),
        metadata=convert.metadata_to(item.metadata),
        steps=[convert.step_to(step) for step in item.steps],
        log_seq=item.log_seq,
        log_bytes=item.log_bytes,
        log_digest=_hex(item.log_digest),
        cancel_requested=item.cancel_requested,
    )
    if item.ended_at is not None:
        message.end_time.CopyFrom(timestamp(item.ended_at))
    if item.run is not None:
        message.run.CopyFrom(_run_to(item.name.model, item.run))
    record = wire.record_to(item.record, list(item.attachments))
    return pb.BuildItem(build=message, record=record, point_count=item.point_count)


def _build_from(message: pb.BuildItem) -> BuildItem:
    build = message.build
    return BuildItem(
        name=refs.build_from_wire(build.name),
        state=_known(BuildState, build.state),
        reason=build.reason,
        metadata=convert.metadata_from(build.metadata),
        created_at=_time(build, "create_time"),
        ended_at=_optional_time(build, "end_time"),
        cancel_requested=build.cancel_requested,
        steps=tuple(_step_from(each) for each in build.steps),
        log_seq=build.log_seq,
        log_bytes=build.log_bytes,
        log_digest=convert.digest_from_hex(build.log_digest),
        record=wire.record_from(message.record),
        attachments=_attachments(message.record),
        point_count=message.point_count,
        run=_run_from(build.run) if build.HasField("run") else None,
    )


def _run_to(model: refs.ModelName, item: RunItem) -> run_pb2.Run:
    def build(number: int) -> str:
        return refs.BuildName(model, number).wire if number else ""

    return run_pb2.Run(
        template=refs.TemplateName(model, item.template).wire,
        revision=item.revision,
        inputs=templates.inputs_to(item.inputs),
        source=templates.source_to(item.source),
        trigger=item.trigger,
        cause=item.cause,
        author=item.author,
        attempt=item.attempt,
        retry_of=build(item.retry_of),
        rerun_of=build(item.rerun_of),
        runner=item.runner,
        start_time=None if item.started_at is None else timestamp(item.started_at),
        not_before=timestamp(item.not_before) if item.not_before else None,
        labels=item.labels,
    )


def _run_from(message: run_pb2.Run) -> RunItem:
    def number(name: str) -> int:
        return refs.build_from_wire(name).number if name else 0

    return RunItem(
        template=refs.template_from_wire(message.template).template,
        revision=message.revision,
        inputs=templates.inputs_from(message.inputs),
        source=templates.source_from(message.source) if message.HasField("source") else None,
        trigger=message.trigger,
        cause=message.cause,
        author=message.author,
        attempt=message.attempt,
        retry_of=number(message.retry_of),
        rerun_of=number(message.rerun_of),
        runner=message.runner,
        started_at=_optional_time(message, "start_time"),
        not_before=_optional_time(message, "not_before") or 0,
        labels=tuple(message.labels),
    )


def _step_from(message: build_pb2.Step) -> Step:
    return Step(
        message.number,
        message.name,
        _known(StepState, message.state),
        message.reason,
        _time(message, "start_time"),
        _optional_time(message, "end_time"),
    )


def _points_to(item: PointsItem) -> pb.PointsItem:
    return pb.PointsItem(
        name=item.owner.wire,
        source=item.source,
        key=item.key,
        first=item.first,
        points=[
            metric_pb2.EvaluationPoint(
                key=each.key, value=each.value, step=each.step, time=timestamp(each.at)
            )
            for each in item.points
        ],
    )


def _points_from(message: pb.PointsItem) -> PointsItem:
    convert.check_count(len(message.points), MOST_POINTS, "points of an item")
    points = tuple(
        MetricPoint(each.key, each.value, each.step, _time(each, "time")) for each in message.points
    )
    owner = refs.source_from_wire(message.name)
    return PointsItem(owner, message.source, message.key, message.first, points)


MOST_POINTS = 10_000
"""Of one item."""


def _version_to(item: VersionItem) -> pb.VersionItem:
    message = registry_pb2.Version(
        name=item.ref.wire,
        number=item.ref.number or 0,
        digest=item.digest.hex(),
        file_count=item.file_count,
        size=item.size,
        create_time=timestamp(item.created_at),
        metadata=convert.metadata_to(item.metadata),
        build="" if item.build is None else item.build.wire,
        record_digest=_hex(item.record_digest),
        author=item.author,
    )
    return pb.VersionItem(version=message, record=wire.record_to(item.record, list(item.attachments)))


def _version_from(message: pb.VersionItem) -> VersionItem:
    version = message.version
    return VersionItem(
        ref=refs.version_from_wire(version.name),
        digest=_digest(version.digest),
        file_count=version.file_count,
        size=version.size,
        created_at=_time(version, "create_time"),
        metadata=convert.metadata_from(version.metadata),
        author=version.author,
        build=refs.build_from_wire(version.build) if version.build else None,
        record=wire.record_from(message.record),
        attachments=_attachments(message.record),
        record_digest=convert.digest_from_hex(version.record_digest),
    )


def _manifest_to(item: ManifestItem) -> pb.ManifestItem:
    files = [
        artifact_pb2.ManifestFile(
            path=each.path, size=each.size, digest=each.digest.hex(), chunks=_chunks(each.chunks)
        )
        for each in item.files
    ]
    return pb.ManifestItem(name=item.ref.wire, files=files, last=item.last)


def _manifest_from(message: pb.ManifestItem) -> ManifestItem:
    """Only that it is one: its files go into an upload."""
    return ManifestItem(refs.version_from_wire(message.name), [], message.last)


def _blob_to(item: BlobItem) -> pb.BlobItem:
    return pb.BlobItem(
        name=item.owner.wire,
        digest=item.digest.hex(),
        size=item.size,
        offset=item.offset,
        chunks=_chunks(item.chunks),
    )


def _blob_from(message: pb.BlobItem) -> BlobItem:
    """Only that it is one: its chunks go into an upload."""
    return BlobItem(refs.source_from_wire(message.name), b"", message.size, message.offset, [])


def _state_to(item: VersionStateItem) -> pb.VersionStateItem:
    return pb.VersionStateItem(
        name=item.ref.wire,
        bad=item.bad,
        bad_reason=item.bad_reason,
        approvals=[
            promotion_pb2.Approval(
                version=item.ref.wire,
                alias=AliasName(item.ref.model, each.alias).wire,
                author=each.author,
                comment=each.comment,
                time=timestamp(each.at),
            )
            for each in item.approvals
        ],
        series=[
            pb.EvaluationSeries(source=source, key=key, count=count) for source, key, count in item.series
        ],
        archive_time=None if item.archived_at is None else timestamp(item.archived_at),
    )


def _state_from(message: pb.VersionStateItem) -> VersionStateItem:
    ref = refs.version_from_wire(message.name)
    return VersionStateItem(
        ref,
        message.bad,
        message.bad_reason,
        tuple(
            Approval(refs.alias_from_wire(each.alias).alias, each.author, each.comment, _time(each, "time"))
            for each in message.approvals
        ),
        tuple((each.source, each.key, each.count) for each in message.series),
        _optional_time(message, "archive_time"),
    )


def _notes_to(item: NotesItem) -> pb.NotesItem:
    notes = [
        record_pb2.Note(author=each.author, text=each.text, time=timestamp(each.at)) for each in item.notes
    ]
    return pb.NotesItem(name=item.ref.wire, notes=notes)


def _notes_from(message: pb.NotesItem) -> NotesItem:
    notes = tuple(NoteText(each.author, each.text, _time(each, "time")) for each in message.notes)
    return NotesItem(refs.version_from_wire(message.name), notes)


def _rules_from(message: promotion_pb2.AliasRules) -> RulesItem:
    name, at = refs.alias_from_wire(message.name), _optional_time(message, "update_time")
    return RulesItem(Rules(name, message.protected, message.gate, message.approvals, at))


def _alias_to(item: AliasItem) -> pb.AliasItem:
    message = pb.AliasItem(name=item.name.wire, first=item.first)
    for move in item.moves:
        change = registry_pb2.AliasChange(
            version=VersionRef(item.name.model, number=move.number).wire,
            time=timestamp(move.at),
            author=move.author,
            reason=move.reason,
            kind=_number(move.kind),
        )
        digest = move.digest.hex()
        message.moves.append(pb.AliasMove(change=change, version_digest=digest, version_deleted=move.deleted))
    return message


def _alias_from(message: pb.AliasItem) -> AliasItem:
    moves = []
    for move in message.moves:
        number = refs.version_from_wire(move.change.version).number
        if number is None:
            raise InvalidArgument("a move names its version by number")
        change = move.change
        moves.append(
            AliasMove(
                number,
                _digest(move.version_digest),
                _time(change, "time"),
                change.author,
                change.reason,
                _known(Kind, change.kind),
                move.version_deleted,
            )
        )
    return AliasItem(refs.alias_from_wire(message.name), message.first, tuple(moves))


def _left_out_from(message: pb.LeftOutItem) -> LeftOutItem:
    return LeftOutItem(message.name, message.reason)


_FROM: Mapping[str, Callable[[Any], Item]] = {
    "dataset": _dataset_from,
    "model": _model_from,
    "build": _build_from,
    "points": _points_from,
    "version": _version_from,
    "manifest": _manifest_from,
    "blob": _blob_from,
    "version_state": _state_from,
    "notes": _notes_from,
    "rules": _rules_from,
    "alias": _alias_from,
    "left_out": _left_out_from,
}


def _attachments(record: record_pb2.Record) -> tuple[Any, ...]:
    for each in record.attachments:
        _digest(each.digest)
    return tuple(wire.attachment_from(each) for each in record.attachments)


def _chunks(found: Any) -> list[artifact_pb2.ChunkRef]:
    return [artifact_pb2.ChunkRef(digest=digest, size=size) for digest, size in found]


def _digest(text: str) -> bytes:
    found = convert.digest_from_hex(text)
    if found is None:
        raise InvalidArgument("a digest is missing")
    return found


def _hex(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex()


def _time(message: Any, field: str) -> int:
    at = _optional_time(message, field)
    if at is None:
        raise InvalidArgument(f"an item has no {field}")
    return at


def _optional_time(message: Any, field: str) -> int | None:
    found: Timestamp = getattr(message, field)
    return microseconds(found) if message.HasField(field) else None


def _known(kind: Any, number: int) -> Any:
    """The member of an enum. Raises `InvalidArgument`."""
    try:
        return kind(number)
    except ValueError:
        raise InvalidArgument(f"no {kind.__name__} has the number {number}", number=number) from None


def _number(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
