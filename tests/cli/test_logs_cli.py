"""`regsvc logs`: exactly what was written, once, also while it is being written."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support import Server

import regsvc
from regsvc.client.client import Client
from regsvc.client.connection import Connection


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


@pytest.fixture(scope="module")
def build(shared_server: Server) -> str:
    script = 'printf "one\\n\\377\\n"; echo three >&2; sleep 0.1; printf "last"'
    _run(shared_server, "build", "run", "team/logged", "--", "sh", "-c", script)
    return "team/logged/builds/1"


def logs(server: Server, *args: str) -> bytes:
    return _run(server, "logs", *args)


def _run(server: Server, *args: str) -> bytes:
    command = [sys.executable, "-m", "regsvc", "--server", server.endpoint, *args]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_plain_output_is_what_was_written(shared_server: Server, build: str) -> None:
    assert sorted(logs(shared_server, build).splitlines()) == [b"last", b"one", b"three", b"\xff"]
    assert logs(shared_server, build, "--after", "3") == b"last\n"
    assert logs(shared_server, build, "-f", "--after", "3") == b"last\n"


def test_json_lines(shared_server: Server, build: str) -> None:
    lines = [json.loads(line) for line in logs(shared_server, build, "--json").splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert {"seq", "time", "step", "stream", "text", "partial"} <= lines[0].keys()
    odd = next(line for line in lines if "bytes" in line)
    assert (odd["text"], base64.b64decode(odd["bytes"])) == ("\ufffd", b"\xff")
    assert [line["text"] for line in lines if line["stream"] == "stderr"] == ["three"]


def test_pieces_of_a_long_line_are_joined(shared_server: Server, client: Client) -> None:
    with Connection(client.endpoint) as connection:
        text = "x" * (3 * connection.capabilities().max_log_line_bytes)
    with client.build("team/long") as session:
        session.log(text)
        session.log("next")
    assert logs(shared_server, session.name).decode() == f"{text}\nnext\n"


def test_one_step(shared_server: Server, client: Client) -> None:
    with client.build("team/steps") as session:
        for step in ("train", "test"):
            with session.step(step):
                session.log(f"in {step}")
    assert logs(shared_server, session.name, "--step", "test") == b"in test\n"


def test_an_unknown_build_is_one_line_and_status_1(shared_server: Server) -> None:
    for name in ("team/none/builds/1", "team/none"):
        done = shared_server.cli("logs", name, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_a_negative_number_is_a_usage_error(shared_server: Server) -> None:
    assert shared_server.cli("logs", "team/a/builds/1", "--after", "-1", check=False).returncode == 2


def test_on_a_terminal_lines_carry_their_step_and_the_end_is_shown(
    shared_server: Server, client: Client
) -> None:
    with client.build("team/terminal") as session:
        with session.step("train"):
            session.log("epoch [1/3]")
    shown = on_terminal(shared_server, "logs", "-f", session.name)
    assert "train │ " in shown
    assert "epoch [1/3]" in shown
    assert "SUCCEEDED" in shown


def test_build_run_on_a_terminal_shows_the_output_and_a_summary(shared_server: Server) -> None:
    script = "import regsvc\nwith regsvc.current_build().step('train'): print('working')"
    shown = on_terminal(shared_server, "build", "run", "team/terminal2", "--", sys.executable, "-c", script)
    assert "working\r\n" in shown
    assert "regsvc: build team/terminal2/builds/1 SUCCEEDED" in shown


def on_terminal(server: Server, *args: str) -> str:
    """What a command shows on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc", "--server", server.endpoint, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # how a terminal says that nobody holds its other end
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode()
