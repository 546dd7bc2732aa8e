"""The `regsvc` command. It speaks to a server only through `regsvc.client`."""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    # Before gRPC is loaded: its C core would print lines of its own beside our one line of error.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from regsvc.client.tuning import keep_freed_memory, load_numpy_with_one_thread

    keep_freed_memory()
    load_numpy_with_one_thread()
    from regsvc.cli.output import run
    from regsvc.cli.root import regsvc

    run(regsvc)
