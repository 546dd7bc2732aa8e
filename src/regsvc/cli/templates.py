"""`regsvc template`, `run`, `rerun` and `runners`: how versions are made, and have them made."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.markup import escape

from regsvc.cli.logs import logs as logs_command
from regsvc.cli.output import connect_from_context, console, emit_json, human_time, json_option
from regsvc.cli.output import table as new_table
from regsvc.cli.pairs import param_option
from regsvc.cli.records import print_rows
from regsvc.client.build_records import Build
from regsvc.client.records import Param
from regsvc.client.template_files import to_document
from regsvc.client.templates import TemplateRevision

_FOLLOW = click.option(
    "-f", "--follow", is_flag=True, help="Print its log to its end. Status 1 unless it succeeds."
)


@click.group()
def template() -> None:
    """Say how versions are made. TEMPLATE is [NAMESPACE/]MODEL/TEMPLATE."""


@template.command("set")
@click.argument("name", metavar="TEMPLATE")
@click.argument("file", type=click.Path())
@click.option("--folder", metavar="DIR", help="Push DIR as a version of MODEL.source, and start from it.")
@click.option("--git", metavar="URL", help="Start from a commit of this repository.")
@click.option("--commit", metavar="C", help="Of --git: a commit, tag or branch.")
@json_option
@click.pass_context
def set_(
    ctx: click.Context,
    name: str,
    file: str,
    folder: str | None,
    git: str | None,
    commit: str | None,
    as_json: bool,
) -> None:
    """Set TEMPLATE to what FILE says, in TOML. What it is already makes no new revision."""
    made = connect_from_context(ctx).set_template(name, file, folder=folder, git=git, commit=commit)
    if as_json:
        emit_json(made.to_json())
        return
    when = f", runs next at {human_time(made.next_run)}" if made.next_run else ""
    console().print(f"{made.name} has revision {made.revision}{when}", markup=False)


@template.command("ls")
@click.argument("model", required=False)
@json_option
@click.pass_context
def ls(ctx: click.Context, model: str | None, as_json: bool) -> None:
    """List the templates of [NAMESPACE/]MODEL, or all."""
    found = list(connect_from_context(ctx).templates(model))
    if as_json:
        emit_json([each.to_json() for each in found])
        return
    table = new_table("TEMPLATE", "REVISION", "STATE", "SCHEDULE", "NEXT RUN", "TRIGGERS", "AUTHOR")
    for each in found:
        schedule = each.template.schedule
        table.add_row(
            each.name,
            str(each.revision),
            "paused" if each.template.paused else "active",
            "" if schedule is None else escape(f"{schedule.cron} {schedule.time_zone}".strip()),
            human_time(each.next_run),
            str(len(each.template.triggers)),
            escape(each.author),
        )
    console().print(table)


@template.command("show")
@click.argument("name", metavar="TEMPLATE")
@click.option("--revision", type=click.IntRange(min=1), metavar="N", help="An older one.")
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, revision: int | None, as_json: bool) -> None:
    """Show what a template says."""
    _show(connect_from_context(ctx).get_template(name, revision or 0), as_json)


@template.command("rm")
@click.argument("name", metavar="TEMPLATE")
@click.pass_context
def rm(ctx: click.Context, name: str) -> None:
    """Delete a template with its schedule and triggers. Builds stay."""
    connect_from_context(ctx).delete_template(name)


@template.command("pause")
@click.argument("name", metavar="TEMPLATE")
@json_option
@click.pass_context
def pause(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let schedule and triggers rest. `regsvc run` works all the same."""
    _show(connect_from_context(ctx).pause_template(name), as_json)


@template.command("resume")
@click.argument("name", metavar="TEMPLATE")
@json_option
@click.pass_context
def resume(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let schedule and triggers go on. What was due meanwhile does not count."""
    _show(connect_from_context(ctx).pause_template(name, paused=False), as_json)


@click.command()
@click.argument("name", metavar="TEMPLATE")
@param_option
@_FOLLOW
@json_option
@click.pass_context
def run(ctx: click.Context, name: str, params: dict[str, Param], follow: bool, as_json: bool) -> int:
    """Queue a build of TEMPLATE and print its name. A runner that has its labels takes it."""
    return _queued(ctx, connect_from_context(ctx).run_template(name, params=params), follow, as_json)


@click.command()
@click.argument("build")
@param_option
@_FOLLOW
@json_option
@click.pass_context
def rerun(ctx: click.Context, build: str, params: dict[str, Param], follow: bool, as_json: bool) -> int:
    """Queue the same as BUILD again: revision, source, inputs, and params but for those given here."""
    return _queued(ctx, connect_from_context(ctx).rerun(build, params=params), follow, as_json)


@click.command()
@json_option
@click.pass_context
def runners(ctx: click.Context, as_json: bool) -> None:
    """List runners that are connected, and those that have builds."""
    found = connect_from_context(ctx).runners()
    if as_json:
        emit_json([each.to_json() for each in found])
        return
    table = new_table("RUNNER", "STATE", "SLOTS", "LABELS", "BUILDS", "HOST", "VERSION", "SINCE")
    for each in found:
        table.add_row(
            each.name,
            "connected" if each.connected else "away",
            f"{len(each.builds)}/{each.slots}" if each.slots else str(len(each.builds)),
            escape(" ".join(each.labels)),
            " ".join(each.builds),
            escape(each.host),
            escape(each.version),
            human_time(each.since),
        )
    console().print(table)


def _queued(ctx: click.Context, build: Build, follow: bool, as_json: bool) -> int:
    """Print the build, and with `follow` its log; the status of the command."""
    if not follow:
        if as_json:
            emit_json(build.to_json())
        else:
            console().print(build.name, markup=False)
        return 0
    labels = build.run.labels if build.run is not None else ()
    needs = f" that has {' '.join(labels)}" if labels else ""
    click.echo(f"regsvc: {build.name} waits for a runner{needs}", err=True)
    ctx.invoke(logs_command, build=build.name, follow=True, after=0, step=None, as_json=as_json)
    sys.stdout.flush()
    ended = connect_from_context(ctx).get_build(build.name)
    reason = f": {' '.join(ended.reason.split())}" if ended.reason else ""
    published = f", published {' '.join(ended.versions)}" if ended.versions else ""
    click.echo(f"regsvc: build {ended.name} {ended.state}{published}{reason}", err=True)
    if ended.run is not None and ended.run.followed_by:
        click.echo(f"regsvc: it is tried again as {ended.run.followed_by[-1]}", err=True)
    return 0 if ended.state == "SUCCEEDED" else 1


def _show(found: TemplateRevision, as_json: bool) -> None:
    if as_json:
        emit_json(found.to_json())
        return
    print_rows(
        [
            ("template", found.name),
            ("revision", str(found.revision)),
            ("author", found.author),
            ("updated", human_time(found.updated)),
            ("next run", human_time(found.next_run) if found.next_run else ""),
            *_rows("", to_document(found.template)),
        ]
    )


def _rows(name: str, value: Any) -> list[tuple[str, str]]:
    """A document as lines of `steps 1 command`, and their texts."""
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        members = [(str(number), each) for number, each in enumerate(value, 1)]
    elif isinstance(value, list):
        return [(name, " ".join(map(str, value)))]
    else:
        return [(name, str(value))]
    return [row for key, each in members for row in _rows(f"{name} {key}".strip(), each)]
