"""Templates between wire messages and plain values, for both ends of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regsvc.content.template import (
    Input,
    Missed,
    Output,
    Overlap,
    ParamValue,
    Retries,
    Schedule,
    Source,
    Step,
    Template,
)
from regsvc.v1 import registry_pb2, run_pb2
from regsvc.v1 import template_pb2 as pb
from regsvc.wire.values import param_to


def template_to(name: str, template: Template) -> pb.Template:
    """To the wire, without what the server sets."""
    schedule = template.schedule
    message = pb.Template(
        name=name,
        description=template.description,
        steps=[pb.TemplateStep(name=each.name, command=each.command) for each in template.steps],
        source=source_to(template.source),
        params={key: param_to(value) for key, value in template.params.items()},
        environment=template.environment,
        inputs=inputs_to(template.inputs),
        outputs=[pb.TemplateOutput(path=each.path, promote=each.promote) for each in template.outputs],
        timeout_seconds=template.timeout_seconds,
        labels=template.labels,
        triggers=[pb.TemplateTrigger(filter=each) for each in template.triggers],
        paused=template.paused,
    )
    if template.retries != Retries():
        message.retries.lost = template.retries.lost
        message.retries.failed = template.retries.failed
        message.retries.backoff_seconds = template.retries.backoff_seconds
    if schedule is not None:
        message.schedule.cron = schedule.cron
        message.schedule.time_zone = schedule.time_zone
        message.schedule.missed = _number(schedule.missed)
        message.schedule.overlap = _number(schedule.overlap)
    return message


def template_from(message: pb.Template) -> Template:
    """From the wire. Raises `ValueError` for a policy that is none; a param without a value is left out."""
    retries, schedule = message.retries, message.schedule
    return Template(
        steps=tuple(Step(each.name, tuple(each.command)) for each in message.steps),
        description=message.description,
        source=source_from(message.source) if message.HasField("source") else None,
        params=_params(message.params),
        environment=dict(message.environment),
        inputs=inputs_from(message.inputs),
        outputs=tuple(Output(each.path, each.promote) for each in message.outputs),
        timeout_seconds=message.timeout_seconds,
        retries=Retries(retries.lost, retries.failed, retries.backoff_seconds),
        labels=tuple(message.labels),
        schedule=Schedule(
            schedule.cron,
            schedule.time_zone,
            Missed(schedule.missed or Missed.SKIP),
            Overlap(schedule.overlap or Overlap.SKIP),
        )
        if message.HasField("schedule")
        else None,
        triggers=tuple(each.filter for each in message.triggers),
        paused=message.paused,
    )


def source_to(source: Source | None) -> run_pb2.TemplateSource | None:
    """To the wire."""
    if source is None:
        return None
    if source.version:
        return run_pb2.TemplateSource(version=source.version)
    return run_pb2.TemplateSource(git=run_pb2.GitSource(url=source.url, commit=source.commit))


def source_from(message: run_pb2.TemplateSource) -> Source:
    """From the wire; all empty when nothing is set."""
    return Source(message.version, message.git.url, message.git.commit)


def inputs_to(inputs: Iterable[Input]) -> list[run_pb2.TemplateInput]:
    """To the wire."""
    return [run_pb2.TemplateInput(version=each.version, folder=each.folder) for each in inputs]


def inputs_from(messages: Iterable[run_pb2.TemplateInput]) -> tuple[Input, ...]:
    """From the wire."""
    return tuple(Input(each.version, each.folder) for each in messages)


def _params(params: Mapping[str, registry_pb2.ParamValue]) -> dict[str, ParamValue]:
    kinds = {key: value.WhichOneof("kind") for key, value in params.items()}
    return {key: getattr(params[key], kind) for key, kind in kinds.items() if kind is not None}


def _number(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
