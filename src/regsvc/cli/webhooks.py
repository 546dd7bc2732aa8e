"""`regsvc webhook`: where events are sent, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from rich.markup import escape

from regsvc.cli.output import connect_from_context, console, emit_json, human_time, json_option, json_time
from regsvc.cli.output import table as new_table
from regsvc.cli.records import print_rows
from regsvc.client.webhooks import Delivery, Webhook


@click.group()
def webhook() -> None:
    """Send what changes to HTTP endpoints, signed as Standard Webhooks says."""


@webhook.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--filter", metavar="EXPR", default="", help="Only events that this CEL condition lets through."
)
@click.option(
    "--after",
    metavar="SEQ",
    type=click.IntRange(min=0),
    help="Send events after this number; 0 for all that is kept. Without it: only what is new.",
)
@click.option("--disabled", is_flag=True, help="Send nothing yet.")
@json_option
@click.pass_context
def create(
    ctx: click.Context, name: str, url: str, filter: str, after: int | None, disabled: bool, as_json: bool
) -> None:
    """Send events to URL, and print the secret that they are signed with: it is shown only now."""
    made, secret = connect_from_context(ctx).create_webhook(
        name, url, filter=filter, after=after, disabled=disabled
    )
    if as_json:
        emit_json({**webhook_document(made), "secret": secret})
    else:
        console().print(secret, markup=False)


@webhook.command()
@json_option
@click.pass_context
def ls(ctx: click.Context, as_json: bool) -> None:
    """List all webhooks."""
    found = list(connect_from_context(ctx).webhooks())
    if as_json:
        emit_json([webhook_document(each) for each in found])
        return
    table = new_table("NAME", "STATE", "SEQ", "URL", "FILTER")
    for each in found:
        table.add_row(each.name, _state(each), str(each.seq), escape(each.url), escape(each.filter))
    console().print(table)


@webhook.command()
@click.argument("name")
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show one webhook, how far it has got, and when its next try is due."""
    _show(connect_from_context(ctx).webhook(name), as_json)


@webhook.command()
@click.argument("name")
@click.option("--url", help="Send to this URL.")
@click.option("--filter", metavar="EXPR", help="Only these events; '' for all.")
@click.option("--enable/--disable", default=None, help="Go on where it stopped, or send nothing.")
@json_option
@click.pass_context
def update(
    ctx: click.Context, name: str, url: str | None, filter: str | None, enable: bool | None, as_json: bool
) -> None:
    """Change a webhook. The event that is next is tried at once."""
    disabled = None if enable is None else not enable
    _show(connect_from_context(ctx).update_webhook(name, url=url, filter=filter, disabled=disabled), as_json)


@webhook.command()
@click.argument("name")
@click.pass_context
def rm(ctx: click.Context, name: str) -> None:
    """Delete a webhook and its history."""
    connect_from_context(ctx).delete_webhook(name)


@webhook.command()
@click.argument("name")
@click.option(
    "--overlap",
    type=click.FloatRange(min=0, max=30 * 24),
    default=24.0,
    metavar="HOURS",
    help="Sign with the old secret too for so long.  [24]",
)
@json_option
@click.pass_context
def rotate(ctx: click.Context, name: str, overlap: float, as_json: bool) -> None:
    """Give a webhook a new secret, and print it: it is shown only now."""
    secret = connect_from_context(ctx).rotate_webhook_secret(name, overlap=timedelta(hours=overlap))
    if as_json:
        emit_json({"name": name, "secret": secret})
    else:
        console().print(secret, markup=False)


@webhook.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(min=1), default=100, metavar="N", help="At most so many.  [100]")
@json_option
@click.pass_context
def deliveries(ctx: click.Context, name: str, limit: int, as_json: bool) -> None:
    """List what was tried in the last 30 days, newest first."""
    found = [made for made, _ in zip(connect_from_context(ctx).deliveries(name), range(limit), strict=False)]
    if as_json:
        emit_json([delivery_document(each) for each in found])
        return
    table = new_table("TIME", "EVENT", "TRY", "STATUS", "TOOK", "ERROR")
    for each in found:
        table.add_row(
            human_time(each.time),
            str(each.seq or "test"),
            f"{each.number}{' again' if each.redelivery else ''}",
            str(each.status or "-"),
            f"{each.duration.total_seconds():.3f} s",
            escape(each.error),
        )
    console().print(table)


@webhook.command()
@click.argument("name")
@click.argument("seq", type=click.IntRange(min=1))
@json_option
@click.pass_context
def redeliver(ctx: click.Context, name: str, seq: int, as_json: bool) -> None:
    """Send event SEQ again, now. Status 1 when it fails."""
    _report(ctx, connect_from_context(ctx).redeliver(name, seq), as_json)


@webhook.command()
@click.argument("name")
@json_option
@click.pass_context
def test(ctx: click.Context, name: str, as_json: bool) -> None:
    """Send a test message, now. Status 1 when it fails."""
    _report(ctx, connect_from_context(ctx).test_webhook(name), as_json)


def webhook_document(found: Webhook) -> dict[str, Any]:
    """For `--json`."""
    return {
        "name": found.name,
        "url": found.url,
        "filter": found.filter,
        "disabled": found.disabled,
        "disabled_reason": found.disabled_reason,
        "seq": found.seq,
        "failed_tries": found.failed_tries,
        "next_try": json_time(found.next_try),
        "created": json_time(found.created),
    }


def delivery_document(made: Delivery) -> dict[str, Any]:
    """For `--json`."""
    return {
        "seq": made.seq,
        "webhook_id": made.webhook_id,
        "time": json_time(made.time),
        "seconds": made.duration.total_seconds(),
        "status": made.status,
        "error": made.error,
        "try": made.number,
        "redelivery": made.redelivery,
    }


def _show(found: Webhook, as_json: bool) -> None:
    if as_json:
        emit_json(webhook_document(found))
        return
    print_rows(
        [
            ("webhook", found.name),
            ("url", found.url),
            ("filter", found.filter),
            ("state", _state(found)),
            ("reason", found.disabled_reason),
            ("events to", str(found.seq)),
            ("next try", human_time(found.next_try) if found.next_try else ""),
            ("created", human_time(found.created)),
        ]
    )


def _state(found: Webhook) -> str:
    if found.disabled:
        return "disabled"
    return f"{found.failed_tries} failed" if found.failed_tries else "enabled"


def _report(ctx: click.Context, made: Delivery, as_json: bool) -> None:
    took = f"{made.duration.total_seconds():.3f} s"
    if as_json:
        emit_json(delivery_document(made))
    elif made.error:
        click.echo(f"regsvc: not delivered: {made.error}", err=True)
    else:
        console().print(f"delivered: HTTP {made.status} after {took}")
    if made.error:
        ctx.exit(1)
