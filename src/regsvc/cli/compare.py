"""`regsvc compare`: what differs between versions and builds, for people, programs, pull requests and browsers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from regsvc import refs
from regsvc.cli.code import Diff, code_diffs
from regsvc.cli.comparison import Section, sections, short_name
from regsvc.cli.comparison_json import comparison_document
from regsvc.cli.output import connect_from_context, console, emit_json
from regsvc.cli.references import whole_sources
from regsvc.cli.reports import html, markdown
from regsvc.content.comparison import Comparison

_WIDEST = 60
"""Characters of a cell; Markdown and HTML have all of it."""
_POINTS = 200
"""Of one curve: more than a picture of that width shows."""


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="REF REF...")
@click.option("--all", "include_same", is_flag=True, help="Also what is the same in all.")
@click.option("--no-tensors", is_flag=True, help="Leave out the tensors, whose bytes may have to be read.")
@click.option("--json", "form", flag_value="json", help="Print JSON, for programs.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown, for a pull request.")
@click.option("--html", "page", metavar="FILE", type=click.Path(dir_okay=False), help="Write one HTML page.")
@click.option(
    "--repository",
    metavar="DIR",
    default=".",
    type=click.Path(file_okay=False),
    help="Where to look for the commits' diff.  [default: .]",
)
@click.pass_context
def compare(
    ctx: click.Context,
    references: tuple[str, ...],
    include_same: bool,
    no_tensors: bool,
    form: str | None,
    page: str | None,
    repository: str,
) -> None:
    """Show what differs between 2 to 16 versions or builds; the first is what the others are compared with.

    A REF that begins with :, @ or /builds/ is of the first one's model: regsvc compare team/fraud@prod @candidate
    """
    if len(references) < 2:
        raise click.UsageError("give at least two REFs: what differs is told between them")
    names = whole_sources(references)
    client = connect_from_context(ctx, refs.parse_source(names[0])[0])
    points = _POINTS if page is not None or form == "json" else 0
    found = client.compare(*names, include_same=include_same, tensors=not no_tensors, series_points=points)
    diffs = code_diffs(client, found, Path(repository))
    if page is not None:
        Path(page).write_text(html(found, diffs), encoding="utf-8")
        click.echo(f"wrote {page}")
    elif form == "json":
        emit_json(comparison_document(found, diffs))
    elif form == "markdown":
        click.echo(markdown(found, diffs), nl=False)
    else:
        _print(found, diffs)


def _print(found: Comparison, diffs: Sequence[Diff]) -> None:
    names = [short_name(subject.name) for subject in found.subjects]
    for section in sections(found):
        console().print(f"[bold]{escape(section.title)}[/bold]")
        console().print(_table(section, names))
        console().print()
    for diff in diffs:
        console().print(f"[bold]{escape(diff.title)}[/bold]")
        click.echo(diff.shown)  # whole, with the blanks at the ends of its lines
    for note in found.notes:
        console().print(f"[dim]note: {escape(note)}[/dim]")


def _table(section: Section, names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", *names):
        table.add_column(escape(title), no_wrap=True)
    for row in section.rows:
        texts = _cut([cell.text for cell in row.cells])
        cells = [_shown(text, cell.best) for text, cell in zip(texts, row.cells, strict=True)]
        table.add_row(f"[dim]{escape(_cut([row.name])[0])}[/dim]", *cells)
    return table


def _shown(text: str, best: bool) -> str:
    return f"[bold green]{escape(text)} *[/bold green]" if best else escape(text)


def _cut(texts: Sequence[str]) -> list[str]:
    """Each at most `_WIDEST` wide; where they begin alike and are cut, from about where they differ."""
    lines = [" ".join(text.split()) for text in texts]
    long = [line for line in lines if len(line) > _WIDEST]
    alike = len(os.path.commonprefix(long)) if len(set(long)) > 1 else 0  # noqa: RUF071 - texts, no paths
    skipped = max(0, alike - _WIDEST // 3)
    return [_within(f"…{line[skipped:]}" if skipped and len(line) > _WIDEST else line) for line in lines]


def _within(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
