"""`regsvc metrics BUILD --follow`: points of a build in another process, while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Server

import regsvc

TRAINING = """
import os, sys, time
import regsvc
build = regsvc.current_build()
for step in range(3):
    build.log_metrics({"loss": 1 / (step + 1), "f1": step / 10}, step=step)
build.flush()
print("begun")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
for step in range(3, 2500):
    build.log_metric("loss", 1 / (step + 1), step=step)
"""
LIMIT = 60


def started(server: Server, *arguments: str) -> subprocess.Popen[str]:
    """`regsvc ARGUMENTS` in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "regsvc", "--server", server.endpoint, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
def test_points_come_while_the_build_runs_and_end_with_it(
    start_server: Callable[..., Server], tmp_path: Path, restart: bool
) -> None:
    server, go = start_server(), tmp_path / "go"
    training = started(server, "build", "run", "live/m", "--", sys.executable, "-c", TRAINING, str(go))
    assert training.stdout is not None
    assert training.stdout.readline() == "begun\n"
    all_points = started(server, "metrics", "live/m/builds/1", "--follow", "--json")
    one_metric = started(server, "metrics", "live/m/builds/1", "f1", "-f")
    assert all_points.stdout is not None
    assert one_metric.stdout is not None

    # Read before the build may go on: these lines did not wait for its end.
    live = [json.loads(all_points.stdout.readline()) for _ in range(6)]
    rows = [one_metric.stdout.readline().split()[2:] for _ in range(3)]
    with regsvc.connect(server.endpoint) as client:
        assert client.get_build("live/m/builds/1").state == "RUNNING"
    if restart:
        server.kill()
        server.start()
    go.touch()
    rest, told = all_points.communicate(timeout=LIMIT)
    assert training.wait(LIMIT) == 0
    training.communicate()

    assert [(each["key"], each["step"], each["value"]) for each in live[:2]] == [
        ("loss", 0, 1.0),
        ("f1", 0, 0.0),
    ]
    assert set(live[0]) == {"key", "value", "step", "time"}
    assert rows == [["0", "f1", "0"], ["1", "f1", "0.1"], ["2", "f1", "0.2"]]
    points = [*live, *map(json.loads, rest.splitlines())]
    losses = [(each["step"], each["value"]) for each in points if each["key"] == "loss"]
    assert losses == [(step, 1 / (step + 1)) for step in range(2500)], "each once and in order"
    assert told == "regsvc: build live/m/builds/1 SUCCEEDED\n"
    assert (all_points.returncode, one_metric.communicate(timeout=LIMIT)[0]) == (0, "")


def test_a_build_that_has_ended_is_printed_whole(shared_server: Server) -> None:
    with regsvc.connect(shared_server.endpoint) as client, client.build("live/ended") as build:
        build.log_metric("loss", 0.25, step=-7)
    done = shared_server.cli("metrics", build.name, "--follow")
    assert done.stdout.split()[2:] == ["-7", "loss", "0.25"]
    assert done.stderr == f"regsvc: build {build.name} SUCCEEDED\n"


def test_what_cannot_be_followed_is_refused(shared_server: Server) -> None:
    def refused(*arguments: str) -> tuple[int, str]:
        done = shared_server.cli("metrics", *arguments, "--follow", check=False)
        assert len(done.stderr.splitlines()) == 1
        return done.returncode, done.stderr

    assert "only a build can be followed" in refused("live/m:1")[1]
    assert refused("live/m/builds/9", "--source", "nightly")[0] == 2
    assert refused("live/m/builds/9", "--max-points", "9")[0] == 2
    status, told = refused("live/m/builds/999")
    assert (status, "live/m/builds/999" in told) == (1, True)
