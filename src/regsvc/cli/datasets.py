"""`regsvc dataset`: profile, list, show and compare datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from regsvc.cli.output import connect_from_context, console, emit_json, human_time, json_option, json_time
from regsvc.cli.output import table as new_table
from regsvc.cli.references import whole_datasets
from regsvc.client.datasets import ColumnDrift, Dataset
from regsvc.client.plotting import FORMATS
from regsvc.content.drift import verdict
from regsvc.content.profile import Column

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH = 20


@click.group()
def dataset() -> None:
    """Profile, list, show and compare datasets. DATASET is [NAMESPACE/]NAME[:N]."""


@dataset.command("log")
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.argument("name", metavar="[NAMESPACE/]NAME")
@click.option("--uri", default="", metavar="URI", help="Where it is, for people.")
@json_option
@click.pass_context
def log(ctx: click.Context, path: str, name: str, uri: str, as_json: bool) -> None:
    """Profile a CSV, Parquet or Arrow file and register it. Of its rows only the profile leaves this machine."""
    found = connect_from_context(ctx).log_dataset(path, name, uri=uri)
    if as_json:
        emit_json(dataset_document(found))
    else:
        console().print(f"{escape(found.reference)}  {found.rows:,} rows, {found.columns} columns")
        console().print(f"b3:{found.digest}")


@dataset.command("ls")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List all datasets by their latest version."""
    found = list(connect_from_context(ctx).datasets())
    if as_json:
        emit_json([dataset_document(each) for each in found])
        return
    table = new_table("DATASET", "CREATED", "ROWS", "COLUMNS", "URI")
    for each in found:
        table.add_row(
            escape(each.reference),
            human_time(each.created),
            f"{each.rows:,}",
            str(each.columns),
            escape(each.uri),
        )
    console().print(table)


@dataset.command("show")
@click.argument("ref", metavar="DATASET")
@json_option
@click.pass_context
def show(ctx: click.Context, ref: str, as_json: bool) -> None:
    """Show one version of a dataset, its columns, and who used it."""
    client = connect_from_context(ctx)
    found = client.dataset(ref)
    users = client.dataset_users(found.reference)
    if as_json:
        emit_json({**dataset_document(found), "users": [asdict(each) for each in users]})
        return
    console().print(f"{escape(found.reference)}  {found.rows:,} rows, {human_time(found.created)}")
    console().print(f"b3:{found.digest}")
    table = new_table("COLUMN", "TYPE", "COUNT", "NULLS", "DISTINCT", "MIN", "MEDIAN", "MAX", "DISTRIBUTION")
    for column in found.profile.columns if found.profile else ():
        table.add_row(*map(escape, _cells(column)))
    console().print(table)
    for user in users:
        split = f" ({user.split})" if user.split else ""
        console().print(f"[dim]used by[/dim] {escape(user.reference + split)}")


@dataset.command("compare")
@click.argument("before", metavar="DATASET")
@click.argument("after", metavar="DATASET")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Also draw the columns that drifted most, by PSI; ends with .png, .svg or .pdf (regsvc[plot]).",
)
@json_option
@click.pass_context
def compare(ctx: click.Context, before: str, after: str, output: str | None, as_json: bool) -> None:
    """Show what changed between two datasets: schema, rows, and the drift of each column, the largest first.

    :N as the second is a version of the first: regsvc dataset compare team/transactions:1 :2
    """
    if output is not None and Path(output).suffix not in FORMATS:
        raise click.BadParameter(f"it ends with one of {', '.join(FORMATS)}", param_hint="--output")
    before, after = whole_datasets([before, after])
    client = connect_from_context(ctx)
    found = client.compare_datasets(before, after)
    if output is not None:
        client.plot_drift(before, after, output)
    if as_json:
        document = asdict(found)
        for column in document["columns"]:
            column["verdict"] = verdict(column["psi"]) or None
        document["before"], document["after"] = dataset_document(found.before), dataset_document(found.after)
        emit_json(document)
        return
    console().print(
        f"{escape(found.before.reference)} -> {escape(found.after.reference)}:"
        f" {found.before.rows:,} -> {found.after.rows:,} rows"
    )
    for name in found.added:
        console().print(f"[green]+ {escape(name)}[/green]")
    for name in found.removed:
        console().print(f"[red]- {escape(name)}[/red]")
    for name, old, new in found.retyped:
        console().print(f"~ {escape(name)}: {escape(old)} -> {escape(new)}")
    table = new_table("COLUMN", "DRIFT", "PSI", "KS", "JS", "NULLS", "BEFORE", "AFTER")
    for drift in found.columns:
        table.add_row(*map(escape, _drift_cells(drift)))
    console().print(table)
    if output is not None:
        console().print(f"wrote {escape(output)}")


def dataset_document(found: Dataset) -> dict[str, Any]:
    """For `--json`."""
    return {**asdict(found), "created": json_time(found.created)}


def _cells(column: Column) -> list[str]:
    distinct = "" if column.distinct is None else f"{'~' if column.approximate else ''}{column.distinct:,}"
    numbers = [column.min, column.quantiles.get("0.5"), column.max]
    shown = ["" if number is None else f"{number:.6g}" for number in numbers]
    picture = _bars(column.bins) if column.bins else ", ".join(value[:20] for value, _ in column.top[:3])
    return [column.name, column.type, f"{column.count:,}", f"{column.nulls:,}", distinct, *shown, picture]


def _drift_cells(drift: ColumnDrift) -> list[str]:
    numbers = ["-" if number is None else f"{number:.3f}" for number in (drift.psi, drift.ks, drift.js)]
    nulls = f"{100 * drift.nulls_before:.1f} -> {100 * drift.nulls_after:.1f} %"
    highest = max((*drift.before, *drift.after), default=0.0)
    return [
        drift.column,
        verdict(drift.psi) or "-",
        *numbers,
        nulls,
        *(_bars(shares, highest) for shares in (drift.before, drift.after)),
    ]


def _bars(counts: Sequence[float], highest: float = 0.0) -> str:
    """A histogram in one line, at most 20 characters; two of them have one scale if `highest` is that of both."""
    group = -(-len(counts) // _WIDTH) or 1
    sums = [sum(counts[place : place + group]) for place in range(0, len(counts), group)]
    top = (highest if group == 1 else 0.0) or max(sums, default=0.0) or 1.0
    return "".join(_BLOCKS[-(-int(1000 * (len(_BLOCKS) - 1) * value / top) // 1000)] for value in sums)
