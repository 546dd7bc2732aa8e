"""`regsvc ls`, `show`, `files` and `alias`: looking at the registry, and moving aliases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from rich.markup import escape

from regsvc import refs
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    human_size,
    human_time,
    json_option,
    json_time,
)
from regsvc.cli.output import table as new_table
from regsvc.cli.records import note_document, print_rows, record_document, record_rows
from regsvc.client.records import Alias, AliasChange, File, Model, Version


@click.command()
@click.argument("model", required=False)
@click.option("--deleted", is_flag=True, help="Of a model: deleted versions too, if they can be had back.")
@json_option
@click.pass_context
def ls(ctx: click.Context, model: str | None, deleted: bool, as_json: bool) -> None:
    """List all models; with [NAMESPACE/]MODEL its versions, newest first."""
    client = connect_from_context(ctx)
    if model is None:
        _list_models(list(client.models()), as_json)
    else:
        _list_versions(list(client.versions(model, deleted=deleted)), as_json)


@click.command()
@click.argument("ref")
@json_option
@click.pass_context
def show(ctx: click.Context, ref: str, as_json: bool) -> None:
    """Show one version: digest, params, metrics, tags, aliases, files, how it was made, and the notes on it."""
    if refs.is_build(ref):
        raise click.UsageError(f"{ref} is a build, which is shown by: regsvc build show {ref}")
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    version = client.version(ref)
    listed = list(client.files(version.reference))  # an alias may move in between
    record, notes = client.record(version.reference), list(client.notes(version.reference))
    if as_json:
        emit_json(
            {
                **version_document(version),
                "record": record_document(record),
                "notes": [note_document(each) for each in notes],
                "files": [_file_document(file) for file in listed],
            }
        )
        return
    noted = [("note", f"{each.author}: {each.text}") for each in notes]
    print_rows([*_version_rows(version), *record_rows(record), *noted])
    console().print()
    _print_files(listed)


@click.command()
@click.argument("ref")
@json_option
@click.pass_context
def files(ctx: click.Context, ref: str, as_json: bool) -> None:
    """List the files of a version: digest, size and path, as `b3sum` names them."""
    listed = list(connect_from_context(ctx, refs.parse_reference(ref).server).files(ref))
    if as_json:
        emit_json([_file_document(file) for file in listed])
    else:
        _print_files(listed)


@click.group()
def alias() -> None:
    """List and set aliases, and see their history."""


@alias.command("ls")
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@json_option
@click.pass_context
def alias_ls(ctx: click.Context, model: str, as_json: bool) -> None:
    """List the aliases of a model, by name."""
    found = connect_from_context(ctx, refs.parse_reference(model).server).model(model).aliases
    if as_json:
        emit_json([_alias_document(each) for each in found])
        return
    table = new_table("ALIAS", "VERSION", "UPDATED")
    for each in found:
        table.add_row(escape(each.alias), escape(each.reference), human_time(each.updated))
    console().print(table)


@alias.command("set")
@click.argument("ref")
@click.argument("alias_name", metavar="ALIAS")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")
@json_option
@click.pass_context
def set_(ctx: click.Context, ref: str, alias_name: str, reason: str, as_json: bool) -> None:
    """Point ALIAS of REF's model at REF; a protected one is moved by `regsvc promote`."""
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    moved = client.set_alias(ref, alias_name, reason=reason)
    if as_json:
        emit_json(_alias_document(moved))
    else:
        console().print(f"{escape(moved.alias)} -> {escape(moved.reference)}")


@alias.command("history")
@click.argument("name", metavar="[NAMESPACE/]MODEL@ALIAS")
@json_option
@click.pass_context
def history(ctx: click.Context, name: str, as_json: bool) -> None:
    """Print everything that an alias ever named, newest first."""
    changes = list(connect_from_context(ctx, refs.parse_reference(name).server).alias_history(name))
    if as_json:
        emit_json([change_document(each) for each in changes])
        return
    table = new_table("TIME", "VERSION", "BEFORE", "HOW", "AUTHOR", "REASON")
    for each in changes:
        table.add_row(
            human_time(each.time),
            escape(each.reference or "-"),
            escape(each.previous or "-"),
            each.kind,
            escape(each.author or "-"),
            escape(each.reason),
        )
    console().print(table)


