"""`regsvc import mlflow`."""

from __future__ import annotations

import click
from rich.markup import escape

from regsvc.cli.output import connect_from_context, console, emit_json, err_console, json_option
from regsvc.client.importing.mlflow_import import RUNS
from regsvc.client.importing.mlflow_report import MlflowReport
from regsvc.refs import DEFAULT_NAMESPACE


@click.command()
@click.argument("uri")
@click.option("--namespace", default=DEFAULT_NAMESPACE, show_default=True, metavar="NS", help="Where to.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this registered model. Repeatable."
)
@click.option(
    "--runs",
    type=click.Choice(RUNS),
    help="Which become builds: all (the default), those that made versions (the default with --model), or none.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would come in.")
@json_option
@click.pass_context
def mlflow(
    ctx: click.Context,
    uri: str,
    namespace: str,
    models: tuple[str, ...],
    runs: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring models, versions and runs of the MLflow store URI: a folder (./mlruns) or sqlite:///FILE.

    The store is only read. Importing again adds what is new, also after an import that was killed. Params that
    spell numbers become numbers; metrics keep their steps and times. The status is 1 when something did not come in.
    """
    report = connect_from_context(ctx).import_mlflow(
        uri,
        namespace=namespace,
        models=models,
        runs=runs,
        dry_run=dry_run,
        progress=lambda line: err_console().print(escape(line)),
    )
    if as_json:
        emit_json(report.to_json())
    else:
        _print(report)
    if report.failures:
        ctx.exit(1)


def _print(report: MlflowReport) -> None:
    out = console()
    for line in report.notices:
        out.print(f"[dim]note:[/dim] {escape(line)}")
    for line in report.failures:
        out.print(f"[red]failed:[/red] {escape(line)}")
    added = "would be added" if report.dry_run else "added"
    out.print(
        f"{len(report.versions)} versions and {len(report.builds)} builds {added},"
        f" {report.versions_present} and {report.builds_present} were there already"
    )
    if not report.dry_run:
        out.print(f"{report.points:,} metric points sent, {len(report.aliases)} aliases set")
    if report.failures:
        out.print(f"[red]{len(report.failures)} failed[/red]")
