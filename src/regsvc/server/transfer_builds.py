"""Builds of transfers between wire messages and domain types."""

from __future__ import annotations

from regsvc import refs
from regsvc.catalog.builds import BuildState, Step, StepState
from regsvc.catalog.transfer_items import BuildItem, RunItem
from regsvc.server import convert
from regsvc.server.transfer_values import (
    attachments_from,
    hex_of,
    known,
    number_to,
    optional_time_from,
    time_from,
)
from regsvc.v1 import build_pb2, run_pb2
from regsvc.v1 import transfer_pb2 as pb
from regsvc.wire import record as wire
from regsvc.wire import template as templates
from regsvc.wire.values import timestamp


def build_to(item: BuildItem) -> pb.BuildItem:
    """With its steps, its record, and how it was run."""
    message = build_pb2.Build(
        name=item.name.wire,
        number=item.name.number,
        state=number_to(item.state),
        reason=item.reason,
        create_time=timestamp(item.created_at),
        metadata=convert.metadata_to(item.metadata),
        steps=[convert.step_to(step) for step in item.steps],
        log_seq=item.log_seq,
        log_bytes=item.log_bytes,
        log_digest=hex_of(item.log_digest),
        cancel_requested=item.cancel_requested,
    )
    if item.ended_at is not None:
        message.end_time.CopyFrom(timestamp(item.ended_at))
    if item.run is not None:
        message.run.CopyFrom(_run_to(item.name.model, item.run))
    record = wire.record_to(item.record, list(item.attachments))
    return pb.BuildItem(build=message, record=record, point_count=item.point_count)


def build_from(message: pb.BuildItem) -> BuildItem:
    """Raises `InvalidArgument`, `NameInvalid`, `RecordInvalid`."""
    build = message.build
    return BuildItem(
        name=refs.build_from_wire(build.name),
        state=known(BuildState, build.state),
        reason=build.reason,
        metadata=convert.metadata_from(build.metadata),
        created_at=time_from(build, "create_time"),
        ended_at=optional_time_from(build, "end_time"),
        cancel_requested=build.cancel_requested,
        steps=tuple(_step_from(each) for each in build.steps),
        log_seq=build.log_seq,
        log_bytes=build.log_bytes,
        log_digest=convert.digest_from_hex(build.log_digest),
        record=wire.record_from(message.record),
        attachments=attachments_from(message.record),
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
        started_at=optional_time_from(message, "start_time"),
        not_before=optional_time_from(message, "not_before") or 0,
        labels=tuple(message.labels),
    )


def _step_from(message: build_pb2.Step) -> Step:
    return Step(
        message.number,
        message.name,
        known(StepState, message.state),
        message.reason,
        time_from(message, "start_time"),
        optional_time_from(message, "end_time"),
    )