def change_document(change: AliasChange) -> dict[str, Any]:
    """The JSON form of an entry of an alias's history."""
    return {
        "reference": change.reference,
        "previous": change.previous,
        "time": json_time(change.time),
        "kind": change.kind,
        "author": change.author,
        "reason": change.reason,
    }


def version_document(version: Version) -> dict[str, Any]:
    """The JSON form of a version, without its list of files."""
    return {
        "reference": version.reference,
        "model": version.name,
        "version": version.number,
        "digest": version.digest,
        "created": json_time(version.created),
        "author": version.author,
        "bad": version.bad,
        "bad_reason": version.bad_reason,
        "archived": json_time(version.archived),
        "deleted": json_time(version.deleted),
        "purge": json_time(version.purge),
        "description": version.description,
        "params": dict(version.params),
        "metrics": dict(version.metrics),
        "tags": dict(version.tags),
        "aliases": list(version.aliases),
        "build": version.build,
        "log_digest": version.log_digest,
        "record_digest": version.record_digest,
        "file_count": version.files,
        "bytes": version.bytes,
        "stored_bytes": version.stored_bytes,
    }


def model_document(model: Model) -> dict[str, Any]:
    """The JSON form of a model."""
    return {
        "model": model.name,
        "description": model.description,
        "versions": model.versions,
        "latest": model.latest,
        "aliases": {alias.alias: alias.reference for alias in model.aliases},
        "created": json_time(model.created),
        "updated": json_time(model.updated),
    }


def _alias_document(alias: Alias) -> dict[str, Any]:
    return {"alias": alias.alias, "reference": alias.reference, "updated": json_time(alias.updated)}


def _file_document(file: File) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "digest": file.digest}


def _list_models(models: Iterable[Model], as_json: bool) -> None:
    if as_json:
        emit_json([model_document(each) for each in models])
        return
    table = new_table("MODEL", "VERSIONS", "UPDATED", "ALIASES")
    for each in models:
        aliases = " ".join(f"{alias.alias}:{alias.reference.rpartition(':')[2]}" for alias in each.aliases)
        table.add_row(escape(each.name), str(each.versions), human_time(each.updated), escape(aliases))
    console().print(table)


def _list_versions(versions: Iterable[Version], as_json: bool) -> None:
    if as_json:
        emit_json([version_document(version) for version in versions])
        return
    table = new_table("VERSION", "CREATED", "FILES", "SIZE", "ALIASES", "DIGEST")
    for each in versions:
        table.add_row(
            escape(each.reference) + _mark(each),
            human_time(each.created),
            str(each.files),
            human_size(each.bytes),
            escape(" ".join(each.aliases)),
            each.digest[:16],
        )
    console().print(table)


def _mark(version: Version) -> str:
    return " deleted" if version.deleted else " archived" if version.archived else ""


def _version_rows(version: Version) -> list[tuple[str, str]]:
    return [
        ("version", version.reference),
        ("digest", f"b3:{version.digest}"),
        ("created", human_time(version.created)),
        ("author", version.author),
        ("bad", version.bad_reason),
        ("archived", human_time(version.archived) if version.archived else ""),
        ("size", f"{human_size(version.bytes)} in {version.files} files"),
        ("stored", f"{human_size(version.stored_bytes)}, shared chunks included"),
        ("aliases", " ".join(version.aliases)),
        ("build", version.build or ""),
        ("description", version.description),
        *((f"param {key}", str(value)) for key, value in version.params.items()),
        *((f"metric {key}", f"{value:g}") for key, value in version.metrics.items()),
        *((f"tag {key}", value) for key, value in version.tags.items()),
    ]


def _print_files(listed: Iterable[File]) -> None:
    table = new_table("DIGEST", "SIZE", "PATH")
    for file in listed:
        table.add_row(file.digest, human_size(file.size), escape(file.path))
    console().print(table)
