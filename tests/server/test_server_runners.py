"""RunnerService by raw gRPC: what a runner of any language is offered and told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from server import automation as auto
from server.automation import Runner
from server.wire import LIMIT, Wire, expect_error
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import runner_pb2 as pb


@pytest.fixture
def wire(server: Server) -> Wire:  # type: ignore[misc]
    """Of a server of its own: runners are offered the builds of all models."""
    with Wire(server) as made:
        yield made


def test_builds_are_offered_oldest_first_as_slots_get_free(wire: Wire) -> None:
    auto.put(wire, "run/order")
    first, second, third = (auto.start(wire, "run/order").name for _ in range(3))
    runner = Runner(wire, "host-1", slots=2)
    assert runner.hears() == (first, "")
    assert runner.hears() == (second, "")
    for build in (first, second):
        assert runner.take(build).build.run.runner == "host-1"
    runner.free(0)
    wait_until(lambda: list(auto.runners(wire)["host-1"].builds) == [first, second])
    wire.finish(first)
    runner.free(1)
    assert runner.hears() == (third, "")
    found = auto.runners(wire)["host-1"]
    assert (found.connected, found.slots, found.host, list(found.builds)) == (True, 2, "h", [second])
    assert found.HasField("connect_time")
    runner.end()
    found = auto.runners(wire)["host-1"]
    assert (found.connected, list(found.builds)) == (False, [second])
    wire.finish(second)
    assert auto.runners(wire) == {}


def test_a_build_that_is_queued_later_is_offered_when_it_comes(wire: Wire) -> None:
    auto.put(wire, "run/later")
    runner = Runner(wire, "host-1")
    wait_until(lambda: "host-1" in auto.runners(wire))
    build = auto.start(wire, "run/later").name
    assert runner.hears() == (build, "")
    # It is not taken, and offered again when the runner says that it is free.
    runner.free(1)
    assert runner.hears() == (build, "")
    runner.end()


def test_only_who_has_all_labels_is_offered_a_build(wire: Wire) -> None:
    auto.put(wire, "run/labels", labels=["gpu", "linux"])
    auto.put(wire, "run/plain")
    build, plain = auto.start(wire, "run/labels").name, auto.start(wire, "run/plain").name
    some = Runner(wire, "some", "gpu")
    assert some.hears() == (plain, "")
    some.take(plain)
    some.free(1)
    able = Runner(wire, "all", "gpu", "linux", "x")
    assert able.hears() == (build, "")
    able.end()
    wire.finish(plain)
    later = auto.start(wire, "run/plain").name
    assert some.hears() == (later, "")
    some.end()


def test_a_build_that_one_runner_does_not_take_is_offered_to_another(wire: Wire) -> None:
    auto.put(wire, "run/idle")
    build = auto.start(wire, "run/idle").name
    idle = Runner(wire, "idle")
    assert idle.hears() == (build, "")
    other = Runner(wire, "other")
    assert other.hears() == (build, "")
    other.take(build)
    idle.end()
    other.end()


def test_two_idle_runners_do_not_race_for_one_build_but_each_gets_one(wire: Wire) -> None:
    auto.put(wire, "run/two")
    runners = [Runner(wire, f"host-{i}") for i in range(2)]
    wait_until(lambda: len(auto.runners(wire)) == 2)
    builds = {auto.start(wire, "run/two").name for _ in range(2)}
    assert {runner.hears()[0] for runner in runners} == builds
    for runner in runners:
        runner.end()


def test_a_runner_hears_of_a_cancel_once_on_each_stream(wire: Wire) -> None:
    auto.put(wire, "run/cancel")
    build = auto.start(wire, "run/cancel").name
    runner = Runner(wire, "host-1")
    assert runner.hears() == (build, "")
    runner.take(build)
    runner.free(0)
    other = Runner(wire, "host-2")
    assert auto.cancel(wire, build).state == bld.BUILD_STATE_RUNNING
    assert runner.hears() == ("", build)
    beat = wire.builds.Heartbeat(bld.HeartbeatRequest(build=build), timeout=LIMIT)
    assert beat.cancel_requested
    runner.end()
    runner = Runner(wire, "host-1")
    assert runner.hears() == ("", build)
    wire.finish(build, bld.BUILD_STATE_CANCELLED)
    later = auto.start(wire, "run/cancel").name
    assert later in {runner.hears()[0], other.hears()[0]}
    runner.end()
    other.end()


def test_a_newer_stream_of_the_same_start_ends_the_older(wire: Wire) -> None:
    older = Runner(wire, "host-1")
    wait_until(lambda: "host-1" in auto.runners(wire))
    newer = Runner(wire, "host-1")
    with expect_error("ABORTED", "SUPERSEDED", wire.server.data):
        older.hears()
    assert auto.runners(wire)["host-1"].connected
    other = Runner(wire, "host-1", session="s2")  # another process
    request = pb.ListRunnersRequest()
    wait_until(lambda: len(wire.runners.ListRunners(request, timeout=LIMIT).runners) == 2)
    newer.end()
    other.end()


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (pb.WorkRequest(), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (
            pb.WorkRequest(runner=pb.Runner(name="Host", session="s", slots=1)),
            "INVALID_ARGUMENT",
            "NAME_INVALID",
        ),
        (pb.WorkRequest(runner=pb.Runner(name="h", slots=1)), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (pb.WorkRequest(runner=pb.Runner(name="h", session="s")), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (
            pb.WorkRequest(runner=pb.Runner(name="h", session="s", slots=1, labels=["a\n"])),
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        ),
        (
            pb.WorkRequest(runner=pb.Runner(name="h", session="s", slots=1, labels=map(str, range(51)))),
            "RESOURCE_EXHAUSTED",
            "RESOURCE_EXHAUSTED",
        ),
    ],
)
def test_a_runner_that_does_not_say_who_it_is_is_refused(
    wire: Wire, message: pb.WorkRequest, code: str, reason: str
) -> None:
    with wire.refused(code, reason):
        list(wire.runners.Work(iter([message]), timeout=LIMIT))


def test_a_server_that_stops_ends_the_streams_and_a_kill_loses_no_offer(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    with Wire(server) as wire:
        auto.put(wire, "run/restart")
        runner = Runner(wire, "host-1")
        wait_until(lambda: "host-1" in auto.runners(wire))
        server.stop()
        with expect_error("UNAVAILABLE", "UNAVAILABLE", server.data):
            runner.hears()
    server.start()
    with Wire(server) as wire:
        build = auto.start(wire, "run/restart").name
        assert Runner(wire, "host-1").hears() == (build, "")
        server.kill()
    server.start()
    with Wire(server) as wire:
        runner = Runner(wire, "host-1")
        assert runner.hears() == (build, "")
        runner.take(build)
        server.kill()
    server.start()
    with Wire(server) as wire:
        assert auto.runners(wire)["host-1"].builds == [build]
        wire.finish(build)
