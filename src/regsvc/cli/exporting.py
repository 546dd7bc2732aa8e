"""`regsvc export`, `regsvc import archive` and `regsvc mirror`."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    emit_json_line,
    err_console,
    human_size,
    json_option,
)
from regsvc.client.transferring.report import Moved, TransferReport

_OnBytes = Callable[[TransferReport], None]

into_option = click.option(
    "--into", default="", metavar="NAMESPACE[/MODEL]", help="Put everything under another name."
)


@click.command()
@click.argument("names", nargs=-1, metavar="[REF|MODEL]... FILE|SERVER", required=True)
@click.option("--all", "everything", is_flag=True, help="Everything, in place of names.")
@into_option
@json_option
@click.pass_context
def export(ctx: click.Context, names: tuple[str, ...], everything: bool, into: str, as_json: bool) -> None:
    """Bring models with all that belongs to them into an archive FILE, or into another SERVER.

    MODEL is a whole model, with its builds, logs, metrics, aliases and their history; REF with :N, @ALIAS or
    @b3:DIGEST one version. SERVER is regsvc://HOST[:PORT], and - is stdout. Only what is missing travels; run again, it
    goes on where it ended. The status is 1 when something did not come in: a name that is taken by something else stays
    as it is.
    """
    *what, destination = names
    if everything == bool(what):
        raise click.UsageError("name what to export, or say --all, and where to")
    client = connect_from_context(ctx)
    if destination.startswith("regsvc://"):
        with _bar(quiet=as_json) as listener:
            report = client.export_to(destination, what, into=into, on_bytes=listener)
        _finish(ctx, report, as_json=as_json)
        return
    if into:
        raise click.UsageError("--into is for a server; of an archive, say it when it is imported")
    with _bar(quiet=as_json or destination == "-") as listener:
        archive = sys.stdout.buffer if destination == "-" else destination
        report = client.export_archive(archive, what, on_bytes=listener)
    if as_json and destination != "-":
        emit_json(_document(report))
        return
    out = err_console() if destination == "-" else console()
    out.print(
        f"{report.items} items and {report.chunks_sent} chunks, {human_size(report.bytes_sent)},"
        f" in {report.seconds:.1f} s",
        markup=False,
    )
    _print_left_out(report)


@click.command()
@click.argument("file", type=click.Path())
@into_option
@json_option
@click.pass_context
def archive(ctx: click.Context, file: str, into: str, as_json: bool) -> None:
    """Bring what an archive FILE of `regsvc export` has into this server; - is stdin.

    What is there already is not sent again. The status is 1 when something did not come in: a name that is taken by
    something else stays as it is. Of a damaged archive comes in, whole, what stands before the damage.
    """
    client = connect_from_context(ctx)
    with _bar(quiet=as_json) as listener:
        source = sys.stdin.buffer if file == "-" else file
        report = client.import_archive(source, into=into, on_bytes=listener)
    _finish(ctx, report, as_json=as_json)


@click.command()
@click.option("--from", "source", required=True, metavar="SERVER", help="The server that is followed.")
@click.option("--to", "target", metavar="SERVER", help="The server that follows; by default as of --server.")
@click.option("--filter", "filter", default="", metavar="CEL", help="Only what this lets through.")
@click.option("--once", is_flag=True, help="End when it is where the source is now.")
@click.option("--full", is_flag=True, help="Compare all of it first, wherever the mirror is.")
@json_option
@click.pass_context
def mirror(
    ctx: click.Context, source: str, target: str | None, filter: str, once: bool, full: bool, as_json: bool
) -> None:
    """Keep a server equal to another one: all of it, then what changes there, until it is stopped.

    --filter is a condition on model and resource: 'model.startsWith("team/")'. What is changed on the server that
    follows is never overwritten: it is printed as a conflict, and all else goes on. With --once the status is 1 then.
    """
    client = connect_from_context(ctx)
    if target is not None:
        client = ctx.find_root().with_resource(type(client)(target))
    stop = _stopping()
    with contextlib.suppress(KeyboardInterrupt):
        report = client.mirror(
            source,
            filter=filter,
            once=once,
            full=full,
            on_moved=_say_as_json if as_json else _say,
            on_caught_up=(lambda seq: emit_json_line({"seq": seq})) if as_json else None,
            stopped=stop,
        )
        if not as_json:
            _summary(report)
        if once and report.failed:
            ctx.exit(1)


def _stopping() -> Callable[[], bool]:
    """SIGTERM ends as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    return lambda: False


def _finish(ctx: click.Context, report: TransferReport, *, as_json: bool) -> None:
    if as_json:
        emit_json(_document(report))
    else:
        for each in report.failed:
            _say(each)
        _summary(report)
        _print_left_out(report)
    if report.failed:
        ctx.exit(1)


def _summary(report: TransferReport) -> None:
    line = f"{len(report.created)} items came in, {report.present} were there already"
    if report.failed:
        line += f", {len(report.failed)} did not come in"
    line += f"; sent {human_size(report.bytes_sent)} in {report.chunks_sent} of {report.chunks} chunks"
    console().print(f"{line} in {report.seconds:.1f} s", markup=False)


def _say(moved: Moved) -> None:
    line = f"{moved.outcome}  {moved.kind}  {moved.name}"
    if moved.failed:
        err_console().print(f"{line}: {moved.message}", markup=False, soft_wrap=True)
    elif moved.outcome == "created":
        console().print(line, markup=False, soft_wrap=True)


def _say_as_json(moved: Moved) -> None:
    if moved.failed or moved.outcome == "created":
        emit_json_line(asdict(moved))


def _print_left_out(report: TransferReport) -> None:
    for each in report.left_out:
        err_console().print(f"left out  {each.name}: {each.reason}", markup=False, soft_wrap=True)


def _document(report: TransferReport) -> dict[str, object]:
    return {**asdict(report), "seconds": round(report.seconds, 3)}


@contextlib.contextmanager
def _bar(*, quiet: bool) -> Iterator[_OnBytes | None]:
    """What was sent so far, on stderr when that is a terminal; how much there is nobody knows."""
    if quiet or not err_console().is_terminal:
        yield None
        return
    with err_console().status("") as status:
        yield lambda report: status.update(f"{human_size(report.bytes_sent)} in {report.chunks_sent} chunks")
