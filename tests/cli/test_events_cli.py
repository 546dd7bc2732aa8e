"""`regsvc watch`: every change once, in order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support import Server

import regsvc


@contextmanager
def watching(server: Server, *args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc", "--server", server.endpoint, "watch", *args],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_events_as_json_lines_through_a_kill(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client, watching(server, "--after", "0", "--json") as watch:
        assert watch.stdout is not None
        seen: list[dict[str, Any]] = []
        for number in range(1, 4):
            with client.build("team/a") as build, build.step("train"):
                pass
            while not seen or (seen[-1]["kind"], seen[-1]["reference"]) != ("build.ended", build.name):
                seen.append(json.loads(watch.stdout.readline()))
            if number == 1:
                server.kill()
                server.start()
    assert [event["seq"] for event in seen] == sorted({event["seq"] for event in seen})
    ended = [event for event in seen if event["kind"] == "build.ended"]
    assert [event["reference"] for event in ended] == [f"team/a/builds/{number}" for number in (1, 2, 3)]
    assert all(event["attributes"]["state"] == "SUCCEEDED" for event in ended)
    assert {"model.created", "build.created", "step.started", "step.ended"} <= {
        event["kind"] for event in seen
    }


def test_events_for_people(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        client.build("team/a").finish()
    with watching(server, "--after", "0") as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(3)]
    assert any("build.created" in line and "team/a/builds/1" in line for line in lines)


def test_an_event_number_past_the_present_is_one_line_and_status_1(server: Server) -> None:
    done = server.cli("watch", "--after", "1000000", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
