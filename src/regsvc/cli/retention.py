"""`regsvc retention`: which versions of a model are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import click
from rich.markup import escape

from regsvc import refs
from regsvc.cli.durations import Length, human_length
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    human_size,
    human_time,
    json_option,
    json_time,
    table,
)
from regsvc.cli.records import print_rows
from regsvc.client.retention import RetentionPolicy

P = ParamSpec("P")
R = TypeVar("R")


def rules(command: Callable[P, R]) -> Callable[P, R]:
    """The options that make up a policy."""
    for option in (
        click.option("--keep-filter", default="", metavar="CEL", help="Those for which this holds."),
        click.option(
            "--keep-label", "keep_labels", multiple=True, metavar="LABEL", help="Those that have it."
        ),
        click.option(
            "--keep-younger",
            type=Length(),
            default="0",
            metavar="TIME",
            help="Those made less than 30d ago, say.",
        ),
        click.option("--keep-last", type=click.IntRange(0), default=0, metavar="N", help="The newest N."),
    ):
        command = option(command)
    return command


@click.group()
def retention() -> None:
    """Say which versions of a model are kept, and delete the others.

    A version is kept if any rule keeps it, if an alias names it, if a host serves it, or if it is archived.
    """


@retention.command("show")
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@json_option
@click.pass_context
def show(ctx: click.Context, model: str, as_json: bool) -> None:
    """Show the policy of a model."""
    _show(connect_from_context(ctx, refs.parse_reference(model).server).retention(model), as_json)


@retention.command("set")
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@rules
@click.option("--scheduled", is_flag=True, help="The server applies it by itself.")
@json_option
@click.pass_context
def set_(
    ctx: click.Context,
    model: str,
    keep_last: int,
    keep_younger: timedelta,
    keep_labels: tuple[str, ...],
    keep_filter: str,
    scheduled: bool,
    as_json: bool,
) -> None:
    """Replace the policy of a model; without any rule it is removed."""
    made = connect_from_context(ctx, refs.parse_reference(model).server).set_retention(
        model,
        keep_last=keep_last,
        keep_younger=keep_younger,
        keep_labels=keep_labels,
        keep_filter=keep_filter,
        scheduled=scheduled,
    )
    _show(made, as_json)


@retention.command("apply")
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@click.option(
    "--dry-run", is_flag=True, help="Only say what would happen; rules are tried in place of the model's."
)
@rules
@json_option
@click.pass_context
def apply(
    ctx: click.Context,
    model: str,
    dry_run: bool,
    keep_last: int,
    keep_younger: timedelta,
    keep_labels: tuple[str, ...],
    keep_filter: str,
    as_json: bool,
) -> None:
    """Delete the versions that the policy of a model does not keep; `regsvc undelete` has them back."""
    tried = RetentionPolicy(model, keep_last, keep_younger, keep_labels, keep_filter)
    given = tried != RetentionPolicy(model)
    if given and not dry_run:
        raise click.UsageError(
            "rules are tried with --dry-run; `regsvc retention set` makes them the model's"
        )
    client = connect_from_context(ctx, refs.parse_reference(model).server)
    done = client.apply_retention(model, dry_run=dry_run, policy=tried if given else None)
    if as_json:
        emit_json({**asdict(done), "dry_run": dry_run})
        return
    shown = table("VERSION", "KEPT FOR")
    for each in done.verdicts:
        shown.add_row(escape(each.reference), escape(", ".join(each.reasons)) or "[bold]not kept[/bold]")
    console().print(shown)
    console().print(
        f"{done.deleted} {'would be deleted' if dry_run else 'deleted'}, {done.kept} kept;"
        f" frees {human_size(done.freed_bytes)} ({done.freed_bytes} bytes) in the end"
    )


def _show(policy: RetentionPolicy, as_json: bool) -> None:
    if as_json:
        emit_json(_document(policy))
        return
    print_rows(
        [
            ("model", policy.model),
            ("keeps the last", str(policy.keep_last) if policy.keep_last else ""),
            ("keeps younger than", human_length(policy.keep_younger) if policy.keep_younger else ""),
            *(("keeps label", label) for label in policy.keep_labels),
            ("keeps", policy.keep_filter),
            ("keeps", "" if _has_rules(policy) else "everything"),
            ("scheduled", "yes" if policy.scheduled else "no"),
            ("applied", human_time(policy.applied) if policy.applied else ""),
        ]
    )


def _has_rules(policy: RetentionPolicy) -> bool:
    return bool(policy.keep_last or policy.keep_younger or policy.keep_labels or policy.keep_filter)


def _document(policy: RetentionPolicy) -> dict[str, Any]:
    return {
        "model": policy.model,
        "keep_last": policy.keep_last,
        "keep_younger_seconds": policy.keep_younger.total_seconds(),
        "keep_labels": list(policy.keep_labels),
        "keep_filter": policy.keep_filter,
        "scheduled": policy.scheduled,
        "updated": json_time(policy.updated),
        "applied": json_time(policy.applied),
    }
