"""`regsvc search`: find versions, builds and models by an expression."""

from __future__ import annotations

import re

import click
from rich.markup import escape
from rich.table import Table

from regsvc.cli.models import model_document, version_document
from regsvc.cli.output import connect_from_context, console, emit_json, human_time, json_option
from regsvc.client.build_records import Build
from regsvc.client.records import Model, Version

_SHOWN = re.compile(r"(metrics|params|tags)(?:\.(\w+)|\[\"([^\"]+)\"\])")


@click.command()
@click.argument("filter_", metavar="[FILTER]", default="")
@click.option(
    "--kind", type=click.Choice(["versions", "builds", "models"]), default="versions", show_default=True
)
@click.option("--in", "within", default="", metavar="MODEL", help="Only of this model, or of NAMESPACE/.")
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
    """Find versions, builds or models by FILTER, an expression of CEL.

    \b
    regsvc search 'metrics.f1 > 0.7 && tags.stage == "eval"' --order-by 'metrics.f1 desc'
    regsvc search 'packages["torch"].startsWith("2.") && "prod" in aliases'
    regsvc search 'text("credit card fraud")' --kind models
    """
    found = list(
        connect_from_context(ctx).search(filter_, kind=kind, within=within, order_by=order_by, limit=limit)
    )
    if as_json:
        emit_json([_document(each) for each in found])
        return
    asked = list(dict.fromkeys((table, a or b) for table, a, b in _SHOWN.findall(f"{filter_} {order_by}")))
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "CREATED", "ALIASES" if kind != "builds" else "STATE", *(key for _, key in asked)):
        table.add_column(title, no_wrap=True)
    for each in found:
        values = [_value(each, map_name, key) for map_name, key in asked]
        table.add_row(
            escape(_name(each)), human_time(each.created), escape(_status(each)), *map(escape, values)
        )
    console().print(table)


def _document(found: Version | Build | Model) -> object:
    if isinstance(found, Version):
        return version_document(found)
    if isinstance(found, Build):
        return {key: value for key, value in found.to_json().items() if key != "steps"}
    return model_document(found)


def _name(found: Version | Build | Model) -> str:
    return found.reference if isinstance(found, Version) else found.name


def _status(found: Version | Build | Model) -> str:
    if isinstance(found, Version):
        return " ".join(found.aliases)
    if isinstance(found, Build):
        return found.state
    return " ".join(f"{alias.alias}:{alias.reference.rpartition(':')[2]}" for alias in found.aliases)


def _value(found: Version | Build | Model, map_name: str, key: str) -> str:
    value = getattr(found, map_name, {}).get(key, "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
