"""What every command shares: where results and progress go, JSON, human sizes and times, one-line errors.

Results go to stdout, progress and errors to stderr; colour and bars only to a terminal.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import click

from regsvc.errors import NameInvalid, RegsvcError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from regsvc.client.client import Client

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""

_PATIENT = 1.0
"""Seconds that a server may take to be reached, before someone at a terminal is told."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """The `--json` flag of reading commands; the function gets it as `as_json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    return option(command)


def emit_json(document: object) -> None:
    """Print one JSON document, indented."""
    click.echo("\n".join(map(_escaped, json.dumps(document, indent=2, ensure_ascii=False).split("\n"))))


def emit_json_line(document: object) -> None:
    """Print one JSON object on a line of its own and flush it: for streams."""
    sys.stdout.write(_escaped(json.dumps(document, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def emit_bytes(data: bytes) -> None:
    """Write bytes as they are; to a terminal as text, without what would control it."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        return
    from regsvc.cli.safe_console import harmless

    click.echo(harmless(data.decode("utf-8", "replace")), nl=not data.endswith(b"\n"))


@functools.cache
def console() -> Console:
    """Where results go: stdout. Never wraps or colours when it is not a terminal."""
    from regsvc.cli.safe_console import SafeConsole

    # Tables must not be cut to 80 columns in a pipe.
    return SafeConsole(highlight=False, soft_wrap=not sys.stdout.isatty(), width=_width(sys.stdout.isatty()))


def table(*titles: str) -> Table:
    """A plain table whose cells are never wrapped."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for title in titles:
        made.add_column(title, no_wrap=True)
    return made


@functools.cache
def err_console() -> Console:
    """Where progress goes: stderr."""
    from regsvc.cli.safe_console import SafeConsole

    return SafeConsole(stderr=True, highlight=False)


def connect_from_context(ctx: click.Context, server: str | None = None) -> Client:
    """The client of this run, closed when the command ends.

    The server is `--server`, else the one that a reference names, else REGSVC_ENDPOINT, else the default.
    """
    from regsvc.client.client import connect

    root = ctx.find_root()
    chosen = root.params.get("server")
    if root.get_parameter_source("server") is not click.core.ParameterSource.COMMANDLINE and server:
        chosen = server
    try:
        client = connect(chosen)
    except NameInvalid as error:
        raise click.BadParameter(error.message, param_hint="--server (REGSVC_ENDPOINT)") from None
    if sys.stderr.isatty():
        root.with_resource(_telling_of_waits(client))
    return root.with_resource(client)


@contextlib.contextmanager
def _telling_of_waits(client: Client) -> Iterator[None]:
    """Says once, on stderr, that a server is waited for: it may take long to give one up."""

    def tell() -> None:
        for target in client.waiting_for():
            err_console().print(f"regsvc: waiting for {target}", markup=False)

    timer = threading.Timer(_PATIENT, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def human_size(size: int) -> str:
    """Bytes for people: `90.9 MiB`."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def human_time(moment: datetime | None) -> str:
    """Local date and time for people, or a dash."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def json_time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, as protobuf's JSON mapping writes it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def run(group: click.Command, args: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the right status and at most one line of error."""
    try:
        status = group.main(args=args, prog_name="regsvc", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "regsvc"
        _complain(f"{error.format_message()} (see '{where} --help')")
        status = error.exit_code
    except click.ClickException as error:
        status = _complain(error.format_message())
    except RegsvcError as error:
        status = _complain(error.message)
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone, as `head` does. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:
        status = _complain(_os_error(error))
    sys.exit(status if isinstance(status, int) else 0)


def _escaped(line: str) -> str:
    """JSON that says the same, with \\u for what would control a terminal or turn the line around."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def _complain(message: str) -> int:
    from regsvc.cli.safe_console import harmless

    line = harmless(" ".join(message.split()))
    click.echo(f"regsvc: {line}", err=True)
    return 1


def _os_error(error: OSError) -> str:
    where = f": {os.fsdecode(error.filename)}" if error.filename is not None else ""
    return f"{error.strerror or error}{where}"


def _width(is_terminal: bool) -> int | None:
    return None if is_terminal else 10_000
