"""`regsvc watch`: what changes in the registry, as it happens."""

from __future__ import annotations

import click
from rich.text import Text

from regsvc.cli.output import connect_from_context, console, emit_json_line, human_time, json_option
from regsvc.client.build_records import Event, short_name


@click.command()
@click.option(
    "--after",
    metavar="SEQ",
    type=click.IntRange(min=0),
    help="Begin after this event number; 0 for all that is kept. Without it: only what is new.",
)
@json_option
@click.pass_context
def watch(ctx: click.Context, after: int | None, as_json: bool) -> None:
    """Print every change of the registry as it happens, until interrupted.

    Goes on by itself where it was when the server is away for a while. With --json, one object a line: seq,
    time, kind, resource, reference, attributes.
    """
    client = connect_from_context(ctx)
    for event in client.watch(after=after):
        if as_json:
            emit_json_line(event.to_json())
        else:
            console().print(_for_people(event), soft_wrap=True)
            console().file.flush()


def _for_people(event: Event) -> Text:
    text = Text(f"{event.seq:>6} ", style="dim")
    text.append(f"{human_time(event.time)} ")
    text.append(f"{event.kind:<22} ", style="cyan")
    text.append(event.reference, style="bold")
    for key, value in sorted(event.attributes.items()):
        text.append(f"  {key}={short_name(value)}", style="dim")
    return text
