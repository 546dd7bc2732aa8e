"""Checks of what comes from another registry: the same bounds as for what clients record."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc.catalog.builds import MAX_STEPS, REASON_BYTES, BuildState, StepState
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.notes import MAX_NOTES
from regsvc.catalog.rules import MAX_APPROVALS
from regsvc.catalog.transfer_items import (
    AliasItem,
    BuildItem,
    DatasetItem,
    Item,
    ModelItem,
    NotesItem,
    PointsItem,
    RulesItem,
    RunItem,
    VersionItem,
    VersionStateItem,
)
from regsvc.content import profile
from regsvc.content.profile import ProfileError
from regsvc.content.record import Attachment
from regsvc.errors import InvalidArgument, ProfileInvalid, ResourceExhausted
from regsvc.refs import check_alias
from regsvc.service.authors import author_of, reason_of
from regsvc.service.checks import (
    check_finite,
    check_key,
    check_metadata,
    check_step_name,
    check_text,
    check_time,
)
from regsvc.service.datasets import MAX_URI_BYTES
from regsvc.service.gates import read_gate
from regsvc.service.limits import Limits
from regsvc.service.promotions import MAX_REQUIRED_APPROVALS
from regsvc.service.recording import check_attachment_name, check_record
from regsvc.service.transfer_names import check_number

_MAX_RUN_TEXT = 16 << 10
"""Bytes of what a run has as text: a URL, a folder, a label."""
_MAX_RUN_TEXTS = 1_000


def check_item(item: Item, limits: Limits) -> None:
    """Raises `InvalidArgument` or `ResourceExhausted`."""
    match item:
        case ModelItem():
            _check_model(item, limits)
        case DatasetItem():
            check_number(item.ref)
            check_text(item.uri, "the uri", MAX_URI_BYTES)
            _check_times(item.created_at)
        case BuildItem():
            _check_build(item, limits)
        case PointsItem():
            _check_points(item.points, limits)
            check_step_name(item.source, "source", optional=True)
        case VersionItem():
            _check_version(item, limits)
        case VersionStateItem():
            _check_state(item)
        case NotesItem():
            _check_notes(item, limits)
        case RulesItem():
            _check_rules(item, limits)
        case AliasItem():
            _check_alias(item)


def profile_size(text: bytes) -> tuple[int | None, int | None]:
    """Rows and columns of a profile, if there is one. Raises `ProfileInvalid`."""
    if not text:
        return None, None
    try:
        found = profile.from_json(text)
    except ProfileError as error:
        raise ProfileInvalid(f"the profile cannot be read: {error}") from None
    return found.rows, len(found.columns)


def _check_model(item: ModelItem, limits: Limits) -> None:
    check_text(item.description, "description", limits.max_description_bytes)
    _check_times(item.created_at, item.updated_at)
    for key, _ in item.definitions:
        check_key(key, limits)


def _check_version(item: VersionItem, limits: Limits) -> None:
    check_number(item.ref)
    check_metadata(item.metadata, limits)
    check_record(item.record, limits)
    _check_attachments(item.attachments, limits)
    author_of(item.author)
    _check_times(item.created_at)
    if item.build is not None and item.build.model != item.ref.model:
        raise InvalidArgument(f"build {item.build} is of another model", build=item.build.wire)


def _check_run(item: RunItem) -> None:
    texts = [item.trigger, item.cause, item.author, item.runner, *item.labels]
    for each in item.inputs:
        texts += [each.version, each.folder]
    if item.source is not None:
        texts += [item.source.version, item.source.url, item.source.commit]
    for text in texts:
        check_text(text, "a text of a run", _MAX_RUN_TEXT)
    _check_count(len(texts), _MAX_RUN_TEXTS, "texts of a run")
    if item.attempt == 0:
        raise InvalidArgument("the first attempt of a run has the number 1", attempt=0)
    if item.started_at is not None:
        check_time(item.started_at, "a run")
    check_time(item.not_before, "a run")


def _check_build(item: BuildItem, limits: Limits) -> None:
    if item.state in (BuildState.QUEUED, BuildState.RUNNING) or item.ended_at is None:
        raise InvalidArgument(f"build {item.name} has not ended", build=item.name.wire)
    if bool(item.log_seq) != (item.log_digest is not None):
        raise InvalidArgument(f"the log of {item.name} is not sealed", build=item.name.wire)
    check_metadata(item.metadata, limits)
    check_record(item.record, limits)
    check_text(item.reason, "reason", limits.max_value_bytes)
    _check_attachments(item.attachments, limits)
    _check_times(item.created_at, item.ended_at)
    if item.run is not None:
        _check_run(item.run)
    _check_count(len(item.steps), MAX_STEPS, "steps")
    for place, step in enumerate(item.steps, 1):
        if step.number != place or step.state is StepState.RUNNING or step.ended_at is None:
            raise InvalidArgument(
                f"the steps of {item.name} are not 1, 2, 3 ..., all ended", step=step.number
            )
        check_step_name(step.name)
        _check_times(step.started_at, step.ended_at)
    _check_count(sum(len(step.reason.encode()) for step in item.steps), 2 * REASON_BYTES, "bytes of reasons")


def _check_points(points: Sequence[MetricPoint], limits: Limits) -> None:
    if not points:
        raise InvalidArgument("a stretch of a series has points")
    for point in points:
        check_key(point.key, limits)
        _check_times(point.at)
    check_finite((point.key, point.value) for point in points)


def _check_state(item: VersionStateItem) -> None:
    check_number(item.ref)
    reason_of(item.bad_reason)
    if item.bad and not item.bad_reason:
        raise InvalidArgument("a version is bad for a reason")
    if item.archived_at is not None:
        _check_times(item.archived_at)
    _check_count(len(item.approvals), MAX_APPROVALS, "approvals")
    for each in item.approvals:
        check_alias(each.alias)
        author_of(each.author)
        reason_of(each.comment, "comment")
        _check_times(each.at)


def _check_notes(item: NotesItem, limits: Limits) -> None:
    check_number(item.ref)
    _check_count(len(item.notes), MAX_NOTES, "notes")
    for note in item.notes:
        author_of(note.author)
        check_text(note.text, "note", limits.max_note_bytes)
        _check_times(note.at)


def _check_alias(item: AliasItem) -> None:
    check_alias(item.name.alias)
    if not item.moves:
        raise InvalidArgument("a stretch of a history has moves")
    for move in item.moves:
        author_of(move.author)
        reason_of(move.reason)
        _check_times(move.at)


def _check_rules(item: RulesItem, limits: Limits) -> None:
    rules = item.rules
    check_alias(rules.name.alias)
    if rules.gate:
        read_gate(rules.gate, limits)
    _check_count(rules.approvals, MAX_REQUIRED_APPROVALS, "approvals")
    if rules.updated_at is not None:
        _check_times(rules.updated_at)


def _check_attachments(found: Sequence[Attachment], limits: Limits) -> None:
    _check_count(len(found), limits.max_attachments, "attachments")
    for each in found:
        check_attachment_name(each.name)
        _check_count(each.size, limits.max_attachment_bytes, "bytes of an attachment")


def _check_times(*times: int) -> None:
    for at in times:
        check_time(at, "what is imported")


def _check_count(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise ResourceExhausted(f"{count} {what}, at most {limit}", limit=limit)
