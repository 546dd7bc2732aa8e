"""`regsvc push` and `regsvc pull`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TextIO

import click

from regsvc import refs
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    err_console,
    human_size,
    json_option,
)
from regsvc.cli.pairs import metric_option, param_option, tag_option
from regsvc.cli.records import captured, record_options
from regsvc.cli.references import beside
from regsvc.client.records import Param, Progress

Listener = Callable[[Progress], None]


@click.command()
@click.argument("path", type=click.Path())
@click.argument("model")
@click.option("--alias", "aliases", multiple=True, metavar="A", help="Point an alias at it.  Repeatable.")
@param_option
@metric_option
@tag_option
@click.option("--description", default="", metavar="TEXT", help="What it is, for people.")
@record_options
@click.option("--build", "build_name", metavar="BUILD", help="The build that publishes it.")
@click.option("--follow-symlinks", is_flag=True, help="Also take what lies outside PATH.")
@click.option("--request-id", metavar="ID", help="The same id never makes two versions.")
@json_option
@click.pass_context
def push(
    ctx: click.Context,
    path: str,
    model: str,
    aliases: tuple[str, ...],
    params: Mapping[str, Param],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    description: str,
    card: TextIO | None,
    labels: tuple[str, ...],
    parents: Mapping[str, str],
    datasets: Mapping[str, str],
    framework: str,
    format: str,
    image: str,
    capture: bool,
    snapshot: bool,
    build_name: str | None,
    follow_symlinks: bool,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Store PATH, a folder or a file, as a new version of [NAMESPACE/]MODEL.

    Code (of the git repository you are in) and environment are recorded with it; see `regsvc record`.
    Only chunks that the server lacks are sent. After a disconnect, or a restart of the server, it goes on by
    itself; run it again after it was killed and it sends what is missing.
    """
    client = connect_from_context(ctx)
    own = str(
        refs.parse_reference(model).version.model
    )  # a parent of another server would be one of elsewhere
    with _bar("push", quiet=as_json) as listener:
        pushed = client.push(
            path,
            model,
            params=params,
            metrics=metrics,
            tags=tags,
            description=description,
            card=card.read() if card is not None else "",
            labels=labels,
            parents={beside(name, own): relation for name, relation in parents.items()},
            datasets=datasets,
            framework=framework,
            format=format,
            image=image,
            capture=False if build_name and not snapshot else captured(capture, snapshot),
            aliases=aliases,
            build=build_name,
            follow_symlinks=follow_symlinks,
            request_id=request_id,
            progress=listener,
        )
    if as_json:
        emit_json(
            {
                "reference": pushed.reference,
                "version": pushed.number,
                "digest": pushed.digest,
                "files": pushed.files,
                "bytes": pushed.bytes,
                "bytes_sent": pushed.bytes_sent,
                "chunks": pushed.chunks,
                "chunks_sent": pushed.chunks_sent,
                "aliases": list(pushed.aliases),
                "build": pushed.build,
                "seconds": round(pushed.seconds, 3),
            }
        )
        return
    console().print(
        f"[bold]{pushed.reference}[/bold]  {pushed.files} files, {human_size(pushed.bytes)};"
        f" sent {human_size(pushed.bytes_sent)} in {pushed.chunks_sent} of {pushed.chunks} chunks"
        f" in {pushed.seconds:.1f} s"
    )
    console().print(f"b3:{pushed.digest}")


@click.command()
@click.argument("ref")
@click.argument("dest", type=click.Path())
@click.option("--include", multiple=True, metavar="PATTERN", help="Only files that match.  Repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="No files that match.  Repeatable.")
@click.option("--hardlink", is_flag=True, help="Share files with the cache, for folders that are only read.")
@click.option("--verify", is_flag=True, help="Read what is there already, instead of trusting its times.")
@json_option
@click.pass_context
def pull(
    ctx: click.Context,
    ref: str,
    dest: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hardlink: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Fetch REF into the folder DEST, checking every digest.

    DEST is replaced in one step, and only if it is absent, empty, or was made by a pull and not changed since.
    Only chunks that are not there already are fetched; run it again after an interruption and it goes on.
    """
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    with _bar("pull", quiet=as_json) as listener:
        pulled = client.pull(
            ref,
            dest,
            include=include,
            exclude=exclude,
            hardlink=hardlink,
            verify=verify,
            progress=listener,
        )
    if as_json:
        emit_json({**asdict(pulled), "seconds": round(pulled.seconds, 3)})
        return
    count = f"{pulled.files} of {pulled.files + pulled.left_out}" if pulled.left_out else pulled.files
    console().print(
        f"[bold]{pulled.reference}[/bold]  {count} files, {human_size(pulled.bytes)} in {dest};"
        f" received {human_size(pulled.bytes_received)} in {pulled.seconds:.1f} s"
    )
    console().print(f"{'part of ' if pulled.left_out else ''}b3:{pulled.digest}")


@contextlib.contextmanager
def _bar(title: str, *, quiet: bool) -> Iterator[Listener | None]:
    """A progress bar with bytes, rate and time left, on stderr when that is a terminal."""
    if quiet or not err_console().is_terminal:
        yield None
        return
    from rich import progress

    bar = progress.Progress(
        progress.TextColumn(title),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("[dim]{task.fields[moved]} on the wire"),
        console=err_console(),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=None, moved="")

        def listener(now: Progress) -> None:
            bar.update(task, completed=now.done, total=now.total, moved=human_size(now.moved))

        yield listener
