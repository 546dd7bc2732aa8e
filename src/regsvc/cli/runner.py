"""`regsvc runner`: takes queued builds and executes them on this machine."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from types import FrameType

import click

from regsvc.cli.output import connect_from_context, emit_json_line, json_option
from regsvc.cli.safe_console import harmless
from regsvc.client.working.build_runner import DEFAULT_GRACE, BuildRunner, Happening


@click.command()
@click.option(
    "--labels",
    default="",
    metavar="A,B",
    help="What this machine has; builds that ask for more are not taken.",
)
@click.option("--slots", type=click.IntRange(1, 1000), default=1, show_default=True, help="Builds at once.")
@click.option("--name", metavar="NAME", help="How it is called.  [default: this machine's name]")
@click.option(
    "--work",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where work folders are made.  [default: ~/.local/state/regsvc/runner]",
)
@click.option(
    "--pass-env", multiple=True, metavar="NAME", help="A variable of the runner that steps see. Repeatable."
)
@click.option("--once", is_flag=True, help="Take one build, and end with it.")
@click.option("--keep-failed", is_flag=True, help="Leave the work folder of a build that failed.")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=DEFAULT_GRACE,
    show_default=True,
    metavar="SECONDS",
    help="How long a step may take to end when it is asked to.",
)
@json_option
@click.pass_context
def runner(
    ctx: click.Context,
    *,
    labels: str,
    slots: int,
    name: str | None,
    work: str | None,
    pass_env: tuple[str, ...],
    once: bool,
    keep_failed: bool,
    grace: float,
    as_json: bool,
) -> int:
    """Take queued builds and execute them on this machine, until it is told to end.

    SIGINT or SIGTERM: no more builds are taken, and it ends when those that run are done; a second one cancels them.
    While the server is away, steps go on. With --once the exit status is 1 when the build did not succeed.
    """
    last: list[Happening] = []

    def happened(found: Happening) -> None:
        _say(found, as_json)
        if found.state in ("SUCCEEDED", "FAILED", "CANCELLED", "LOST"):
            last[:] = [found]

    made = connect_from_context(ctx).runner(
        labels=[each.strip() for each in labels.split(",") if each.strip()],
        slots=slots,
        name=name,
        work=work,
        pass_env=pass_env,
        once=once,
        keep_failed=keep_failed,
        grace=grace,
        on_happening=happened,
    )
    _end_on_signals(made)
    made.run()
    return 1 if once and not (last and last[0].state == "SUCCEEDED") else 0


def _end_on_signals(made: BuildRunner) -> None:
    asked = threading.Event()

    def ended(number: int, frame: FrameType | None) -> None:
        end = made.stop if asked.is_set() else made.drain
        asked.set()
        threading.Thread(target=end, daemon=True).start()  # the handler must not wait for a lock

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ended)


def _say(found: Happening, as_json: bool) -> None:
    if as_json:
        emit_json_line(asdict(found))
        return
    text = f"{found.state.lower():<9}"
    if found.build:
        text += f"  {found.build}"
    if found.versions:
        text += f"  published {', '.join(found.versions)}"
    if found.reason:
        text += f"  {found.reason}"
    if found.folder:
        text += f"  kept in {found.folder}"
    click.echo(harmless(text.rstrip()))
