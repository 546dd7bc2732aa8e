"""How many log lines a second become durable, and how long a line takes to a reader in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from processes import Failed, Server, registry, regsvc, run_json

CHILD = str(Path(__file__).with_name("log_child.py"))
TAIL_RATE = 200
"""Lines a second of the tail: a chatty training run."""


def measure(folder: Path, *, published: int, tailed: int, rounds: int) -> dict[str, Any]:
    """Both figures, on one server: the rate of each round. Raises `Failed`, also when a line is lost or doubled."""
    folder.mkdir()
    with registry(folder / "data") as server:
        latencies = _tail(server, folder / "go", tailed)
        before = server.cpu
        command = [sys.executable, CHILD, "publish", str(published)]
        runs = [run_json(command, {"REGSVC_ENDPOINT": server.endpoint}) for _ in range(rounds)]
        return {
            "published_lines": published,
            "lines_per_second": [published / answer["seconds"] for answer, _ in runs],
            "publisher_peak": max(cost.peak for _, cost in runs),
            "publisher_cpu": sum(cost.cpu for _, cost in runs) / rounds,
            "server_cpu": (server.cpu - before) / rounds,
            "server_peak": server.peak,
            "tailed_lines": tailed,
            "tailed_lines_per_second": TAIL_RATE,
            "tail_p50_ms": _percentile(latencies, 50),
            "tail_p99_ms": _percentile(latencies, 99),
            "tail_max_ms": latencies[-1],
        }


def _tail(server: Server, go: Path, count: int) -> list[float]:
    """Milliseconds, ascending, from a line's print in the child of `build run` to `logs -f` printing it."""
    environment = {**os.environ, "REGSVC_ENDPOINT": server.endpoint}
    child = [sys.executable, CHILD, "tail", str(count), str(TAIL_RATE), str(go)]
    build = subprocess.Popen(
        regsvc("build", "run", "bench/tail", "--", *child),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert build.stdout is not None
    build.stdout.readline()  # the child runs, so the build exists
    tail = subprocess.Popen(
        regsvc("logs", "-f", "--json", "bench/tail/builds/1"), env=environment, stdout=subprocess.PIPE
    )
    assert tail.stdout is not None
    with build, tail:
        tail.stdout.readline()  # it follows
        go.touch()
        latencies = []
        for seq in range(2, count + 2):
            line = tail.stdout.readline()
            arrived = time.monotonic_ns()
            if not line or (parsed := json.loads(line))["seq"] != seq:
                raise Failed(f"the tail has {line!r} where line {seq} belongs")
            latencies.append((arrived - int(parsed["text"])) / 1e6)
        build.stdout.read()
        if tail.wait() or build.wait():
            raise Failed(f"build run ended with {build.returncode}, logs -f with {tail.returncode}")
    return sorted(latencies)


def _percentile(ascending: list[float], percent: int) -> float:
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]
