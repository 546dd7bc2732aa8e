"""`regsvc push` and `pull`: what they print, and how they end."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from support import Server, run_cli


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "sub").mkdir(parents=True)
    (root / "weights.bin").write_bytes(os.urandom(3 << 20))
    (root / "sub" / "config.json").write_text("{}")
    return root


def test_push_prints_the_promised_json(shared_server: Server, source: Path) -> None:
    options = ["--alias", "candidate", "--param", "lr=0.1", "--metric", "f1=0.8", "--tag", "k=v", "--json"]
    pushed = json.loads(shared_server.cli("push", str(source), "team/json", *options).stdout)
    assert {"reference", "version", "digest", "files", "bytes", "bytes_sent", "chunks", "chunks_sent"} <= set(
        pushed
    )
    assert (pushed["reference"], pushed["version"], pushed["files"]) == ("team/json:1", 1, 2)
    assert pushed["bytes"] == (3 << 20) + 2
    assert pushed["chunks"] == pushed["chunks_sent"]
    again = json.loads(shared_server.cli("push", str(source), "team/json", "--json").stdout)
    assert (again["chunks_sent"], again["bytes_sent"], again["digest"]) == (0, 0, pushed["digest"])


def test_pull_prints_the_promised_json(shared_server: Server, source: Path, tmp_path: Path) -> None:
    shared_server.cli("push", str(source), "team/pull")
    out = tmp_path / "out"
    pulled = json.loads(shared_server.cli("pull", "team/pull:1", str(out), "--json").stdout)
    assert set(pulled) >= {"reference", "digest", "files", "bytes", "bytes_received", "seconds"}
    assert subprocess.run(["diff", "-r", source, out], check=False).returncode == 0


def test_without_a_terminal_there_is_neither_bar_nor_colour(
    shared_server: Server, source: Path, tmp_path: Path
) -> None:
    pushed = shared_server.cli("push", str(source), "team/plain")
    pulled = shared_server.cli("pull", "team/plain", str(tmp_path / "out"))
    for done in (pushed, pulled):
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
        assert "team/plain:1" in done.stdout


def test_a_part_of_a_version_is_not_called_the_whole(
    shared_server: Server, source: Path, tmp_path: Path
) -> None:
    (source / "more.txt").write_text("more")
    whole = json.loads(shared_server.cli("push", str(source), "team/part", "--json").stdout)
    part = shared_server.cli("pull", "team/part", str(tmp_path / "part"), "--include", "more.txt").stdout
    assert part.startswith(f"team/part:1  1 of {whole['files']} files")
    assert f"part of b3:{whole['digest']}" in part
    again = json.loads(
        shared_server.cli("pull", "team/part", str(tmp_path / "whole"), "--exclude", "no", "--json").stdout
    )
    assert (again["left_out"], again["digest"]) == (0, whole["digest"])
    assert "part of" not in shared_server.cli("pull", "team/part", str(tmp_path / "whole")).stdout


def test_on_a_terminal_there_is_a_bar(shared_server: Server, source: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "regsvc",
        "--server",
        shared_server.endpoint,
        "push",
        str(source),
        "t/bar",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 1 << 16)
        except OSError:  # the other end has been closed
            break
    os.close(ours)
    assert b"t/bar:1" in process.communicate()[0]
    assert process.returncode == 0
    assert b"push" in seen
    assert b"MiB" in seen


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["push", "{source}", "Bad/Name"], "Bad/Name"),
        (["push", "{source}/nowhere", "team/x"], "nowhere"),
        (["push", "{source}", "team/x", "--metric", "loss=nan"], "loss"),
        (["push", "{source}", "team/x", "--alias", "latest"], "latest"),
        (["pull", "team/nothing", "{source}/out"], "team/nothing"),
        (["pull", "team/x:0", "{source}/out"], "team/x:0"),
    ],
)
def test_an_error_is_one_line_that_names_what(
    shared_server: Server, source: Path, arguments: list[str], named: str
) -> None:
    done = shared_server.cli(*[each.format(source=source) for each in arguments], check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("regsvc: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["push"], ["pull", "team/x"], ["push", ".", "team/x", "--metric", "f1"], ["nonsense"]]
)
def test_a_usage_error_is_status_2(shared_server: Server, arguments: list[str]) -> None:
    done = shared_server.cli(*arguments, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("regsvc: ")


def test_an_unreachable_server_is_named(source: Path) -> None:
    done = run_cli("push", str(source), "team/x", endpoint="127.0.0.1:1", check=False)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


def test_the_server_option_wins_over_the_environment(shared_server: Server, source: Path) -> None:
    done = run_cli(
        "--server", shared_server.endpoint, "push", str(source), "team/opt", endpoint="127.0.0.1:1"
    )
    assert "team/opt:1" in done.stdout


def test_a_reference_may_name_its_server(shared_server: Server, source: Path, tmp_path: Path) -> None:
    shared_server.cli("push", str(source), "team/named")
    ref = f"regsvc://{shared_server.endpoint}/team/named:1"
    run_cli("pull", ref, str(tmp_path / "out"), endpoint="127.0.0.1:1")
    assert (tmp_path / "out" / "weights.bin").exists()


def test_ctrl_c_ends_with_130(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(32 << 20))
    with CuttingProxy(shared_server.endpoint, up=8 << 20) as proxy:
        command = [
            sys.executable,
            "-m",
            "regsvc",
            "--server",
            proxy.endpoint,
            "push",
            str(tmp_path),
            "team/c",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert proxy.reached.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err


def test_help_loads_no_grpc() -> None:
    program = (
        "import sys\n"
        "from regsvc.cli.root import regsvc\n"
        "regsvc.main(['--help'], standalone_mode=False)\n"
        "assert 'grpc' not in sys.modules and 'rich' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
