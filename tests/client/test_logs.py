"""Reading logs and events: each line once, in order, from where the reader is."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from support import Server, wait_until

import regsvc
from regsvc import errors
from regsvc.client.client import Client


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


@pytest.fixture(scope="module")
def written(shared_server: Server) -> str:
    """A build with six lines in two steps."""
    with regsvc.connect(shared_server.endpoint) as client, client.build("team/read") as build:
        build.log("1")
        for step in ("train", "test"):
            with build.step(step):
                build.log(f"{step} a\n{step} b")
        build.log("6")
    return build.name


def test_history_from_a_number(client: Client, written: str) -> None:
    assert [line.seq for line in client.logs(written)] == [1, 2, 3, 4, 5, 6]
    assert [line.seq for line in client.logs(written, after=4)] == [5, 6]
    assert list(client.logs(written, after=6)) == []
    assert [line.seq for line in client.logs(written, after=3, follow=True)] == [4, 5, 6]


def test_only_one_step(client: Client, written: str) -> None:
    assert [line.text for line in client.logs(written, step="test")] == ["test a", "test b"]
    assert [line.seq for line in client.logs(written, step="test", after=4)] == [5]
    assert list(client.logs(written, step="never")) == []


def test_a_number_past_the_end_is_out_of_range(client: Client, written: str) -> None:
    with pytest.raises(errors.OutOfRange):
        list(client.logs(written, after=7))


@pytest.mark.parametrize("name", ["team/read/builds/999", "team/never/builds/1"])
def test_an_unknown_build_is_not_found(client: Client, name: str) -> None:
    with pytest.raises(errors.NotFound):
        list(client.logs(name))
    with pytest.raises(errors.NotFound):
        client.get_build(name)


def test_a_malformed_build_name_is_told_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(errors.NameInvalid):
        client.logs("team/read:3")


FOLLOWER = """
import json, sys, regsvc
for line in regsvc.connect(sys.argv[1]).logs(sys.argv[2], follow=True):
    print(json.dumps([line.seq, line.text]), flush=True)
"""


def test_a_follower_in_another_process_sees_each_line_once_through_kills(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        build = client.build("team/fraud")
        follower = subprocess.Popen(
            [sys.executable, "-c", FOLLOWER, server.endpoint, build.name], stdout=subprocess.PIPE, text=True
        )
        assert follower.stdout is not None
        seen: list[list[object]] = []
        reader = threading.Thread(target=lambda: seen.extend(map(json.loads, follower.stdout)))  # type: ignore[arg-type]
        reader.start()
        printed = [f"line {number}" for number in range(6000)]
        for number, line in enumerate(printed):
            build.log(line)
            if number in (1000, 4000):
                wait_until(lambda limit=number // 2: len(seen) > limit, what="the follower is reading")
                server.kill()
                server.start()
        build.finish()
        reader.join(timeout=60)
        follower.wait(timeout=10)
        follower.stdout.close()
    assert seen == [[number + 1, line] for number, line in enumerate(printed)]


def test_nobody_resumes_at_another_registry(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with regsvc.connect(server.endpoint) as client:
        build = client.build("team/fraud")
        build.log("one")
        lines = client.logs(build.name, follow=True)
        assert next(lines).text == "one"
        server.kill()
        start_server(listen=server.endpoint)
        with pytest.raises(errors.FailedPrecondition, match="another registry"):
            next(lines)
        wait_until(lambda: build.failure is not None, what="the publisher notices, too")
        assert "another registry" in str(build.failure)
        build.close()


def test_a_follower_that_stops_frees_its_stream(client: Client) -> None:
    with client.build("team/fraud") as build:
        build.log("one\ntwo\nthree")
        lines = client.logs(build.name, follow=True)
        assert next(iter(lines)).text == "one"
        lines.close()  # type: ignore[attr-defined]
        build.log("four")
    assert [line.seq for line in client.logs(build.name)] == [1, 2, 3, 4]


def test_events_come_once_through_a_restart(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        events = client.watch(after=0)
        names = [client.build("team/a").finish().name]
        created = next(event for event in events if event.kind == "build.created")
        assert created.reference == names[0]
        for kill in (True, False):
            if kill:
                server.kill()
                server.start()
            else:
                server.restart()
            names.append(client.build("team/a").finish().name)
        found = list(itertools.islice((event for event in events if event.kind == "build.created"), 2))
        assert [event.reference for event in found] == names[1:]
        assert created.seq < found[0].seq < found[1].seq


def test_a_watch_from_now_shows_only_what_is_new(client: Client) -> None:
    client.build("team/old").finish()
    events = client.watch()
    seen: list[str] = []
    first = threading.Thread(target=lambda: seen.append(next(iter(events)).reference))
    first.start()

    def noticed() -> bool:  # the watch may not be in place at the first one
        client.build("team/new").finish()
        return bool(seen)

    wait_until(noticed, what="an event arrives")
    first.join()
    assert seen[0].startswith("team/new")


def test_event_numbers_past_the_present_are_refused(client: Client) -> None:
    with pytest.raises(errors.SeqAhead):
        next(iter(client.watch(after=1 << 40)))
