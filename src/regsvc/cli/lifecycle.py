"""`regsvc archive`, `rm`, `undelete`, `cp` and `mv`."""

from __future__ import annotations

from datetime import timedelta

import click
from rich.markup import escape

from regsvc import refs
from regsvc.cli.durations import Length
from regsvc.cli.models import model_document, version_document
from regsvc.cli.output import connect_from_context, console, emit_json, human_size, human_time, json_option
from regsvc.errors import VersionInUse


@click.command()
@click.argument("ref")
@click.option("--undo", is_flag=True, help="Take it out again.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the event.")
@json_option
@click.pass_context
def archive(ctx: click.Context, ref: str, undo: bool, reason: str, as_json: bool) -> None:
    """Put a version away: it can be read, but it is never the latest, and no alias is moved to it."""
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    version = client.archive(ref, archived=not undo, reason=reason)
    if as_json:
        emit_json(version_document(version))
    else:
        console().print(
            f"{escape(version.reference)} is {'archived' if version.archived else 'not archived'}"
        )


@click.command()
@click.argument("ref")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--force", is_flag=True, help="Also if aliases name it, which are unset, or hosts serve it.")
@click.option(
    "--keep",
    type=Length(),
    metavar="TIME",
    help="How long it can be had back: 12h, 7d, 0.  [as the server is set]",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the event.")
@json_option
@click.pass_context
def rm(
    ctx: click.Context,
    ref: str,
    dry_run: bool,
    force: bool,
    keep: timedelta | None,
    reason: str,
    as_json: bool,
) -> None:
    """Delete a version. `regsvc undelete` has it back for a while; then `regsvc gc` frees its bytes."""
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    try:
        done = client.delete(ref, force=force, dry_run=dry_run, keep=keep, reason=reason)
    except VersionInUse as error:
        error.message += "; --force deletes it all the same"
        raise
    if as_json:
        emit_json(
            {
                "version": version_document(done.version),
                "dry_run": dry_run,
                "unset_aliases": list(done.unset_aliases),
                "hosts": list(done.hosts),
                "freed_bytes": done.freed_bytes,
            }
        )
        return
    would = "would be " if dry_run else ""
    console().print(
        f"{escape(done.version.reference)} {would or 'is '}deleted; it can be had back until"
        f" {human_time(done.version.purge)}"
    )
    console().print(f"  frees {human_size(done.freed_bytes)} ({done.freed_bytes} bytes) after that")
    for alias in done.unset_aliases:
        console().print(f"  @{escape(alias)} {would or 'is '}unset")
    for host in done.hosts:
        console().print(f"  {escape(host)} serves it")


@click.command()
@click.argument("ref")
@json_option
@click.pass_context
def undelete(ctx: click.Context, ref: str, as_json: bool) -> None:
    """Have a deleted version back, by its number or digest. Aliases that were unset stay so."""
    version = connect_from_context(ctx, refs.parse_reference(ref).server).undelete(ref)
    if as_json:
        emit_json(version_document(version))
    else:
        console().print(f"{escape(version.reference)} is there again")


@click.command()
@click.argument("ref")
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@click.option(
    "--alias", "aliases", multiple=True, metavar="ALIAS", help="Of MODEL, to name the copy; repeatable."
)
@json_option
@click.pass_context
def cp(ctx: click.Context, ref: str, model: str, aliases: tuple[str, ...], as_json: bool) -> None:
    """Make a version of MODEL, in any namespace, of what REF has: files, metadata, record. No bytes are moved."""
    version = connect_from_context(ctx, refs.parse_reference(ref).server).copy(ref, model, aliases=aliases)
    if as_json:
        emit_json(version_document(version))
    else:
        console().print(f"{escape(version.reference)}  [dim]b3:{version.digest}[/dim]")


@click.command()
@click.argument("model", metavar="[NAMESPACE/]MODEL")
@click.argument("new", metavar="[NAMESPACE/]NEW")
@json_option
@click.pass_context
def mv(ctx: click.Context, model: str, new: str, as_json: bool) -> None:
    """Give MODEL, with all that it has, another name, in any namespace. No bytes are moved."""
    renamed = connect_from_context(ctx, refs.parse_reference(model).server).rename(model, new)
    if as_json:
        emit_json(model_document(renamed))
    else:
        console().print(f"{escape(model)} is {escape(renamed.name)} now, with {renamed.versions} versions")
