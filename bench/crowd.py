"""Sixteen clients at once: all pull one version, and each pushes one of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from processes import Failed, Server, registry, regsvc, run, run_json

CLIENT = str(Path(__file__).with_name("crowd_client.py"))
SOURCES = str(Path(__file__).with_name("sources.py"))
CLIENTS = 16
Settle = Callable[[], None]
"""Called before each operation."""


@dataclass(frozen=True)
class Answer:
    """What one client of a crowd says."""

    begin: float
    end: float
    """Seconds on one clock for all."""
    peak: int
    """Its largest resident set, in bytes."""
    digest: str
    """Of the version."""

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        return self.end - self.begin


def measure_pulls(folder: Path, mib: int, rounds: int, settle: Settle) -> list[dict[str, Any]]:
    """Each round one client alone and then sixteen; bytes, and bytes a second. Raises `Failed`."""
    folder.mkdir()
    size = mib << 20
    source = folder / "source"
    source.mkdir()
    found = []
    try:
        _make("incompressible", mib, source)
        with registry(folder / "data") as server:
            run_json(regsvc("push", str(source / "base"), "bench/crowd", "--json"), _environment(server))
            shutil.rmtree(source)
            for _ in range(rounds):
                settle()
                [one] = _pull_together(folder, server, 1)
                settle()
                server.forget_peak()
                many = _pull_together(folder, server, CLIENTS)
                found.append(
                    {
                        "mib": mib,
                        "one": size / one.seconds,
                        "sum": _rate(many, size),
                        "slowest_share": min_share([size / each.seconds for each in many]),
                        "server_peak": server.peak,
                        "client_peak": max(each.peak for each in many),
                    }
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def measure_pushes(
    folder: Path, waiting: Path, mib: int, rounds: int, settle: Settle
) -> list[dict[str, Any]]:
    """Each round into an empty registry; the last is killed, started again and read back. Raises `Failed`.

    What is pushed lies in `waiting`, which may be on a disk: it has just been written, so it is in the page cache.
    """
    folder.mkdir()
    data, size = folder / "data", mib << 20
    found: list[dict[str, Any]] = []
    try:
        _make("crowd", CLIENTS * mib, waiting)
        sources = sorted((waiting / "base").iterdir())
        for number in range(1, rounds + 1):
            settle()
            with registry(data) as server:
                server.forget_peak()
                commands = [["push", str(each), f"bench/push-{n}"] for n, each in enumerate(sources)]
                answers = _together(folder, server, commands)
                found.append(
                    {
                        "mib": mib,
                        "sum": _rate(answers, size),
                        "server_peak": server.peak,
                        "client_peak": max(each.peak for each in answers),
                    }
                )
                server.kill()
            if number == rounds:
                found[-1]["read_back"] = _read_back(folder, data, answers)
            shutil.rmtree(data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def min_share(rates: list[float]) -> float:
    """The slowest client's rate, of what each would have if all were treated alike.

    1 when all end together; 0.3 when sixteen are served one after the other.
    """
    return min(rates) / mean(rates)


def _make(case: str, mib: int, folder: Path) -> None:
    run([sys.executable, SOURCES, case, str(mib), str(folder)])


def _read_back(folder: Path, data: Path, pushed: list[Answer]) -> int:
    """How many versions are there, and are what was pushed, after a kill and a start."""
    intact = 0
    with registry(data) as server:
        for n, answer in enumerate(pushed):
            out = folder / "out"
            pulled, _ = run_json(
                regsvc("pull", f"bench/push-{n}:1", str(out), "--json"), _environment(server)
            )
            intact += (
                pulled["digest"] == answer.digest
            )  # a pull proves that the bytes are those of its digest
            shutil.rmtree(out)
    return intact


def _pull_together(folder: Path, server: Server, clients: int) -> list[Answer]:
    outs = [folder / f"out-{n}" for n in range(clients)]
    answers = _together(folder, server, [["pull", "bench/crowd:1", str(out)] for out in outs])
    for out in outs:
        shutil.rmtree(out)
    return answers


def _together(folder: Path, server: Server, commands: list[list[str]]) -> list[Answer]:
    """What each command took; all start when all are ready."""
    go = folder / "go"
    clients = [
        subprocess.Popen(
            [sys.executable, CLIENT, str(go), *command],
            env={**os.environ, **_environment(server)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    for client in clients:
        assert client.stdout is not None
        client.stdout.readline()  # ready
    go.touch()
    outputs = [client.communicate()[0] for client in clients]
    go.unlink()
    for client in clients:
        if client.returncode:
            raise Failed(f"a client of the crowd ended with {client.returncode}")
    return [Answer(**json.loads(output)) for output in outputs]


def _rate(answers: list[Answer], size: int) -> float:
    """Of all together, from the first one's start to the last one's end."""
    begin, end = min(each.begin for each in answers), max(each.end for each in answers)
    return len(answers) * size / (end - begin)


def _environment(server: Server) -> dict[str, str]:
    return {"REGSVC_ENDPOINT": server.endpoint, "REGSVC_CACHE": "off", "REGSVC_STATE": "off"}
