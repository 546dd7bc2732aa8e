"""The `regsvc` command. It speaks to a server only through `regsvc.client`."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    from regsvc.cli.output import run
    from regsvc.cli.root import regsvc
    from regsvc.client.tuning import keep_freed_memory

    keep_freed_memory()
    run(regsvc)
