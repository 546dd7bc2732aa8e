"""`regsvc stats` and `gc`: what versions take, and freeing what nobody needs."""

from __future__ import annotations

from dataclasses import asdict

import click

from regsvc import refs
from regsvc.cli.output import connect_from_context, console, emit_json, human_size, json_option, table
from regsvc.cli.records import print_rows


@click.command()
@click.argument("names", metavar="[REF]...", nargs=-1)
@json_option
@click.pass_context
def stats(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Tell what versions take: raw, stored, alone and shared, and what deleting them would free.

    REF is a version, or [NAMESPACE/]MODEL for all of a model; without one all there is. Several are taken together.
    """
    server = refs.parse_reference(names[0]).server if names else None
    found = connect_from_context(ctx, server).stats(*names)
    if as_json:
        emit_json(asdict(found))
        return
    shown = table("", "VERSIONS", "FILES", "RAW", "STORED", "UNIQUE", "SHARED", "CHUNKS", "DELETING FREES")
    for name, usage in (("there", found.usage), ("deleted", found.deleted)):
        if usage.versions or name == "there":
            shown.add_row(
                name,
                str(usage.versions),
                str(usage.files),
                human_size(usage.logical_bytes),
                human_size(usage.stored_bytes),
                human_size(usage.unique_bytes),
                human_size(usage.shared_bytes),
                str(usage.chunks),
                f"{usage.freed_bytes} bytes",
            )
    console().print(shown)
    if not names:
        console().print(f"{found.packs} packs of {human_size(found.pack_bytes)} together")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--full", is_flag=True, help="Rewrite every pack that has anything dead in it.")
@json_option
@click.pass_context
def gc(ctx: click.Context, dry_run: bool, full: bool, as_json: bool) -> None:
    """Purge deleted versions whose time has come, and free what nobody needs any more.

    Pushes and pulls go on meanwhile. A server also does this by itself, once a day.
    """
    done = connect_from_context(ctx).collect(dry_run=dry_run, full=full)
    if as_json:
        emit_json({**asdict(done), "dry_run": dry_run})
        return
    print_rows(
        [
            ("versions purged", str(done.versions)),
            ("chunks dropped", str(done.chunks)),
            ("packs", f"{done.packs_removed} removed, {done.packs_rewritten} rewritten"),
            ("frees" if dry_run else "freed", f"{human_size(done.freed_bytes)} ({done.freed_bytes} bytes)"),
            ("dead, stays for now", f"{done.dead_bytes} bytes" if done.dead_bytes else ""),
        ]
    )
