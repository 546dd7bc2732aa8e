"""`regsvc import hf`: models of a Hugging Face cache or folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from regsvc.cli.output import connect_from_context, emit_json, err_console, human_size, json_option
from regsvc.client.importing.hf import Imported
from regsvc.client.records import Progress


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--model", metavar="MODEL", help="Where it goes, [NAMESPACE/]MODEL, if DIR has one repository.")
@click.option("--namespace", metavar="NS", help="In place of the organisation.")
@click.option("--revision", metavar="REV", help="Only this commit, branch or tag.")
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and write nothing.")
@json_option
@click.pass_context
def hf(
    ctx: click.Context,
    folder: str,
    model: str | None,
    namespace: str | None,
    revision: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import the models in DIR: a Hugging Face cache, a repository or snapshot in it, or a model's folder.

    Each snapshot becomes a version of ORGANISATION/NAME, with its card, and its branches and tags become aliases. What
    is there already is not imported again. The status is 1 if a snapshot could not be imported.
    """
    client = connect_from_context(ctx)
    with _bar(quiet=as_json) as listener:
        report = client.import_hf(
            folder,
            model=model,
            namespace=namespace,
            revision=revision,
            dry_run=dry_run,
            progress=listener,
        )
    if as_json:
        emit_json({**asdict(report), "failed": report.failed})
    else:
        for each in report.snapshots:
            _say(each)
        for skipped in report.skipped:
            click.echo(f"{_shown(skipped.name)}: left out, {_shown(skipped.reason)}", err=True)
    if report.failed:
        ctx.exit(1)


def _say(each: Imported) -> None:
    source = each.repo + (f"@{each.revision[:12]}" if each.revision else "")
    if each.outcome == "failed":
        click.echo(f"{_shown(source)}: {_shown(each.reason)}", err=True)
        return
    line = f"{source}  {each.outcome}  {each.reference or each.model}"
    line += f"  {each.files} files, {human_size(each.bytes)}"
    if each.outcome == "imported":
        line += f"; sent {human_size(each.bytes_sent)}"
    if each.aliases:
        line += f"  {' '.join('@' + alias for alias in each.aliases)}"
    click.echo(_shown(line))
    for note in each.notes:
        click.echo(f"{_shown(source)}: {_shown(note)}", err=True)


def _shown(text: str) -> str:
    """Names of files and folders are anybody's: a terminal must not obey them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@contextlib.contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[str, Progress], None] | None]:
    """One bar, for the snapshot that is being pushed, on stderr when that is a terminal."""
    if quiet or not err_console().is_terminal:
        yield None
        return
    from rich import progress
    from rich.markup import escape

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=err_console(),
        transient=True,
    )
    with bar:
        task = bar.add_task("import", total=None)
        current = ""

        def listener(title: str, now: Progress) -> None:
            nonlocal current
            if title != current:
                current = title
                bar.reset(task, description=escape(_shown(title)))
            bar.update(task, completed=now.done, total=now.total)

        yield listener
