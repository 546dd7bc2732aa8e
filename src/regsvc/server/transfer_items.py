"""Items of transfers between wire messages and domain types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regsvc import refs
from regsvc.catalog.aliases import Kind
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
    VersionItem,
    VersionStateItem,
)
from regsvc.content.comparison import Direction
from regsvc.errors import InvalidArgument
from regsvc.refs import AliasName, VersionRef
from regsvc.server import convert
from regsvc.server.transfer_builds import build_from, build_to
from regsvc.server.transfer_values import (
    attachments_from,
    chunks_to,
    digest_from,
    hex_of,
    known,
    number_to,
    optional_time_from,
    time_from,
)
from regsvc.v1 import (
    artifact_pb2,
    dataset_pb2,
    metric_pb2,
    promotion_pb2,
    record_pb2,
    registry_pb2,
)
from regsvc.v1 import transfer_pb2 as pb
from regsvc.wire import record as wire
from regsvc.wire.values import timestamp


def item_to(item: Item) -> pb.TransferItem:
    """To the wire."""
    match item:
        case DatasetItem():
            return pb.TransferItem(dataset=_dataset_to(item))
        case ModelItem():
            return pb.TransferItem(model=_model_to(item))
        case BuildItem():
            return pb.TransferItem(build=build_to(item))
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
        digest_from(message.digest),
        message.uri,
        message.profile.encode(),
        time_from(message, "create_time"),
    )


def _model_to(item: ModelItem) -> pb.ModelItem:
    return pb.ModelItem(
        name=item.name.wire,
        description=item.description,
        create_time=timestamp(item.created_at),
        update_time=timestamp(item.updated_at),
        definitions=[
            metric_pb2.MetricDefinition(key=key, direction=number_to(direction))
            for key, direction in item.definitions
        ],
    )


def _model_from(message: pb.ModelItem) -> ModelItem:
    return ModelItem(
        refs.model_from_wire(message.name),
        message.description,
        time_from(message, "create_time"),
        time_from(message, "update_time"),
        tuple((each.key, known(Direction, each.direction)) for each in message.definitions),
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
        MetricPoint(each.key, each.value, each.step, time_from(each, "time")) for each in message.points
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
        record_digest=hex_of(item.record_digest),
        author=item.author,
    )
    return pb.VersionItem(version=message, record=wire.record_to(item.record, list(item.attachments)))


def _version_from(message: pb.VersionItem) -> VersionItem:
    version = message.version
    return VersionItem(
        ref=refs.version_from_wire(version.name),
        digest=digest_from(version.digest),
        file_count=version.file_count,
        size=version.size,
        created_at=time_from(version, "create_time"),
        metadata=convert.metadata_from(version.metadata),
        author=version.author,
        build=refs.build_from_wire(version.build) if version.build else None,
        record=wire.record_from(message.record),
        attachments=attachments_from(message.record),
        record_digest=convert.digest_from_hex(version.record_digest),
    )


def _manifest_to(item: ManifestItem) -> pb.ManifestItem:
    files = [
        artifact_pb2.ManifestFile(
            path=each.path, size=each.size, digest=each.digest.hex(), chunks=chunks_to(each.chunks)
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
        chunks=chunks_to(item.chunks),
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
            Approval(
                refs.alias_from_wire(each.alias).alias, each.author, each.comment, time_from(each, "time")
            )
            for each in message.approvals
        ),
        tuple((each.source, each.key, each.count) for each in message.series),
        optional_time_from(message, "archive_time"),
    )


def _notes_to(item: NotesItem) -> pb.NotesItem:
    notes = [
        record_pb2.Note(author=each.author, text=each.text, time=timestamp(each.at)) for each in item.notes
    ]
    return pb.NotesItem(name=item.ref.wire, notes=notes)


def _notes_from(message: pb.NotesItem) -> NotesItem:
    notes = tuple(NoteText(each.author, each.text, time_from(each, "time")) for each in message.notes)
    return NotesItem(refs.version_from_wire(message.name), notes)


def _rules_from(message: promotion_pb2.AliasRules) -> RulesItem:
    name, at = refs.alias_from_wire(message.name), optional_time_from(message, "update_time")
    return RulesItem(Rules(name, message.protected, message.gate, message.approvals, at))


def _alias_to(item: AliasItem) -> pb.AliasItem:
    message = pb.AliasItem(name=item.name.wire, first=item.first)
    for move in item.moves:
        change = registry_pb2.AliasChange(
            version=VersionRef(item.name.model, number=move.number).wire,
            time=timestamp(move.at),
            author=move.author,
            reason=move.reason,
            kind=number_to(move.kind),
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
                digest_from(move.version_digest),
                time_from(change, "time"),
                change.author,
                change.reason,
                known(Kind, change.kind),
                move.version_deleted,
            )
        )
    return AliasItem(refs.alias_from_wire(message.name), message.first, tuple(moves))


def _left_out_from(message: pb.LeftOutItem) -> LeftOutItem:
    return LeftOutItem(message.name, message.reason)


_FROM: Mapping[str, Callable[[Any], Item]] = {
    "dataset": _dataset_from,
    "model": _model_from,
    "build": build_from,
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
