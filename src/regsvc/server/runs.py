"""Templates and runs, to the wire."""

from __future__ import annotations

from regsvc.catalog.runs import Run
from regsvc.catalog.templates import Revision
from regsvc.v1 import run_pb2, template_pb2
from regsvc.wire import template as wire
from regsvc.wire.values import timestamp


def template_to(found: Revision) -> template_pb2.Template:
    """A revision."""
    message = wire.template_to(found.name.wire, found.template)
    message.revision = found.number
    message.author = found.author
    message.update_time.CopyFrom(timestamp(found.created_at))
    if found.newest and found.next_run_at is not None:
        message.next_run_time.CopyFrom(timestamp(found.next_run_at))
    return message


def run_to(run: Run) -> run_pb2.Run:
    """How a build came to be."""
    new = run.new
    return run_pb2.Run(
        template=new.template.wire,
        revision=run.revision,
        inputs=wire.inputs_to(new.inputs),
        source=wire.source_to(new.source),
        trigger=new.why.trigger,
        cause=new.why.cause,
        author=new.why.author,
        attempt=new.attempt,
        retry_of="" if run.retry_of is None else run.retry_of.wire,
        rerun_of="" if run.rerun_of is None else run.rerun_of.wire,
        followed_by=[each.wire for each in run.followed_by],
        runner=run.runner,
        start_time=None if run.started_at is None else timestamp(run.started_at),
        not_before=timestamp(new.not_before) if new.not_before else None,
        labels=new.labels,
    )
