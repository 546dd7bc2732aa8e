"""Sixteen clients at once: all pull one version, and each pushes one of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import Failed, Server, registry, regsvc, run_json

CLIENT = str(Path(__file__).with_name("crowd_client.py"))
SOURCES = str(Path(__file__).with_name("sources.py"))
CLIENTS = 16


def measure(folder: Path, pull_mib: int, push_mib: int) -> dict[str, Any]:
    """Rates in bytes a second, shares, and the server's peak in bytes. Raises `Failed`, also when a push is lost."""
    folder.mkdir()
    try:
        return {**_pulls(folder, pull_mib), **_pushes(folder, push_mib)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pulls(folder: Path, mib: int) -> dict[str, Any]:
    size = mib << 20
    source = folder / "source"
    source.mkdir()
    subprocess.run([sys.executable, SOURCES, "incompressible", str(mib), str(source)], check=True)
    with registry(folder / "data") as server:
        environment = _environment(server)
        run_json(regsvc("push", str(source / "base"), "bench/crowd", "--json"), environment)
        shutil.rmtree(source)
        one = _together(folder, server, [["pull", "bench/crowd:1", str(folder / "out-0")]])
        shutil.rmtree(folder / "out-0")
        server.forget_peak()
        commands = [["pull", "bench/crowd:1", str(folder / f"out-{n}")] for n in range(CLIENTS)]
        many = _together(folder, server, commands)
        peak = server.peak
    _clean(folder)
    rate = CLIENTS * size / (max(end for _, end in many) - min(begin for begin, _ in many))
    shares = [size / (end - begin) for begin, end in many]
    return {
        "pull_mib": mib,
        "pull_one": size / (one[0][1] - one[0][0]),
        "pull_sum": rate,
        "pull_slowest_share": min(shares) / (rate / CLIENTS),
        "pull_server_peak": peak,
    }


def _pushes(folder: Path, mib: int) -> dict[str, Any]:
    for n in range(CLIENTS):
        (folder / f"in-{n}").mkdir()
        with open(folder / f"in-{n}" / "random.bin", "wb") as out:
            for _ in range(mib):
                out.write(os.urandom(1 << 20))
    with registry(folder / "data") as server:
        server.forget_peak()
        commands = [["push", str(folder / f"in-{n}"), f"bench/push-{n}"] for n in range(CLIENTS)]
        times = _together(folder, server, commands)
        peak = server.peak
        server.kill()
    for n in range(CLIENTS):
        shutil.rmtree(folder / f"in-{n}")
    with registry(folder / "data") as server:  # what was acknowledged is there, also after a kill
        for n in range(CLIENTS):
            out = folder / "out"
            answer, _ = run_json(
                regsvc("pull", f"bench/push-{n}:1", str(out), "--json"), _environment(server)
            )
            if answer["bytes"] != mib << 20:
                raise Failed(f"push {n} came back with {answer['bytes']} bytes")
            _clean(folder, data=False)
    rate = CLIENTS * (mib << 20) / (max(end for _, end in times) - min(begin for begin, _ in times))
    return {"push_mib": mib, "push_sum": rate, "push_server_peak": peak}


def _together(folder: Path, server: Server, commands: list[list[str]]) -> list[tuple[float, float]]:
    """Begin and end of each command, on one clock; all start when all are ready."""
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
    times = []
    for client in clients:
        output, _ = client.communicate()
        if client.returncode:
            raise Failed(f"a client of the crowd ended with {client.returncode}")
        answer = json.loads(output)
        times.append((answer["begin"], answer["end"]))
    go.unlink()
    return times


def _environment(server: Server) -> dict[str, str]:
    return {"REGSVC_ENDPOINT": server.endpoint, "REGSVC_CACHE": "off", "REGSVC_STATE": "off"}


def _clean(folder: Path, *, data: bool = True) -> None:
    for path in folder.iterdir():
        if path.name.startswith((".out", "out")) or (data and path.name.startswith("data")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
