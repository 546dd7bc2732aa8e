"""The log's writing end: nothing is lost, doubled or reordered, whatever happens to the server."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NoReturn

import grpc
import pytest
from support import Server, wait_until

from regsvc import errors
from regsvc.client import publisher as publisher_module
from regsvc.client.builds import get_build, start_build
from regsvc.client.connection import Connection
from regsvc.client.logs import read_log
from regsvc.client.session import BuildSession
from regsvc.refs import parse_build
from regsvc.v1 import build_pb2, build_pb2_grpc


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    with Connection(server.endpoint) as connection:
        yield connection


def start(connection: Connection) -> BuildSession:
    return start_build(connection, "team/fraud", registry=_Nothing())


class _Nothing:
    """Nothing is published here, and no dataset registered."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)


def texts(connection: Connection, build: BuildSession) -> list[str]:
    """The whole log; its numbers are 1..n."""
    lines = list(read_log(connection, build.name))
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    return [line.text for line in lines]


def test_lines_come_in_the_order_of_the_calls(connection: Connection) -> None:
    with start(connection) as build:
        build.log("one")
        build.log("two\nthree\n")
        build.log("")
        build.log("\n\nend")
    assert texts(connection, build) == ["one", "two", "three", "", "", "", "end"]


def test_a_killed_server_neither_loses_nor_doubles_a_line(connection: Connection, server: Server) -> None:
    printed = [f"line {number}" for number in range(20_000)]
    build = start(connection)
    for number, line in enumerate(printed):
        build.log(line)
        if number in (3_000, 12_000):
            server.kill()
            server.start()
        if number % 100 == 0:
            time.sleep(0.002)  # so that lines are on their way at every moment
    build.finish()
    assert texts(connection, build) == printed


def test_lines_that_come_all_the_time_share_commits(connection: Connection, server: Server) -> None:
    with start(connection) as build:
        began = time.monotonic()
        for number in range(300):
            build.log(f"line {number}")
            time.sleep(0.001)  # less than the pace, and enough for a commit
        build.flush()
        most = (time.monotonic() - began) / publisher_module._PACE + 3
        with closing(sqlite3.connect(f"file:{server.data / 'catalog.sqlite'}?mode=ro", uri=True)) as catalog:
            (commits,) = catalog.execute("SELECT count(*) FROM log_batches").fetchone()
    assert commits <= most
    assert len(texts(connection, build)) == 300


def test_a_restart_drains_and_the_log_goes_on(connection: Connection, server: Server) -> None:
    build = start(connection)
    build.log("before")
    server.restart()
    build.log("after")
    build.finish()
    assert texts(connection, build) == ["before", "after"]


def test_threads_may_log_at_once(connection: Connection) -> None:
    with start(connection) as build:

        def write(name: str) -> None:
            for number in range(500):
                build.log(f"{name} {number}")

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = texts(connection, build)
    assert len(lines) == 2000
    for name in "abcd":
        assert [line for line in lines if line.startswith(name)] == [f"{name} {n}" for n in range(500)]


def test_a_long_line_is_split_and_marked(connection: Connection) -> None:
    limit = connection.capabilities().max_log_line_bytes
    text = "0123456789" * (limit // 4)
    with start(connection) as build:
        build.log(text)
        build.log("x" * limit)
        build.log("next")
    lines = list(read_log(connection, build.name))
    assert [line.partial for line in lines] == [True, True, False, False, False]
    assert "".join(line.text for line in lines[:3]) == text
    assert [line.text for line in lines[3:]] == ["x" * limit, "next"]


def test_log_waits_when_the_buffer_is_full_and_goes_on(
    connection: Connection, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "BUFFER_LIMIT", 100_000)
    build = start(connection)
    build.log("first")
    build.flush()
    server.kill()
    count = 0

    def write() -> None:
        nonlocal count
        for number in range(1000):
            build.log(f"{number} " + "x" * 1000)
            count = number + 1

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: not build.has_room, what="the buffer is full")
    assert count < 200
    server.start()
    writer.join(timeout=60)
    build.finish()
    lines = texts(connection, build)
    assert [line.split()[0] for line in lines] == ["first", *map(str, range(1000))]


def test_flush_tells_how_many_lines_a_server_that_stays_away_has_not(
    connection: Connection, server: Server
) -> None:
    build = start(connection)
    build.flush()
    server.kill()
    build.log("one\ntwo")
    with pytest.raises(errors.Unavailable, match="2 log lines could not be delivered"):
        build.flush(patience=0.5)
    build.close()


def test_a_reader_that_does_not_read_does_not_slow_the_publisher(
    connection: Connection, server: Server
) -> None:
    with grpc.insecure_channel(server.endpoint) as channel, start(connection) as build:
        request = build_pb2.ReadLogRequest(build=parse_build(build.name).wire, follow=True)
        stuck = build_pb2_grpc.BuildServiceStub(channel).ReadLog(request)
        for number in range(300):
            build.log(f"{number} " + "x" * 50_000)  # 15 MB, far more than any window of the reader's stream
        build.flush(patience=30)
        assert get_build(connection, build.name).log_seq == 300
        stuck.cancel()


def test_a_quiet_build_outlives_its_lease(start_server: Callable[..., Server]) -> None:
    server = start_server("--build-lease", "1")
    with Connection(server.endpoint) as connection:
        with start(connection) as build:
            build.log("alive")
            began = time.monotonic()
            wait_until(lambda: time.monotonic() > began + 2.5, what="two leases")
            assert get_build(connection, build.name).state == "RUNNING"
        assert get_build(connection, build.name).state == "SUCCEEDED"


def test_a_line_reaches_a_follower_at_once(connection: Connection, server: Server) -> None:
    delays: list[float] = []
    with Connection(server.endpoint) as other, start(connection) as build:
        follower = read_log(other, build.name, follow=True)
        build.log("warm")
        next(follower)
        for _ in range(50):
            build.log(repr(time.monotonic()))
            line = next(follower)
            delays.append(time.monotonic() - float(line.text))
    assert sorted(delays)[-2] < 0.2
