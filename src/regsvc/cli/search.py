"""`regsvc search`: find versions, builds, models and datasets by an expression."""

from __future__ import annotations

import re

import click
from rich.markup import escape
from rich.table import Table

from regsvc.cli.datasets import dataset_document
from regsvc.cli.models import model_document, version_document
from regsvc.cli.output import connect_from_context, console, emit_json, human_time, json_option
from regsvc.cli.safe_console import harmless
from regsvc.cli.search_hints import hints
from regsvc.client.build_records import Build
from regsvc.client.datasets import Dataset
from regsvc.client.records import Version
from regsvc.client.searching import KINDS, Found

_SHOWN = re.compile(r"(metrics|params|tags)(?:\.(\w+)|\[\"([^\"]+)\"\])")

_STATUS = {"versions": "ALIASES", "builds": "STATE", "models": "ALIASES", "datasets": "ROWS"}


@click.command()
@click.argument("filter_", metavar="[FILTER]", default="")
@click.option("--kind", type=click.Choice(list(KINDS)), default="versions", show_default=True)
@click.option(
    "--in", "within", default="", metavar="MODEL", help="Only of this model (or dataset), or of NAMESPACE/."
)
@click.option(
    "--order-by",
    default="",
    metavar="FIELD",
    help="Or 'FIELD desc'.  [default: newest first]",
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most results.")
@json_option
@click.pass_context
def search(
    ctx: click.Context, filter_: str, kind: str, within: str, order_by: str, limit: int, as_json: bool
) -> None:
    """Find versions, builds, models or datasets by FILTER, an expression of CEL.

    \b
    regsvc search 'metrics.f1 > 0.7 && tags.stage == "eval"' --order-by 'metrics.f1 desc'
    regsvc search 'packages["torch"].startsWith("2.") && "prod" in aliases'
    regsvc search 'evaluations.exists(e, e.source == "nightly" && e.key == "f1" && e.value > 0.7)'
    regsvc search 'text("credit card fraud")' --kind models
    regsvc search 'users.exists(u, u.model == "team/fraud")' --kind datasets --order-by 'rows desc'
    """
    client = connect_from_context(ctx)
    found = list(client.search(filter_, kind=kind, within=within, order_by=order_by, limit=limit))
    if not found:
        for hint in hints(client, f"{filter_} {order_by}", kind, within):
            click.echo(f"regsvc: {harmless(hint)}", err=True)
    if as_json:
        emit_json([_document(each) for each in found])
        return
    asked = list(dict.fromkeys((table, a or b) for table, a, b in _SHOWN.findall(f"{filter_} {order_by}")))
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "CREATED", _STATUS[kind], *(key for _, key in asked)):
        table.add_column(title, no_wrap=True)
    for each in found:
        values = [_value(each, map_name, key) for map_name, key in asked]
        table.add_row(
            escape(_name(each)), human_time(each.created), escape(_status(each)), *map(escape, values)
        )
    console().print(table)


def _document(found: Found) -> object:
    if isinstance(found, Version):
        return version_document(found)
    if isinstance(found, Build):
        return {key: value for key, value in found.to_json().items() if key != "steps"}
    if isinstance(found, Dataset):
        return dataset_document(found)
    return model_document(found)


def _name(found: Found) -> str:
    return found.reference if isinstance(found, Version | Dataset) else found.name


def _status(found: Found) -> str:
    if isinstance(found, Version):
        return " ".join(found.aliases)
    if isinstance(found, Build):
        return found.state
    if isinstance(found, Dataset):
        return f"{found.rows:,}"
    return " ".join(f"{alias.alias}:{alias.reference.rpartition(':')[2]}" for alias in found.aliases)


def _value(found: Found, map_name: str, key: str) -> str:
    value = getattr(found, map_name, {}).get(key, "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
