"""Where the server is: what is no address is said plainly, and at a terminal that one is waited for."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys

import pytest
from support import Server, run_cli

import regsvc
from regsvc.errors import NameInvalid


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:7070",
        "127.0.0.1:7070/x",
        "127.0.0.1:",
        "host:port",
        "host:65536",
        "::1",
        "two words",
        "unix:",
    ],
)
def test_what_is_no_address_is_a_usage_error_in_plain_words(endpoint: str) -> None:
    done = run_cli("ls", endpoint=endpoint, check=False)
    assert done.returncode == 2
    assert "expected HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH" in done.stderr
    assert "resolving" not in done.stderr
    with pytest.raises(NameInvalid, match="is no server"):
        regsvc.connect(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("regsvc://host/", "host:7070"),
        ("host_1.example:443", "host_1.example:443"),
        ("[::1]", "[::1]:7070"),
        ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
        ("unix:/run/regsvc.sock", "unix:/run/regsvc.sock"),
    ],
)
def test_addresses_may_leave_out_the_port(endpoint: str, target: str) -> None:
    with regsvc.connect(endpoint) as client:
        assert client.endpoint == target


def test_a_name_without_an_address_is_told_without_the_words_of_grpc() -> None:
    done = run_cli("ls", endpoint="nothing.invalid:7070", check=False)
    assert done.returncode == 1
    assert "the server at nothing.invalid:7070 cannot be reached" in done.stderr
    assert "field:" not in done.stderr


def test_a_terminal_says_that_a_server_is_waited_for(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        away = f"127.0.0.1:{taken.getsockname()[1]}"
    assert f"regsvc: waiting for {away}" in at_a_terminal("--server", away, "ls")
    assert at_a_terminal("--server", server.endpoint, "ls") == ""
    assert "waiting" not in run_cli("ls", endpoint=away, check=False).stderr


def at_a_terminal(*arguments: str) -> str:
    """What `regsvc ARGUMENTS` writes to a stderr that is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc", *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 1 << 16)
        except OSError:  # the other end has been closed
            break
    os.close(ours)
    process.communicate()
    return seen.decode()
