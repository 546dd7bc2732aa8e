"""Move one case's files by every means, in turn, and note what each took."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from processes import Cost, Failed, Server, registry, regsvc, run, run_json

RAW_STREAM = str(Path(__file__).with_name("raw_stream.py"))
SOURCES = str(Path(__file__).with_name("sources.py"))

OPERATIONS = {
    "cp": "cp",
    "cp-fsync": "cp + fsync",
    "raw-up": "raw stream up",
    "raw-down": "raw stream down",
    "push-cold": "push, cold",
    "pull-cold": "pull, cold",
    "push-again": "push, again",
    "pull-again": "pull, again",
    "push-changed": "push, 5 % changed",
    "pull-changed": "pull, 5 % changed",
}
"""What is measured, in the order of the table."""


@dataclass(frozen=True)
class Sample:
    """One operation, once. Memory and CPU are None where nobody is at work."""

    seconds: float
    """Of the transfer itself: what push and pull report, from before the first file is read to the end."""
    wall: float
    """Of the whole client process, interpreter and imports included."""
    client_cpu: float | None = None
    server_cpu: float | None = None
    client_peak: int | None = None
    server_peak: int | None = None
    moved: int | None = None
    """Bytes of chunks that went over the wire."""
    stored: int | None = None
    """Bytes that the server's data directory holds afterwards."""


class Case:
    """The files of one case, in a folder of its own, read once so that they are in the page cache."""

    def __init__(self, name: str, mib: int, folder: Path):
        self.name = name
        self.folder = folder
        self.base, self.changed = folder / "base", folder / "changed"
        folder.mkdir()
        run([sys.executable, SOURCES, name, str(mib), str(folder)])
        files = [path for path in self.base.rglob("*") if path.is_file()]
        self.files = len(files)
        self.size = sum(path.stat().st_size for path in files)

    def round(self, raw: Server, *, check: bool) -> dict[str, Sample]:
        """Every operation once: cp first, then the streams, each next to what it is compared with.

        A new server on an empty directory takes part, so that a cold push is cold. With `check`, what was
        pulled is compared byte by byte.
        """
        data, copied, pulled = self.folder / "data", self.folder / "copied", self.folder / "pulled"
        samples: dict[str, Sample] = {}
        try:
            with registry(data) as server:
                self._settle()
                samples["cp"] = self._copy(copied, fsync=False)
                samples["raw-up"] = self._stream(raw, "up")
                samples["push-cold"] = self._push(server, data, self.base)
                samples["raw-down"] = self._stream(raw, "down")
                samples["pull-cold"] = self._pull(server, 1, pulled)
                self._check(self.base, pulled, check)
                samples["cp-fsync"] = self._copy(copied, fsync=True)
                samples["push-again"] = self._push(server, data, self.base)
                samples["pull-again"] = self._pull(server, 1, pulled)
                samples["push-changed"] = self._push(server, data, self.changed)
                samples["pull-changed"] = self._pull(server, 3, pulled)
                self._check(self.changed, pulled, check)
        finally:
            for folder in (data, copied, pulled):
                shutil.rmtree(folder, ignore_errors=True)
        return samples

    def remove(self) -> None:
        """Give the room back."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _copy(self, copied: Path, *, fsync: bool) -> Sample:
        shutil.rmtree(copied, ignore_errors=True)
        self._settle()
        started = time.monotonic()
        _, cost = run(["cp", "-r", str(self.base), str(copied)])
        if fsync:
            _fsync_tree(copied)
        seconds = time.monotonic() - started
        shutil.rmtree(copied)
        self._settle()
        return Sample(seconds, seconds, cost.cpu)

    def _stream(self, raw: Server, direction: str) -> Sample:
        raw.forget_peak()
        before = raw.cpu
        answer, cost = run_json([sys.executable, RAW_STREAM, direction, raw.endpoint, str(self.size)])
        return _sample(answer, cost, raw.cpu - before, raw.peak)

    def _push(self, server: Server, data: Path, source: Path) -> Sample:
        self._settle()
        server.forget_peak()
        before = server.cpu
        answer, cost = run_json(
            regsvc("push", str(source), f"bench/{self.name}", "--json"), _client_of(server)
        )
        used = server.cpu - before
        return _sample(answer, cost, used, server.peak, moved=answer["bytes_sent"], stored=_size_of(data))

    def _pull(self, server: Server, version: int, pulled: Path) -> Sample:
        self._settle()
        server.forget_peak()
        before = server.cpu
        reference = f"bench/{self.name}:{version}"
        answer, cost = run_json(regsvc("pull", reference, str(pulled), "--json"), _client_of(server))
        return _sample(answer, cost, server.cpu - before, server.peak, moved=answer["bytes_received"])

    def _settle(self) -> None:
        """Nobody has to write back what the operation before left behind."""
        subprocess.run(["sync", "--file-system", str(self.folder)], check=True)

    @staticmethod
    def _check(source: Path, pulled: Path, wanted: bool) -> None:
        if not wanted:
            return
        for path in source.rglob("*"):
            copy = pulled / path.relative_to(source)
            if path.is_file() and not filecmp.cmp(path, copy, shallow=False):
                raise Failed(f"{path.name} was pulled with other bytes than were pushed")


def as_json(sample: Sample) -> dict[str, Any]:
    """The sample without what does not apply."""
    return {key: value for key, value in asdict(sample).items() if value is not None}


def _sample(answer: dict[str, Any], cost: Cost, server_cpu: float, server_peak: int, **more: int) -> Sample:
    return Sample(answer["seconds"], cost.wall, cost.cpu, server_cpu, cost.peak, server_peak, **more)


def _client_of(server: Server) -> dict[str, str]:
    return {"REGSVC_ENDPOINT": server.endpoint}


def _size_of(data: Path) -> int:
    """Bytes of the packs and of the catalog, its write-ahead log not counted: that does not grow with them."""
    return sum(
        path.stat().st_size
        for path in data.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    )


def _fsync_tree(folder: Path) -> None:
    """Make every file durable, then every directory, as a store would have to."""
    for directory, _, names in os.walk(folder, topdown=False):
        for name in (*names, "."):
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
