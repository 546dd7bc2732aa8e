"""How many calls a second, how late a followed line is, what followers cost, and what a large index costs.

`rates.py` prints the figures as JSON; `measure` gives them to `make bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from large_index import LargeIndex
from processes import Failed, Server, registry, regsvc

import regsvc as regsvc_sdk

CLIENT = str(Path(__file__).with_name("rates_client.py"))
CALLERS = 16
CALLING_PROCESSES = 2
METHODS = ("GetVersion", "SetAlias", "LogMetrics", "LogParams", "CreateBuild")
FOLLOWERS = 100
FOLLOWING_PROCESSES = 2
FOLLOWED_RATE = 1000
"""Lines a second."""


def measure(
    folder: Path,
    *,
    calls: int = 6000,
    followed_lines: int = 10_000,
    idle: int = 1000,
    index_chunks: int = 1_000_000,
    rounds: int = 5,
) -> dict[str, Any]:
    """All figures: times in milliseconds or seconds as named, memory in bytes. Raises `Failed`."""
    folder.mkdir()
    try:
        with registry(folder / "data") as server:
            _two_versions(server, folder)
            _Client(server, "call", "CreateBuild", "1", "1", "first").answer()
            figures = {
                "calls": {method: _calls(server, method, calls) for method in METHODS},
                "idle": _idle(server, idle),
                "points": _points(server, 10 * calls),
            }
        with registry(folder / "followed") as server:
            figures["follow"] = _followed(server, followed_lines)
        return {**figures, "index": LargeIndex(folder / "large", index_chunks).measure(rounds)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _calls(server: Server, method: str, count: int) -> dict[str, Any]:
    """`count` calls by 16 callers in two processes."""
    share = count // CALLING_PROCESSES
    before = server.cpu
    clients = [
        _Client(
            server,
            "call",
            method,
            str(share),
            str(CALLERS // CALLING_PROCESSES),
            f"{method.lower()}{place}",
        )
        for place in range(CALLING_PROCESSES)
    ]
    answers = [client.answer() for client in clients]
    seconds = max(answer["end"] for answer in answers) - min(answer["begin"] for answer in answers)
    took = sorted(ms for answer in answers for ms in answer["ms"])
    return {
        "calls": len(took),
        "per_second": len(took) / seconds,
        "p50_ms": _percentile(took, 50),
        "p99_ms": _percentile(took, 99),
        "server_cpu_us": (server.cpu - before) / len(took) * 1e6,
        "client_cpu_us": sum(client.cpu for client in clients) / len(took) * 1e6,
    }


def _points(server: Server, steps: int) -> dict[str, Any]:
    """Metric points of one publisher by the SDK, two a step, until all are durable."""
    with regsvc_sdk.connect(server.endpoint) as client, client.build("bench/points", capture=False) as build:
        began = time.perf_counter()
        for step in range(steps):
            build.log_metrics({"loss": 1 / (step + 1), "accuracy": 1 - 1 / (step + 1)}, step=step)
        build.flush()
        seconds = time.perf_counter() - began
    return {"points": 2 * steps, "per_second": 2 * steps / seconds}


def _idle(server: Server, count: int) -> dict[str, Any]:
    """What followers that wait cost the server: each has a connection of its own."""
    publisher = _Client(server, "publish", "bench/idle", "0", "1")
    build = _wire_name(publisher.line())
    one = _Client(server, "idle", build, "1")
    one.line()
    before = _resident(server)
    many = _Client(server, "idle", build, str(count))
    many.line()
    after = _resident(server)
    for client in (many, one, publisher):
        client.answer()
    return {"tails": count, "more_bytes": after - before, "bytes_each": (after - before) / count}


def _followed(server: Server, lines: int) -> dict[str, Any]:
    """One publisher, a hundred followers: how long from the call that logs a line to the line's arrival."""
    publisher = _Client(server, "publish", "bench/follow", str(lines), str(FOLLOWED_RATE))
    build = _wire_name(publisher.line())
    share = FOLLOWERS // FOLLOWING_PROCESSES
    followers = [
        _Client(server, "follow", build, str(share), str(lines + 1)) for _ in range(FOLLOWING_PROCESSES)
    ]
    for follower in followers:
        follower.line()
    before = server.cpu
    late = publisher.answer()["late_seconds"]
    took = sorted(ms for follower in followers for ms in follower.answer()["ms"])
    if len(took) != lines * FOLLOWERS:
        raise Failed(f"{len(took)} of {lines * FOLLOWERS} lines arrived")
    seconds = lines / FOLLOWED_RATE
    return {
        "followers": FOLLOWERS,
        "lines_per_second": FOLLOWED_RATE,
        "lines": lines,
        "publisher_late_seconds": late,
        "p50_ms": _percentile(took, 50),
        "p99_ms": _percentile(took, 99),
        "max_ms": took[-1],
        "server_cores": (server.cpu - before) / seconds,
        "follower_cores": sum(follower.cpu for follower in followers) / seconds,
        "publisher_cores": publisher.cpu / seconds,
    }


class _Client:
    """One process of `rates_client.py`."""

    def __init__(self, server: Server, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, CLIENT, *arguments],
            env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cpu = 0.0
        """Seconds, user and system, once it has answered."""

    def line(self) -> str:
        """What it prints before its answer."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def answer(self) -> dict[str, Any]:
        """Let it go on, and give what it found. Raises `Failed`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        with self._process.stdout as output:
            text = output.read()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            raise Failed(f"a client ended with {self._process.returncode}")
        self.cpu = usage.ru_utime + usage.ru_stime
        found: dict[str, Any] = json.loads(text)
        return found


def _two_versions(server: Server, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    for number in range(2):
        (source / "weights").write_bytes(os.urandom(1 << 20))
        command = regsvc("push", str(source), "bench/rates", "--param", f"seed={number}")
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        )
    shutil.rmtree(source)


def _resident(server: Server) -> int:
    """Bytes that the server holds now."""
    server.forget_peak()
    return server.peak


def _wire_name(build: str) -> str:
    """`team/model/builds/7` to its resource name."""
    namespace, model, *rest = build.split("/")
    return "/".join(["namespaces", namespace, "models", model, *rest])


def _percentile(ascending: Sequence[float], percent: int) -> float:
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=6000, help="of each method  [6000]")
    parser.add_argument("--lines", type=int, default=10_000, help="that are followed  [10000]")
    parser.add_argument("--idle", type=int, default=1000, help="followers that wait  [1000]")
    parser.add_argument("--chunks", type=int, default=1_000_000, help="in the index  [1000000]")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurements of the index  [5]")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regsvc-rates-") as name:
        figures = measure(
            Path(name) / "rates",
            calls=asked.calls,
            followed_lines=asked.lines,
            idle=asked.idle,
            index_chunks=asked.chunks,
            rounds=asked.rounds,
        )
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    _main()
