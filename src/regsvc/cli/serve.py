"""`regsvc serve`."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import click

from regsvc.catalog.database import CannotOpen, UnsoundSqlite
from regsvc.server import logging as server_logging
from regsvc.server.config import ServerConfig, SettingInvalid, load
from regsvc.server.running import CannotListen
from regsvc.server.running import serve as run_server
from regsvc.service.app import RegistryApp
from regsvc.store import AlreadyLocked, StoreFull


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the registry; made when missing.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Address, or unix:/PATH; port 0 picks one.  [127.0.0.1:7070]"
)
@click.option(
    "--config", type=click.Path(path_type=Path), envvar="REGSVC_CONFIG", help="TOML file of settings."
)
@click.option(
    "--upload-lease", type=float, metavar="SECONDS", help="Unused uploads lapse after this.  [3600]"
)
@click.option(
    "--build-lease", type=float, metavar="SECONDS", help="Silent builds become LOST after this.  [120]"
)
@click.option("--heartbeat", type=float, metavar="SECONDS", help="Between messages on quiet streams.  [10]")
@click.option("--grace", type=float, metavar="SECONDS", help="For uploads in flight after SIGTERM.  [20]")
@click.option("--max-concurrent-rpcs", type=int, help="Calls beyond it are refused.  [4000]")
@click.option("--max-bulk-streams", type=int, help="Uploads, and downloads, at once; others wait.  [64]")
@click.option("--bulk-wait", type=float, metavar="SECONDS", help="How long those others wait.  [10]")
@click.option(
    "--stall-timeout", type=float, metavar="SECONDS", help="For clients that neither send nor take.  [60]"
)
@click.option(
    "--max-connection-age", type=float, metavar="SECONDS", help="Older ones take no new calls.  [0]: no limit"
)
@click.option("--bulk-threads", type=int, help="Threads that move and hash bytes.  [8]")
@click.option("--control-threads", type=int, help="Threads that wait for the catalog.  [32]")
@click.option("--tail-threads", type=int, help="Threads that read for followers.  [4]")
@click.option(
    "--webhook-timeout", type=float, metavar="SECONDS", help="For webhooks' targets to answer.  [15]"
)
@click.option("--webhook-pace", type=float, metavar="FACTOR", help="On the pauses between tries.  [1]")
@click.option("--webhook-allow-private", metavar="1|0", help="Send webhooks to private addresses, too.  [0]")
@click.option(
    "--delete-keep", type=float, metavar="SECONDS", help="Deleted versions can be had back.  [604800]"
)
@click.option("--collect-every", type=float, metavar="SECONDS", help="Between collections.  [86400]")
@click.option("--collect-dead", type=float, metavar="PART", help="Of a pack, for it to be rewritten.  [0.2]")
@click.option("--retention-every", type=float, metavar="SECONDS", help="For scheduled policies.  [3600]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.  [info]")
def serve(config: Path | None, **flags: object) -> None:
    """Run a server on a data directory.

    Prints "regsvc listening on ADDRESS" when it takes calls, and logs JSON lines to stderr. SIGTERM drains it.
    Every option can also be set by REGSVC_NAME in the environment, or in a TOML file given by --config.
    """
    try:
        settings = load(flags, os.environ, config)
    except SettingInvalid as error:
        raise click.UsageError(str(error)) from error
    server_logging.configure(settings.log_level)
    try:
        _serve(settings)
    except AlreadyLocked as error:
        holder = "another process" if error.pid is None else f"process {error.pid}"
        raise click.ClickException(f"{settings.data} is locked by {holder}, another server") from error
    except (CannotListen, CannotOpen, UnsoundSqlite) as error:
        raise click.ClickException(str(error)) from error
    except StoreFull as error:
        raise click.ClickException("the disk of the data directory is full") from error


def _serve(settings: ServerConfig) -> None:
    # Every open upload has a pack, and every client a socket: the usual 1,024 is a limit for shells.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    app = RegistryApp(settings.data, settings.limits)
    try:
        asyncio.run(run_server(settings, app, lambda address: click.echo(f"regsvc listening on {address}")))
    finally:
        app.close()
