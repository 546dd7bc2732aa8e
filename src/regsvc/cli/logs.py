"""`regsvc logs`: the log of a build, also while it is being written."""

from __future__ import annotations

import contextlib
import functools
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
    if console().is_terminal and not as_json:
        decorated = _Decorated()
        # What is there already may be long, and each line printed above live steps draws them anew.
        for line in client.logs(build, after=after, step=step):
            decorated.write(line)
            after = line.seq
        sys.stdout.flush()
        if follow:
            with _live_steps(client, build):
                for line in client.logs(build, follow=True, after=after, step=step):
                    decorated.print(line)
        return
    lines = client.logs(build, follow=follow, after=after, step=step)
    if as_json:
        for line in lines:
            emit_json_line(line.to_json())
    else:
        _print_exactly(lines, at_once=follow)


def _print_exactly(lines: Iterable[LogLine], at_once: bool) -> None:
    out = sys.stdout.buffer
    for line in lines:
        out.write(line.raw if line.partial else line.raw + b"\n")
        if at_once:
            out.flush()
    out.flush()


class _Decorated:
    """Lines for a terminal, each behind the name of its step."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        """Streams whose line goes on."""

    def write(self, line: LogLine) -> None:
        """The quick way, where nothing is drawn below."""
        out = sys.stdout.buffer
        out.write(_rendered(self._prefix(line)) + line.raw)
        if not line.partial:
            out.write(b"\n")

    def print(self, line: LogLine) -> None:
        """The way for lines above live steps."""
        # The line's own colours are kept; a progress bar drawn over itself shows its last state.
        text = Text.assemble((self._prefix(line), "dim"), Text.from_ansi(line.text))
        console().print(text, end="" if line.partial else "\n", soft_wrap=True)

    def _prefix(self, line: LogLine) -> str:
        goes_on = line.stream in self._begun
        (self._begun.add if line.partial else self._begun.discard)(line.stream)
        return f"{line.step} │ " if line.step and not goes_on else ""


@functools.lru_cache(maxsize=128)
def _rendered(prefix: str) -> bytes:
    with console().capture() as captured:
        console().print(Text(prefix, style="dim"), end="", soft_wrap=True)
    return captured.get().encode()


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
