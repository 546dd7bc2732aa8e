"""`regsvc build`: run a command as a build; list, show and cancel builds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from regsvc import refs
from regsvc.cli.output import (
    INTERRUPTED,
    connect_from_context,
    console,
    emit_json,
    emit_json_line,
    err_console,
    human_time,
    json_option,
)
from regsvc.cli.pairs import param_option, tag_option
from regsvc.cli.records import capture_options, captured
from regsvc.cli.terminal import Passthrough
from regsvc.client.build_records import Build
from regsvc.client.capture import CAPTURE_VARIABLE
from regsvc.client.records import Param, PushResult
from regsvc.client.runner import Outcome, run_command
from regsvc.client.session import BuildSession, outcome
from regsvc.client.templates import Runner
from regsvc.errors import NameInvalid, RegsvcError


@click.group()
def build() -> None:
    """Run, list, show and cancel builds. BUILD is [NAMESPACE/]MODEL/builds/N."""


@build.command("run")
@click.argument("model")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--publish", metavar="PATH", help="Push this folder or file as a new version when COMMAND succeeded."
)
@click.option(
    "--alias", "aliases", multiple=True, help="Point this alias at the published version. Repeatable."
)
@param_option
@tag_option
@click.option("--description", default="", help="Text for people.")
@capture_options
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    *,
    model: str,
    command: tuple[str, ...],
    publish: str | None,
    aliases: tuple[str, ...],
    params: dict[str, Param],
    tags: dict[str, str],
    description: str,
    capture: bool,
    snapshot: bool,
    as_json: bool,
) -> int:
    """Run COMMAND as a build of [NAMESPACE/]MODEL; put -- before it.

    Its stdout and stderr are the build's log, line by line, and appear here as well. regsvc.current_build() in it
    records params, metrics and steps. The exit status is COMMAND's: 128 + n when signal n ended it, 127 or 126
    when it cannot be started, 143 after a cancel; 1 when COMMAND succeeded but its record could not be written.
    While the server is away COMMAND goes on; its output waits in memory, and beyond 64 MiB COMMAND waits too.

    With --json the last line of stdout is one object: build, state, reason, exit_status, version, digest.
    """
    if aliases and publish is None:
        raise click.UsageError("--alias needs --publish")
    client = connect_from_context(ctx)
    if not capture:
        os.environ[CAPTURE_VARIABLE] = "off"  # for COMMAND, too
    session = client.build(
        model, params=params, tags=tags, description=description, capture=captured(capture, snapshot)
    )
    display = Passthrough(err_console())
    result = _carry_out(session, command, publish, aliases, display)
    if as_json:
        if not display.ends_with_newline:
            click.echo()
        emit_json_line(result.to_json(session.name))
    else:
        click.echo(f"regsvc: {result.summary(session.name)}", err=True)
    return result.status


@build.command("ls")
@click.argument("model")
@json_option
@click.pass_context
def list_(ctx: click.Context, model: str, as_json: bool) -> None:
    """List the builds of [NAMESPACE/]MODEL, newest first."""
    builds = list(connect_from_context(ctx).builds(model))
    if as_json:
        emit_json([_without_steps(build) for build in builds])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("BUILD", "STATE", "CREATED", "SECONDS", "VERSIONS", "REASON"):
        table.add_column(title)
    for each in builds:
        versions, reason = " ".join(each.versions), _one_line(each.reason)
        _add_row(
            table,
            each.name,
            each.state,
            human_time(each.created),
            _between(each.created, each.ended),
            versions,
            reason,
        )
    console().print(table)


@build.command("show")
@click.argument("build_name", metavar="BUILD")
@json_option
@click.pass_context
def show(ctx: click.Context, build_name: str, as_json: bool) -> None:
    """Show one build: state, steps, params, metrics, tags, versions."""
    if not refs.is_build(build_name):
        _check_no_version(build_name)
    client = connect_from_context(ctx)
    found = client.get_build(build_name)
    if as_json:
        emit_json(found.to_json())
        return
    _show(found, waits_for(found, client.runners()) if found.state == "QUEUED" else "")


@build.command("cancel")
@click.argument("build_name", metavar="BUILD")
@json_option
@click.pass_context
def cancel(ctx: click.Context, build_name: str, as_json: bool) -> None:
    """Ask a build to stop. Whoever runs it ends it; `build run` ends COMMAND and all that it started."""
    asked = connect_from_context(ctx).cancel_build(build_name)
    if as_json:
        emit_json(asked.to_json())
    elif asked.state == "RUNNING":
        console().print(f"{asked.name} was asked to stop")
    else:
        console().print(f"{asked.name} is {asked.state}")


def _check_no_version(name: str) -> None:
    """Say where a version is shown, if that is what is named."""
    try:
        version = refs.parse_reference(name).version
    except NameInvalid:
        return
    if version == refs.VersionRef(version.model):
        raise click.UsageError(f"{name} is a model, whose builds are listed by: regsvc build ls {name}")
    raise click.UsageError(f"{name} is a version, which is shown by: regsvc show {name}")


@dataclass(frozen=True)
class _Result:
    """What `build run` came to."""

    status: int
    state: str
    reason: str
    version: PushResult | None
    unrecorded: str = ""
    """Why the end of the build is not on the server."""

    def to_json(self, build: str) -> dict[str, Any]:
        return {
            "build": build,
            "state": self.state,
            "reason": self.reason,
            "exit_status": self.status,
            "version": self.version.reference if self.version else None,
            "digest": self.version.digest if self.version else None,
            "unrecorded": self.unrecorded or None,
        }

    def summary(self, build: str) -> str:
        text = f"build {build} {self.state}"
        if self.version:
            text += f", published {self.version.reference}"
        if self.reason:
            text += f": {_one_line(self.reason)}"
        if self.unrecorded:
            text += f"; the record is incomplete: {_one_line(self.unrecorded)}"
        return text


def _carry_out(
    session: BuildSession,
    command: Sequence[str],
    publish: str | None,
    aliases: Sequence[str],
    display: Passthrough,
) -> _Result:
    """Run, publish, and end the build, whatever goes wrong on the way."""
    version = None
    try:
        ended = run_command(session, command, display)
        display.close()
        if ended.state == "SUCCEEDED" and publish is not None:
            version, ended = _publish(session, publish, aliases)
    except KeyboardInterrupt:
        ended = Outcome(INTERRUPTED, "CANCELLED", "interrupted")
    except BaseException as error:
        display.close()
        with contextlib.suppress(RegsvcError):  # the error that brought us here says more
            session.finish(*outcome(error))
        raise
    try:
        session.finish(ended.state, ended.reason)
    except RegsvcError as error:
        state = error.metadata.get("state", ended.state)  # it may have ended elsewhere, as LOST
        return _Result(ended.status or 1, state, ended.reason, version, error.message)
    return _Result(ended.status, ended.state, ended.reason, version)


def _publish(session: BuildSession, path: str, aliases: Sequence[str]) -> tuple[PushResult | None, Outcome]:
    try:
        return session.publish(path, aliases=list(aliases)), Outcome(0, "SUCCEEDED", "")
    except RegsvcError as error:
        state, _ = outcome(error)
        return None, Outcome(1, state, f"cannot publish {path}: {error.message}")
    except OSError as error:
        return None, Outcome(1, "FAILED", f"cannot publish {path}: {error.strerror}")


def _without_steps(found: Build) -> dict[str, Any]:
    """Lists do not bring steps, which is not the same as having none."""
    return {key: value for key, value in found.to_json().items() if key != "steps"}


def waits_for(found: Build, runners: Sequence[Runner]) -> str:
    """Why a queued build is not taken, as far as the list of runners tells."""
    run = found.run
    if run is not None and run.not_before is not None and run.not_before > datetime.now(UTC):
        return f"its time, {human_time(run.not_before)}"
    needed = set(run.labels) if run is not None else set()
    able = [each for each in runners if each.connected and needed.issubset(each.labels)]
    if able:
        return f"a free slot of {', '.join(sorted({each.name for each in able}))}"
    return (
        f"a runner with {' '.join(sorted(needed))}; none is connected"
        if needed
        else "a runner; none is connected"
    )


def _show(found: Build, waits: str = "") -> None:
    rows = Table.grid(padding=(0, 2))
    facts = {
        "build": found.name,
        "state": found.state,
        "waits for": waits,
        "reason": found.reason,
        "created": human_time(found.created),
        "ended": human_time(found.ended),
        "versions": " ".join(found.versions),
        **_run_facts(found),
        "log": f"{found.log_seq} lines, {found.log_bytes} bytes",
        "description": found.description,
        **{f"param {key}": str(value) for key, value in sorted(found.params.items())},
        **{f"metric {key}": f"{value:g}" for key, value in sorted(found.metrics.items())},
        **{f"tag {key}": value for key, value in sorted(found.tags.items())},
    }
    for name, fact in facts.items():
        if fact:
            _add_row(rows, name, fact)
    console().print(rows)
    if found.steps:
        steps = Table(box=None, pad_edge=False)
        for title in ("STEP", "NAME", "STATE", "SECONDS", "REASON"):
            steps.add_column(title)
        for step in found.steps:
            seconds, reason = _between(step.started, step.ended), _one_line(step.reason)
            _add_row(steps, str(step.number), step.name, step.state, seconds, reason)
        console().print(steps)


def _run_facts(found: Build) -> dict[str, str]:
    run = found.run
    if run is None:
        return {}
    return {
        "template": f"{run.template}, revision {run.revision}",
        "trigger": " ".join((run.trigger, run.cause)).strip(),
        "author": run.author,
        "attempt": str(run.attempt),
        "not before": human_time(run.not_before) if run.not_before else "",
        "runner": run.runner,
        "started": human_time(run.started) if run.started else "",
        "source": run.source,
        **{f"input {folder}": reference for folder, reference in run.inputs.items()},
        "needs": " ".join(run.labels),
        "retry of": run.retry_of,
        "rerun of": run.rerun_of,
        "followed by": " ".join(run.followed_by),
    }


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # not str: a reason may hold what rich takes for markup


def _between(begin: datetime | None, end: datetime | None) -> str:
    return "-" if begin is None else f"{((end or datetime.now(UTC)) - begin).total_seconds():.1f}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
