"""After the last step: each output becomes a version, and its alias is moved if the rules allow it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

from regsvc import errors
from regsvc.client.client import Client
from regsvc.client.records import PushResult
from regsvc.client.session import BuildSession
from regsvc.client.working.bringing import inside
from regsvc.client.working.stopping import WorkFailed
from regsvc.client.working.task import Task
from regsvc.client.working.transfers import Transfers
from regsvc.content.template import Output

_LONGEST_TAG = 4_000
"""Characters."""


def check_outputs(task: Task, work: str) -> list[str]:
    """The absolute paths of all outputs, before the first is published. Raises `WorkFailed`."""
    found = []
    for each in task.outputs:
        path = inside(work, each.path, f"output {each.path}")
        if not os.path.exists(path):
            raise WorkFailed(f"output {each.path} is missing")
        found.append(path)
    return found


def publish(output: Output, path: str, task: Task, session: BuildSession, transfers: Transfers) -> PushResult:
    """Push an output. Raises `WorkFailed`, `Halted`."""
    model = session.name.rpartition("/builds/")[0]
    request = uuid.uuid4().hex  # a push that is begun again makes no second version

    def push(client: Client) -> PushResult:
        return client.push(
            path,
            model,
            build=session.name,
            capture=False,
            request_id=request,
            author=task.author or None,
        )

    try:
        return transfers.run(push)
    except errors.RegsvcError as error:
        raise WorkFailed(
            f"output {output.path} cannot be published: {_in_folder(error.message, path)}"
        ) from None
    except OSError as error:
        raise WorkFailed(f"output {output.path} cannot be published: {error.strerror}") from None


def promote(reference: str, alias: str, task: Task, session: BuildSession, transfers: Transfers) -> str:
    """Point an alias at a version; empty, or why its rules refused it. Raises `WorkFailed`, `Halted`."""
    request = uuid.uuid4().hex

    def move(client: Client) -> None:
        client.promote(
            reference,
            alias,
            reason=f"build {session.name}",
            author=task.author or None,
            request_id=request,
        )

    try:
        transfers.run(move)
    except (errors.FailedPrecondition, errors.Aborted) as refusal:
        return refusal.message
    except errors.RegsvcError as error:
        raise WorkFailed(f"{reference} cannot be promoted to {alias}: {error.message}") from None
    return ""


def publish_all(
    task: Task,
    work: str,
    session: BuildSession,
    transfers: Transfers,
    say: Callable[[str], None],
    published: Callable[[str], None],
) -> None:
    """Publish and promote every output; `published` gets the references. Raises `WorkFailed`, `Halted`."""
    refusals = []
    for output, path in zip(task.outputs, check_outputs(task, work), strict=True):
        pushed = publish(output, path, task, session, transfers)
        published(pushed.reference)
        say(f"published {output.path} as {pushed.reference}, {pushed.files} files, {pushed.digest}")
        if not output.promote:
            continue
        refusal = promote(pushed.reference, output.promote, task, session, transfers)
        if refusal:
            refusals.append(f"{pushed.reference} to {output.promote} refused: {refusal}")
            say(f"promotion of {refusals[-1]}")
        else:
            say(f"promoted {pushed.reference} to {output.promote}")
    if refusals:
        session.set_tags({"promotion": "; ".join(refusals)[:_LONGEST_TAG]})


def _in_folder(text: str, path: str) -> str:
    """Without where the work folder lies, which is nobody's business."""
    return text.replace(path, ".")
