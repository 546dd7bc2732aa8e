"""`regsvc watch --filter --exec --state`: a command for each event, in order, at least once."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import Server, wait_until

import regsvc


@contextmanager
def watching(server: Server, *args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc", "--server", server.endpoint, "watch", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def make_models(server: Server, *names: str) -> None:
    with regsvc.connect(server.endpoint) as client:
        for name in names:
            client.build(name).finish()


def noting(folder: Path) -> str:
    """A command that appends what it is told to `seen`."""
    file = shlex.quote(str(folder / "seen"))
    return f'echo "$REGSVC_EVENT_SEQ $REGSVC_EVENT_KIND $REGSVC_EVENT_RESOURCE $(cat)" >> {file}'


def seen(folder: Path) -> list[list[str]]:
    file = folder / "seen"
    return [line.split(" ", 3) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_command_runs_once_for_each_event_in_order(server: Server, tmp_path: Path) -> None:
    make_models(server, "team/a", "team/b", "other/c")
    wanted = 'kind == "model.created" && model.startsWith("team/")'
    with watching(server, "--after", "0", "--filter", wanted, "--exec", noting(tmp_path)):
        wait_until(lambda: len(seen(tmp_path)) == 2)
        make_models(server, "team/d")
        wait_until(lambda: len(seen(tmp_path)) == 3)
    told = seen(tmp_path)
    assert [int(line[0]) for line in told] == sorted({int(line[0]) for line in told})
    assert [line[2] for line in told] == [f"namespaces/team/models/{name}" for name in "abd"]
    document = json.loads(told[0][3])
    assert document["kind"] == told[0][1] == "model.created"
    assert document["reference"] == "team/a"
    assert document["seq"] == int(told[0][0])


def test_a_killed_watch_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    state = tmp_path / "position"
    options = ["--state", str(state), "--filter", 'kind == "model.created"']
    with watching(server, *options, "--exec", noting(tmp_path)):
        # From now on, which is noted before anything happens.
        wait_until(state.exists)
    make_models(server, "team/a", "team/b")
    # Killed in the middle of the command for the first event: that one comes again.
    with watching(server, *options, "--exec", f"touch {shlex.quote(str(tmp_path / 'begun'))}; sleep 60"):
        wait_until((tmp_path / "begun").exists)
    with watching(server, *options, "--exec", noting(tmp_path)):
        wait_until(lambda: len(seen(tmp_path)) == 2)
    assert [line[2] for line in seen(tmp_path)] == [f"namespaces/team/models/{name}" for name in "ab"]


def test_the_position_moves_on_past_what_is_left_out(server: Server, tmp_path: Path) -> None:
    make_models(server, "team/a", "team/b")
    state = tmp_path / "position"
    with watching(
        server, "--after", "0", "--state", str(state), "--filter", 'kind == "model.created"', "--json"
    ):
        wait_until(lambda: state.exists() and int(state.read_text()) == 6)


@pytest.mark.parametrize("how", ["stop", "continue"])
def test_a_failing_command(server: Server, tmp_path: Path, how: str) -> None:
    make_models(server, "team/a", "team/b")
    state = tmp_path / "position"
    command = f"{noting(tmp_path)}; exit 7"
    options = ["--after", "0", "--filter", 'kind == "model.created"', "--state", str(state)]
    with watching(server, *options, "--on-error", how, "--exec", command) as watch:
        if how == "continue":
            wait_until(lambda: len(seen(tmp_path)) == 2)
            return
        _, err = watch.communicate(timeout=60)
        assert watch.returncode == 7
        assert "status 7" in err
    assert len(seen(tmp_path)) == 1
    failed = int(seen(tmp_path)[0][0])
    assert int(state.read_text()) < failed  # it comes again
    done = server.cli("watch", *options, "--exec", "kill -9 $$", check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_a_state_file_that_is_none_is_left_alone(server: Server, tmp_path: Path) -> None:
    state = tmp_path / "notes"
    state.write_text("my notes")
    done = server.cli("watch", "--state", str(state), check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert state.read_text() == "my notes"
    done = server.cli("watch", "--state", str(tmp_path / "none/position"), check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_a_bad_filter_is_one_line_that_says_where(server: Server) -> None:
    done = server.cli("watch", "--filter", 'kind = "a"', check=False)
    assert done.returncode == 1
    assert "column 6" in done.stderr
    assert len(done.stderr.splitlines()) == 1
