"""`regsvc logs`: the log of a build, also while it is being written."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import click
from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from regsvc.cli.output import connect_from_context, console, emit_json_line, json_option
from regsvc.client.build_records import LogLine, Step
from regsvc.client.client import Client
from regsvc.errors import RegsvcError

_REFRESHES = 8
"""A second, of the live steps."""


@click.command()
@click.argument("build")
@click.option("-f", "--follow", is_flag=True, help="Go on until the build has ended.")
@click.option(
    "--after", metavar="SEQ", type=click.IntRange(min=0), default=0, help="Only lines after this number."
)
@click.option("--step", metavar="NAME", help="Only lines of the steps of this name.")
@json_option
@click.pass_context
def logs(ctx: click.Context, build: str, follow: bool, after: int, step: str | None, as_json: bool) -> None:
    """Print the log of BUILD ([NAMESPACE/]MODEL/builds/N), exactly as it was written.

    It goes on by itself where it was when the server is away for a while. With --json, one object a line: seq,
    time, step, stream, text, partial, and bytes (base64) when the line is not UTF-8.
    """
    client = connect_from_context(ctx)
    lines = client.logs(build, follow=follow, after=after, step=step)
    if as_json:
        for line in lines:
            emit_json_line(line.to_json())
    elif console().is_terminal:
        with _live_steps(client, build) if follow else contextlib.nullcontext():
            _print_decorated(lines)
    else:
        _print_exactly(lines, at_once=follow)


def _print_exactly(lines: Iterable[LogLine], at_once: bool) -> None:
    out = sys.stdout.buffer
    for line in lines:
        out.write(line.raw if line.partial else line.raw + b"\n")
        if at_once:
            out.flush()
    out.flush()


def _print_decorated(lines: Iterable[LogLine]) -> None:
    begun: set[str] = set()
    """Streams whose line goes on."""
    for line in lines:
        text = Text()
        if line.step and line.stream not in begun:
            text.append(f"{line.step} │ ", style="dim")
        # The line's own colours are kept; a progress bar drawn over itself shows its last state.
        text.append_text(Text.from_ansi(line.text))
        console().print(text, end="" if line.partial else "\n", soft_wrap=True)
        (begun.add if line.partial else begun.discard)(line.stream)


@contextlib.contextmanager
def _live_steps(client: Client, build: str) -> Iterator[None]:
    """Show the open steps under what is printed, and at the end all steps and how the build ended."""
    steps = _Steps()
    watcher = threading.Thread(target=steps.watch, args=(client, build), name="regsvc-steps", daemon=True)
    with Live(steps, console=console(), refresh_per_second=_REFRESHES):
        watcher.start()
        try:
            yield
            # The log has ended, so the build has, and its last update is on the way.
            watcher.join(timeout=2)
        finally:
            client.close()  # which ends the watch
            watcher.join()


class _Steps:
    """The steps of a build as they are known now; a rich renderable."""

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        self._state = ""
        self._spinner = Spinner("dots")

    def watch(self, client: Client, build: str) -> None:
        """Take updates until the build or the connection ends."""
        # The log itself tells of every trouble; grpc raises ValueError for a closed channel.
        with contextlib.suppress(RegsvcError, ValueError):
            for update in client.watch_build(build):
                # A new dict, since Live draws from a thread of its own.
                self._steps = {**self._steps, **{step.number: step for step in update.steps}}
                if update.build is not None:
                    self._state = update.build.state

    def __rich__(self) -> Group:
        ended = self._state not in ("", "RUNNING")
        shown = [step for step in self._steps.values() if ended or step.state == "RUNNING"]
        rows: list[Text | Spinner] = []
        for step in sorted(shown, key=lambda step: step.number):
            text = Text(f"{step.name} {_seconds(step):.1f} s", style="dim")
            if step.state == "RUNNING":
                self._spinner.update(text=text)
                rows.append(self._spinner if step is shown[-1] else text)
            else:
                mark = Text("✓ ", style="green") if step.state == "SUCCEEDED" else Text("✗ ", style="red")
                rows.append(mark + text)
        if ended:
            rows.append(Text(self._state, style="bold green" if self._state == "SUCCEEDED" else "bold red"))
        return Group(*rows)


def _seconds(step: Step) -> float:
    if step.started is None:
        return 0.0
    return ((step.ended or datetime.now(UTC)) - step.started).total_seconds()
