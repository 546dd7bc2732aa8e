"""Move the same files by every means, in turn, and note what each took."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from processes import Cost, Failed, Server, registry, regsvc, run, run_json
from rivals import Rival

HERE = Path(__file__).parent
RAW_STREAM = str(HERE / "raw_stream.py")

OPERATIONS = {
    "cp": "cp",
    "cp-fsync": "cp + fsync",
    "hash": "b3sum, one thread",
    "raw-up": "raw stream up",
    "raw-down": "raw stream down",
    "push": "push, cold",
    "pull": "pull, cold",
    "pull-filling": "pull, cold, fills cache",
    "write-file": "WriteFile, plain client",
    "read-file": "ReadFile, plain client",
    "push-warm": "push again, state warm",
    "push-unknown": "push again, no state",
    "pull-copied": "pull, all in cache, copied",
    "pull-linked": "pull, all in cache, hardlinked",
    "push-changed": "push, 5 % changed",
    "pull-changed": "pull, 5 % changed, old in cache",
    "mlflow-up": "MLflow log_artifacts",
    "mlflow-down": "MLflow download_artifacts",
    "s3-up": "S3 upload_file (boto3)",
    "s3-down": "S3 download_file (boto3)",
    "nginx": "curl from nginx, sendfile",
}
"""What is measured, in the order of the table."""

TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""What `regsvc` does to malloc in its own processes, as mallopt(3) takes it from the environment."""


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
    links: str = ""
    """How files came out of the client's cache as they are."""

    @property
    def cpu(self) -> float:
        """Seconds of client and server."""
        return (self.client_cpu or 0.0) + (self.server_cpu or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Without what does not apply."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


class Files:
    """The files of one case, in a folder of its own, read once so that they are in the page cache."""

    def __init__(self, name: str, mib: int, folder: Path):
        self.name = name
        self.folder = folder
        self.base, self.changed = folder / "base", folder / "changed"
        folder.mkdir()
        run([sys.executable, str(HERE / "sources.py"), name, str(mib), str(folder)])
        files = [path for path in self.base.rglob("*") if path.is_file()]
        self.count = len(files)
        self.size = sum(path.stat().st_size for path in files)

    def remove(self) -> None:
        """Give the room back."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Round:
    """Every operation on one case, once, with a new registry on an empty directory."""

    def __init__(self, files: Files, raw: Server, rivals: dict[str, Rival], settle: Callable[[], None]):
        self.samples: dict[str, Sample] = {}
        self._files = files
        self._raw = raw
        self._rivals = rivals
        self._settle = settle
        """Called before each operation."""
        self._data = files.folder / "data"
        self._out = files.folder / "out"
        self._environment = {
            "REGSVC_CACHE": "off",
            "REGSVC_STATE": str(files.folder / "state"),
        }

    def run(self, *, check: bool) -> dict[str, Sample]:
        """Each operation next to what it is compared with; `check` compares what was pulled, byte by byte."""
        with ExitStack() as stack:
            stack.callback(self._clean)
            self._server = stack.enter_context(registry(self._data))
            self._copies()
            self._cold(check)
            self._again(check)
        for name, rival in self._rivals.items():
            self._against(name, rival, check)
        return self.samples

    def _copies(self) -> None:
        for name in ("cp", "cp-fsync"):
            with self._place() as out:
                started = time.monotonic()
                _, cost = run(["cp", "-r", str(self._files.base), str(out)])
                if name == "cp-fsync":
                    _fsync_tree(out)
                seconds = time.monotonic() - started
                self.samples[name] = Sample(seconds, seconds, cost.cpu)
        answer, cost = run_json([sys.executable, str(HERE / "hash_files.py"), str(self._files.base)])
        self.samples["hash"] = Sample(answer["seconds"], cost.wall, cost.cpu)

    def _cold(self, check: bool) -> None:
        self._stream("up")
        self._push("push", self._files.base)
        self._stream("down")
        self._pull("pull", 1, check=self._files.base if check else None)
        if self._files.count == 1:
            self._plain()

    def _plain(self) -> None:
        """The same file by thirty lines of client."""
        [file] = [path for path in self._files.base.rglob("*") if path.is_file()]
        client = [sys.executable, str(HERE / "plain_client.py")]
        self._settle()
        with self._measured("write-file") as note:
            note(*run_json([*client, "push", self._server.endpoint, "bench/plain", str(file)], TUNED))
        with self._place() as out, self._measured("read-file") as note:
            out.mkdir()
            name = "namespaces/bench/models/plain/versions/1"
            command = [*client, "pull", self._server.endpoint, name, file.name, str(out / file.name)]
            note(*run_json(command, TUNED))

    def _again(self, check: bool) -> None:
        """What was pushed and pulled before costs less now."""
        cache = {"REGSVC_CACHE": str(self._files.folder / "cache")}
        self._push("push-warm", self._files.base)
        self._push("push-unknown", self._files.base, {"REGSVC_STATE": "off"})
        self._pull("pull-filling", 1, cache)
        if self._files.count > 1:  # of one large file source, store, cache and copy may not fit in memory
            self._pull("pull-copied", 1, cache)
        self._pull("pull-linked", 1, cache, "--hardlink")
        if any(self._files.changed.rglob("*")):
            self._push("push-changed", self._files.changed)
            wanted = self._files.changed if check else None
            self._pull("pull-changed", 4, cache, check=wanted)

    def _against(self, name: str, rival: Rival, check: bool) -> None:
        with rival.serving(self._files) as serving:
            if serving.up is not None:
                self._settle()
                self.samples[f"{name}-up"] = serving.measured(serving.up)
            with self._place() as out:
                out.mkdir()
                command = serving.down(out)
                self.samples[name if serving.up is None else f"{name}-down"] = serving.measured(command)
                if check:
                    _check(self._files.base, out)

    def _stream(self, direction: str) -> None:
        self._raw.forget_peak()
        before = self._raw.cpu
        answer, cost = run_json(
            [sys.executable, RAW_STREAM, direction, self._raw.endpoint, str(self._files.size)]
        )
        self.samples[f"raw-{direction}"] = sample(answer, cost, self._raw.cpu - before, self._raw.peak)

    def _push(self, name: str, source: Path, environment: dict[str, str] | None = None) -> None:
        self._settle()
        with self._measured(name) as note:
            command = regsvc("push", str(source), f"bench/{self._files.name}", "--json")
            answer, cost = run_json(command, self._client(environment))
            note(answer, cost, moved=answer["bytes_sent"], stored=_size_of(self._data))

    def _pull(
        self,
        name: str,
        version: int,
        environment: dict[str, str] | None = None,
        *options: str,
        check: Path | None = None,
    ) -> None:
        with self._place() as out, self._measured(name) as note:
            command = regsvc("pull", *options, f"bench/{self._files.name}:{version}", str(out), "--json")
            answer, cost = run_json(command, self._client(environment))
            note(answer, cost, moved=answer["bytes_received"], links=" ".join(answer["links"]))
            if check is not None:
                _check(check, out)

    def _client(self, environment: dict[str, str] | None) -> dict[str, str]:
        return {**self._environment, "REGSVC_ENDPOINT": self._server.endpoint, **(environment or {})}

    @contextmanager
    def _measured(self, name: str) -> Iterator[Callable[..., None]]:
        """Gives a function that notes the client's answer and cost, with those of the server beside them."""
        self._server.forget_peak()
        before = self._server.cpu

        def note(answer: dict[str, Any], cost: Cost, **more: Any) -> None:
            used = self._server.cpu - before
            self.samples[name] = sample(answer, cost, used, self._server.peak, **more)

        yield note

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """A folder to fill, which is not there yet; removed afterwards."""
        self._settle()
        try:
            yield self._out
        finally:
            shutil.rmtree(self._out, ignore_errors=True)
            for left in self._files.folder.glob(".out.regsvc*"):
                left.unlink() if left.is_file() else shutil.rmtree(left)

    def _clean(self) -> None:
        for folder in (self._data, self._out, self._files.folder / "cache", self._files.folder / "state"):
            shutil.rmtree(folder, ignore_errors=True)


def sample(answer: dict[str, Any], cost: Cost, server_cpu: float, server_peak: int, **more: Any) -> Sample:
    """From a client's answer, its cost, and what the server took meanwhile."""
    return Sample(answer["seconds"], cost.wall, cost.cpu, server_cpu, cost.peak, server_peak, **more)


def _check(source: Path, copy: Path) -> None:
    for path in source.rglob("*"):
        other = copy / path.relative_to(source)
        if path.is_file() and not filecmp.cmp(path, other, shallow=False):
            raise Failed(f"{path.name} came back with other bytes than were sent")


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
