"""`regsvc watch`: what changes in the registry, as it happens, printed or handed to a command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
from rich.text import Text

from regsvc.cli.output import connect_from_context, console, emit_json_line, human_time, json_option
from regsvc.client.build_records import Event, short_name

_BY_SIGNAL = 128
"""What shells add to the number of the signal that ended a command."""


@click.command()
@click.option(
    "--after",
    metavar="SEQ",
    type=click.IntRange(min=0),
    help="Begin after this event number; 0 for all that is kept. Without it: only what is new.",
)
@click.option(
    "--filter", metavar="EXPR", default="", help="Only events that this CEL condition lets through."
)
@click.option("--exec", "command", metavar="CMD", help="Run CMD by the shell for each event, one at a time.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the position in FILE, and go on from there when started again.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "continue"]),
    default="stop",
    show_default=True,
    help="When CMD fails: end with its status, or go on with the next event.",
)
@json_option
@click.pass_context
def watch(
    ctx: click.Context,
    after: int | None,
    filter: str,
    command: str | None,
    state: Path | None,
    on_error: str,
    as_json: bool,
) -> None:
    """Print every change of the registry as it happens, until interrupted.

    Goes on by itself where it was when the server is away for a while. With --json, one object a line: seq,
    time, kind, resource, reference, attributes.

    With --exec nothing is printed: CMD gets REGSVC_EVENT_KIND, REGSVC_EVENT_RESOURCE and REGSVC_EVENT_SEQ, and that
    JSON object on its standard input. With --state each event is dealt with at least once, however often this
    command is killed and started again: the event that was being dealt with comes again.
    """
    client = connect_from_context(ctx)
    position: Callable[[int], None] | None = None
    if state is not None:
        kept = _Position(state)
        after = kept.seq if kept.seq is not None else after
        position = kept.move
    for event in client.watch(after=after, filter=filter, position=position):
        if command is not None:
            status = _run(command, event)
            if status and on_error == "stop":
                ctx.exit(status)
        elif as_json:
            emit_json_line(event.to_json())
        else:
            console().print(_for_people(event), soft_wrap=True)
            console().file.flush()


class _Position:
    """The number of the last event that was dealt with, in a file that is whole after any crash."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            text = file.read_text().strip()
        except FileNotFoundError:
            text = ""
            if not file.parent.is_dir():
                raise click.ClickException(f"there is no folder {file.parent}") from None
        except UnicodeDecodeError:
            text = "?"
        if text and not (text.isascii() and text.isdecimal()):
            raise click.ClickException(f"{file} is not a file of --state: it holds no event number")
        self.seq = int(text) if text else None

    def move(self, seq: int) -> None:
        if seq == self.seq:
            return
        new = self._file.with_name(self._file.name + ".new")
        with new.open("w") as file:
            file.write(f"{seq}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        self.seq = seq


def _run(command: str, event: Event) -> int:
    """Run the command for an event; gives its status, as a shell would."""
    done = subprocess.run(
        command,
        shell=True,
        check=False,
        input=json.dumps(event.to_json(), ensure_ascii=False) + "\n",
        text=True,
        encoding="utf-8",
        env={
            **os.environ,
            "REGSVC_EVENT_KIND": event.kind,
            "REGSVC_EVENT_RESOURCE": event.resource,
            "REGSVC_EVENT_SEQ": str(event.seq),
        },
    )
    status = done.returncode if done.returncode >= 0 else _BY_SIGNAL - done.returncode
    if status:
        click.echo(f"regsvc: the command failed with status {status} for event {event.seq}", err=True)
    return status


def _for_people(event: Event) -> Text:
    text = Text(f"{event.seq:>6} ", style="dim")
    text.append(f"{human_time(event.time)} ")
    text.append(f"{event.kind:<22} ", style="cyan")
    text.append(event.reference, style="bold")
    for key, value in sorted(event.attributes.items()):
        text.append(f"  {key}={short_name(value)}", style="dim")
    return text
