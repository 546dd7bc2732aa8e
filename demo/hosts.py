"""Inference hosts: `regsvc follow` processes, and when each of them began to serve what."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from demo.processes import CommandFailed, Regsvc

LIMIT = 60.0


@dataclass
class Host:
    """One of them."""

    folder: Path
    serves: dict[str, float] = field(default_factory=dict)
    """When it began to serve a version, by a clock that only goes on."""

    def serves_since(self, reference: str, moment: float) -> bool:
        """Whether it has begun to serve it after that moment."""
        return self.serves.get(reference, 0.0) > moment


@contextlib.contextmanager
def following(command: Regsvc, alias: str, folder: Path) -> Iterator[Host]:
    """A host that follows an alias until the block ends."""
    host = Host(folder)
    with command.started("follow", alias, str(folder), "--host", folder.name, "--json") as process:
        reader = threading.Thread(target=_read, args=(process.stdout, host), daemon=True)
        reader.start()
        yield host
        process.terminate()
        reader.join(LIMIT)


def _read(lines: Iterable[str], host: Host) -> None:
    for line in lines:
        found = json.loads(line)
        if found["state"] == "SERVING":
            host.serves[found["served"]] = time.monotonic()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, at most a minute."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise CommandFailed(f"waited {LIMIT:g} s for {what}")
        time.sleep(0.01)
