"""`regsvc metrics`, `define-metric`, `evaluate` and `plot`: metrics over time."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from regsvc import refs
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    emit_json_line,
    human_time,
    json_option,
    json_time,
)
from regsvc.cli.output import table as new_table
from regsvc.cli.pairs import metric_option
from regsvc.cli.references import whole_sources
from regsvc.cli.safe_console import harmless
from regsvc.client.client import Client
from regsvc.client.plotting import AXES, FORMATS
from regsvc.client.series import MetricValue
from regsvc.content.comparison import Direction
from regsvc.errors import NotFound

_SEALED = "sealed"
"""The source of what a push said."""
_SHOWN = 20
"""Metrics that an error names."""


@click.command()
@click.argument("ref")
@click.argument("key", required=False)
@click.option("--source", default="", metavar="NAME", help="Who measured.  [default: the build itself]")
@click.option("--max-points", type=click.IntRange(2), metavar="N", help="Those that show the shape best.")
@click.option(
    "-f", "--follow", is_flag=True, help="Print points of a BUILD as they come, until it has ended."
)
@json_option
@click.pass_context
def metrics(
    ctx: click.Context,
    *,
    ref: str,
    key: str | None,
    source: str,
    max_points: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """List the metric series of a version or build; with KEY the points of one.

    With --follow all points of a build ([NAMESPACE/]MODEL/builds/N), those of KEY if given, in the order in which
    they come; it goes on by itself when the server is away for a while. With --json, one object a line: key, value,
    step, time.
    """
    server, owner = refs.parse_source(ref)
    if follow and not isinstance(owner, refs.BuildName):
        raise click.UsageError("only a build can be followed: [NAMESPACE/]MODEL/builds/N")
    if follow and (source or max_points):
        raise click.UsageError("--follow prints all points of the build itself")
    client = connect_from_context(ctx, server)
    if follow:
        _follow(client, str(owner), key, as_json)
        return
    if key is not None:
        points = _points(client, ref, owner, key, source, max_points)
        if as_json:
            emit_json(
                [{"step": each.step, "value": each.value, "time": json_time(each.time)} for each in points]
            )
            return
        table = new_table("STEP", "VALUE", "TIME")
        for each in points:
            table.add_row(str(each.step), f"{each.value:.8g}", human_time(each.time))
        console().print(table)
        return
    found = client.metrics(ref)
    sealed = _sealed(client, ref, owner, {each.key for each in found if not each.source})
    if as_json:
        emit_json(
            [
                {**vars(each), "direction": each.direction.name, "last_time": json_time(each.last_time)}
                for each in found
            ]
            + [
                {
                    "key": name,
                    "source": _SEALED,
                    "count": 0,
                    "last": each.value,
                    "last_time": json_time(each.time),
                }
                for name, each in sealed.items()
            ]
        )
        return
    table = new_table(
        "METRIC", "SOURCE", "POINTS", "LAST", "STEP", "BEST", "STEP", "BETTER", "MIN", "MAX", "TIME"
    )
    for series in found:
        table.add_row(
            escape(series.key),
            escape(series.source or "-"),
            str(series.count),
            f"{series.last:.6g}",
            str(series.last_step),
            "-" if series.best is None else f"{series.best:.6g}",
            "-" if series.best_step is None else str(series.best_step),
            _better(series.direction),
            f"{series.min:.6g}",
            f"{series.max:.6g}",
            human_time(series.last_time),
        )
    for name, each in sealed.items():
        table.add_row(escape(name), _SEALED, "-", f"{each.value:.6g}", *["-"] * 6, human_time(each.time))
    console().print(table)


def _sealed(
    client: Client, ref: str, owner: refs.VersionRef | refs.BuildName, logged: set[str]
) -> dict[str, MetricValue]:
    """What a push said of a version, and no series tells."""
    if isinstance(owner, refs.BuildName):
        return {}
    version = client.version(ref)
    names = sorted(version.metrics.keys() - logged)
    return {name: MetricValue(0, version.metrics[name], version.created) for name in names}


def _points(
    client: Client,
    ref: str,
    owner: refs.VersionRef | refs.BuildName,
    key: str,
    source: str,
    max_points: int | None,
) -> list[MetricValue]:
    """The points of a series, or the one value that was sealed; an error names the metrics that there are."""
    try:
        return list(
            client.series(ref, key, source="" if source == _SEALED else source, max_points=max_points)
        )
    except NotFound:
        found = client.metrics(ref)
        sealed = _sealed(client, ref, owner, {each.key for each in found if not each.source})
        if key in sealed and source in ("", _SEALED):
            return [sealed[key]]
        names = [f"{each.key} of {each.source}" if each.source else each.key for each in found]
        there = ", ".join([*names, *(f"{name} (sealed)" for name in sealed)][:_SHOWN])
        if not there:
            raise
        what = f"{ref} has no metric '{key}'" + (f" of '{source}'" if source else "")
        raise NotFound(f"{what}; there are {there}", key=key) from None


def _follow(client: Client, build: str, key: str | None, as_json: bool) -> None:
    state = ""
    for update in client.watch_build(build):
        for point in update.metrics:
            if key is not None and point.key != key:
                continue
            if as_json:
                emit_json_line(point.to_json())
            else:
                # Not a table, since its columns are as wide as what is still to come.
                click.echo(
                    f"{human_time(point.time)}  {point.step:>8}  {harmless(point.key)}  {point.value:.8g}"
                )
        if update.build is not None:
            state = update.build.state
    click.echo(f"regsvc: build {build} {state}", err=True)


def _better(direction: Direction) -> str:
    return "-" if direction is Direction.UNKNOWN else direction.name.lower()


@click.command()
@click.argument("model")
@click.argument("key", required=False)
@click.argument("better", required=False, type=click.Choice([each.name.lower() for each in Direction]))
@json_option
@click.pass_context
def define_metric(ctx: click.Context, model: str, key: str | None, better: str | None, as_json: bool) -> None:
    """Say which values of a model's metric are better, whatever its name suggests; with MODEL alone list what was said.

    `unknown` takes it back: regsvc define-metric team/fraud cost_saved higher
    """
    client = connect_from_context(ctx, refs.parse_reference(model).server)
    if key is not None:
        if better is None:
            raise click.UsageError("say whether higher or lower values are better")
        client.define_metric(model, key, better)
        console().print(f"{escape(key)} of {escape(model)}: {better}")
        return
    found = client.metric_definitions(model)
    if as_json:
        emit_json({key: direction.name for key, direction in found.items()})
        return
    table = new_table("METRIC", "BETTER")
    for each, direction in found.items():
        table.add_row(escape(each), _better(direction))
    console().print(table)


@click.command()
@click.argument("ref")
@click.argument("source")
@metric_option
@click.option("--step", type=int, default=0, show_default=True, help="Such as a day or a batch.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="CSV with the columns key, value and perhaps step and time, or JSON objects with these, one a line.",
)
@click.pass_context
def evaluate(
    ctx: click.Context, ref: str, source: str, metrics: dict[str, float], step: int, file: str | None
) -> None:
    """Add metrics to a version that was published already, under SOURCE, the name of who measured.

    What was sealed with the version does not change: regsvc evaluate team/fraud@prod nightly --metric f1=0.81
    """
    if bool(metrics) == (file is not None):
        raise click.UsageError("give at least one --metric K=V, or a --file")
    if file is not None and step:
        raise click.UsageError("a --file has the steps of its points")
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    count = len(metrics)
    if file is not None:
        count = client.evaluate_file(ref, source, file)
    else:
        client.evaluate(ref, source, metrics, step=step)
    console().print(
        f"{count} {'point' if count == 1 else 'points'} of {escape(source)} added to {escape(ref)}"
    )


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="REF... METRIC")
@click.option(
    "-o",
    "--output",
    default="plot.png",
    show_default=True,
    metavar="FILE",
    help="Ends with .png, .svg or .pdf.",
)
@click.option("-m", "--metric", "more", multiple=True, metavar="METRIC", help="One more. Repeatable.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Who measured, '' the build itself. Repeatable.  [default: the build itself]",
)
@click.option("--by", "--x", "by", type=click.Choice(AXES), default="step", show_default=True)
@click.option("--log", is_flag=True, help="A logarithmic scale.")
@click.option("--title", default="", metavar="TEXT", help="In place of the metric and the model.")
@click.pass_context
def plot(
    ctx: click.Context,
    *,
    references: tuple[str, ...],
    output: str,
    more: tuple[str, ...],
    sources: tuple[str, ...],
    by: str,
    log: bool,
    title: str,
) -> None:
    """Draw METRIC of one or more versions or builds over steps or time, by matplotlib (regsvc[plot]).

    Each metric has a panel of its own. Where each REF has one value they are bars. A REF that begins with :, @ or
    /builds/ is of the first one's model: regsvc plot team/fraud:1 :2 loss
    """
    *names, key = references
    if not names:
        raise click.UsageError("give at least one REF and a METRIC")
    if Path(output).suffix.lower() not in FORMATS:
        raise click.BadParameter(f"it ends with one of {', '.join(FORMATS)}", param_hint="--output")
    names = whole_sources(names)
    client = connect_from_context(ctx, refs.parse_source(names[0])[0])
    missing = client.plot(names, [key, *more], output, sources=sources or "", by=by, log=log, title=title)
    for name in missing:
        click.echo(f"regsvc: {name} has none of the metrics and is left out", err=True)
    console().print(f"wrote {escape(output)}")
