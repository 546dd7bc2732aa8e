"""`regsvc cache`: what pulls keep on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import click
from rich.markup import escape
from rich.table import Table

from regsvc.cli.output import (
    console,
    emit_json,
    err_console,
    human_size,
    human_time,
    json_option,
    json_time,
)
from regsvc.client.cache import Cache, Contents, parse_size
from regsvc.errors import FailedPrecondition


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def cache() -> None:
    """List, prune and verify what pulls keep on this machine for the next ones."""


@cache.command()
@json_option
def ls(as_json: bool) -> None:
    """List the versions in the cache, the last used first."""
    contents = _cache().contents()
    if as_json:
        emit_json(_document(contents))
    else:
        _print(contents)


@cache.command()
@click.option(
    "--to", "limit", type=_Size(), metavar="SIZE", help="Bytes to keep, as 5GiB.  [default: the limit]"
)
@click.option("--all", "everything", is_flag=True, help="Keep nothing.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10.0,
    metavar="SECONDS",
    help="How long to wait for pulls to end.  [10]",
)
@json_option
def prune(limit: int | None, everything: bool, wait: float, as_json: bool) -> None:
    """Remove the versions that were not used for longest, until the rest fits.

    Also sweeps what interrupted pulls left. Pulls do both by themselves.
    """
    if everything and limit is not None:
        raise click.UsageError("--all and --to exclude each other")
    chosen = _cache()
    pruned = chosen.prune(0 if everything else limit, wait)
    if pruned is None:
        raise FailedPrecondition(
            f"the cache {chosen.path} was in use for {wait:g} s; nothing was removed", path=chosen.path
        )
    if as_json:
        emit_json({"versions": pruned.versions, "files": pruned.files, "bytes": pruned.bytes})
    else:
        console().print(
            f"removed {pruned.versions} versions, {pruned.files} files, {human_size(pruned.bytes)}"
        )


@cache.command()
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Read everything in the cache, and drop what is damaged; then the exit status is 1."""
    chosen = _cache()
    with _bar(chosen.contents().bytes, quiet=as_json) as report:
        verified = chosen.verify(report)
    if as_json:
        emit_json({"files": verified.files, "bytes": verified.bytes, "damaged": list(verified.damaged)})
    else:
        for digest in verified.damaged:
            console().print(f"{digest}  damaged, dropped")
        console().print(
            f"{verified.files} files, {human_size(verified.bytes)} read; {len(verified.damaged)} were damaged"
        )
    if verified.damaged:
        ctx.exit(1)


def _cache() -> Cache:
    """The cache. Raises `FailedPrecondition` when it is switched off."""
    chosen = Cache.default()
    if chosen is None:
        raise FailedPrecondition("the cache is switched off by REGSVC_CACHE or REGSVC_CACHE_SIZE")
    return chosen


def _document(contents: Contents) -> dict[str, object]:
    return {
        "path": contents.path,
        "limit": contents.limit,
        "files": contents.files,
        "bytes": contents.bytes,
        "versions": [
            {
                "references": list(each.references),
                "digest": each.digest,
                "files": each.files,
                "bytes": each.bytes,
                "last_used": json_time(each.last_used),
            }
            for each in contents.versions
        ],
    }


def _print(contents: Contents) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("VERSION", "FILES", "SIZE", "LAST USED", "DIGEST"):
        table.add_column(title, no_wrap=True)
    for each in contents.versions:
        table.add_row(
            escape(" ".join(each.references)),
            str(each.files),
            human_size(each.bytes),
            human_time(each.last_used),
            each.digest[:16],
        )
    console().print(table)
    console().print(
        f"{len(contents.versions)} versions, {contents.files} files,"
        f" {human_size(contents.bytes)} of {human_size(contents.limit)} in {escape(contents.path)}"
    )


@contextlib.contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A progress bar in bytes, on stderr when that is a terminal."""
    if quiet or not err_console().is_terminal:
        yield None
        return
    from rich import progress

    columns = (
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress("verify", *columns, console=err_console(), transient=True) as bar:
        task = bar.add_task("verify", total=total)
        yield lambda done: bar.update(task, completed=done)
