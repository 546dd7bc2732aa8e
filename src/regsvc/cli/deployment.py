"""`regsvc follow` and `regsvc deployments`: a host that serves what an alias names, and all of them."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from types import FrameType
from typing import Any

import click
from rich.markup import escape

from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    emit_json_line,
    human_time,
    json_option,
    json_time,
)
from regsvc.cli.output import table as new_table
from regsvc.cli.pairs import host_label_option
from regsvc.cli.safe_console import harmless
from regsvc.client.deployments import Deployment
from regsvc.client.followed_folder import LAYOUTS
from regsvc.client.following import Change, Happening
from regsvc.client.hooks import run_hook
from regsvc.refs import parse_reference


@click.command()
@click.argument("alias", metavar="MODEL@ALIAS")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--exec", "hook", metavar="CMD", help="Run at each change; if it fails, the change is taken back."
)
@click.option(
    "--exec-timeout", type=click.FloatRange(0.1), default=60.0, show_default=True, metavar="SECONDS"
)
@click.option("--layout", type=click.Choice(LAYOUTS), default="plain", show_default=True)
@click.option(
    "--host", metavar="NAME", help="How it is called in the inventory.  [default: this machine's name]"
)
@host_label_option
@click.option(
    "--keep", type=click.IntRange(0), default=1, show_default=True, help="Versions that stay beside it."
)
@click.option("--once", is_flag=True, help="End when what the alias names is served.")
@json_option
@click.pass_context
def follow(
    ctx: click.Context,
    *,
    alias: str,
    folder: str,
    hook: str | None,
    exec_timeout: float,
    layout: str,
    host: str | None,
    labels: dict[str, str],
    keep: int,
    once: bool,
    as_json: bool,
) -> None:
    """Keep DIR/current equal to what an alias names, and tell whoever serves from it.

    CMD is a shell command with REGSVC_REF, REGSVC_VERSION, REGSVC_PATH and REGSVC_PREVIOUS in its environment:
    'kill -HUP $(cat server.pid)'. With --layout triton DIR is a model repository, and DIR/MODEL the link.
    """
    client = connect_from_context(ctx, parse_reference(alias).server)

    def change(found: Change) -> None:
        if hook is not None:
            run_hook(hook, _variables(found), exec_timeout)

    follower = client.follow(
        alias,
        folder,
        on_change=change,
        on_happening=lambda found: _say(found, as_json),
        layout=layout,
        host=host,
        labels=labels,
        keep=keep,
    )
    _stop_on_signals(follower.stop)
    follower.run(once=once)


def _stop_on_signals(stop: Any) -> None:
    def ended(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=stop, daemon=True).start()  # the handler must not wait for a lock

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ended)


def _variables(change: Change) -> dict[str, str]:
    return {
        "REGSVC_REF": change.reference,
        "REGSVC_VERSION": change.reference.rpartition(":")[2],
        "REGSVC_PATH": str(change.path),
        "REGSVC_PREVIOUS": change.previous or "",
        "REGSVC_BACK": "1" if change.back else "",
    }


def _say(found: Happening, as_json: bool) -> None:
    if as_json:
        emit_json_line(asdict(found))
        return
    served = f"serves {found.served}" if found.served else "serves nothing"
    wanted = f", {found.target} is wanted" if found.target and found.target != found.served else ""
    error = f": {found.error}" if found.error else ""
    click.echo(harmless(f"{found.state.lower():<9}  {served}{wanted}{error}"))


@click.command()
@click.argument("of", default="", metavar="[OF]")
@click.option(
    "--forget", metavar="NAME", help="Forget a follower whose host is gone for good, and list nothing."
)
@json_option
@click.pass_context
def deployments(ctx: click.Context, of: str, forget: str | None, as_json: bool) -> None:
    """List who follows what and serves what: of all, or OF a NAMESPACE/, a model or MODEL@ALIAS."""
    if forget is not None:
        connect_from_context(ctx).forget_deployment(forget)
        return
    found = list(connect_from_context(ctx).deployments(of))
    if as_json:
        emit_json([_document(each) for each in found])
        return
    table = new_table("HOST", "ALIAS", "SERVES", "SINCE", "STATE", "ERROR", "NAME")
    for each in found:
        state = "away" if each.away else each.state.lower()
        wanted = f" ({each.target} wanted)" if each.target and each.target != each.reference else ""
        table.add_row(
            escape(each.host),
            escape(each.alias),
            escape((each.reference or "-") + wanted),
            human_time(each.serving_since),
            state,
            escape(each.error[:80] or "-"),
            escape(each.name),
        )
    console().print(table)


def _document(each: Deployment) -> dict[str, Any]:
    return {
        **asdict(each),
        "serving_since": json_time(each.serving_since),
        "last_seen": json_time(each.last_seen),
    }
