"""What follows when a runner is lost or a build fails, by raw gRPC, and over kills of the server."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from server import automation as auto
from server.automation import Runner
from server.wire import LIMIT, Wire, lines
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import template_pb2 as pb

QUEUED, LOST, FAILED = bld.BUILD_STATE_QUEUED, bld.BUILD_STATE_LOST, bld.BUILD_STATE_FAILED
SHORT = ("--build-lease", "1")


@pytest.fixture
def short(start_server: Callable[..., Server]) -> Server:
    """A server that waits a second for runners that say nothing."""
    return start_server(*SHORT)


def states(wire: Wire, model: str) -> list[int]:
    return [each.state for each in auto.builds(wire, model)]


def test_a_lost_build_is_tried_again_as_often_as_its_template_says(short: Server) -> None:
    with Wire(short) as wire:
        auto.put(wire, "retry/lost", retries=pb.TemplateRetries(lost=2), params={"a": auto.text("1")})
        build = auto.start(wire, "retry/lost", params={"a": auto.text("2")}, author="ann").name
        for attempt in (1, 2, 3):
            auto.claim(wire, build, f"host-{attempt}")
            wait_until(lambda: wire.build(build).state == LOST)  # noqa: B023
            after = auto.builds(wire, "retry/lost")[-1]
            if attempt < 3:
                assert list(wire.build(build).run.followed_by) == [after.name]
                assert (after.state, after.run.retry_of, after.run.attempt) == (QUEUED, build, attempt + 1)
                assert (after.run.trigger, after.run.author) == ("retry", "ann")
                assert after.metadata.params["a"].string_value == "2"
                build = after.name
        assert states(wire, "retry/lost") == [LOST] * 3


def test_a_runner_that_comes_back_after_its_lease_is_refused(short: Server) -> None:
    with Wire(short) as wire:
        auto.put(wire, "retry/late", retries=pb.TemplateRetries(lost=1))
        build = auto.start(wire, "retry/late").name
        auto.claim(wire, build)
        wait_until(lambda: wire.build(build).state == LOST)
        for call in (
            lambda: wire.append(build, lines(1, b"late")),
            lambda: wire.finish(build),
            lambda: auto.claim(wire, build),
            lambda: wire.start("retry/late", build),
        ):
            with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
                call()
        assert states(wire, "retry/late") == [LOST, QUEUED]


def test_a_failed_build_waits_for_its_backoff_which_doubles(wire: Wire) -> None:
    auto.put(wire, "retry/failed", retries=pb.TemplateRetries(failed=2, backoff_seconds=1))
    build = auto.start(wire, "retry/failed")
    for backoff in (1, 2):
        auto.claim(wire, build.name)
        ended = wire.finish(build.name, FAILED, "step x failed")
        build = auto.builds(wire, "retry/failed")[-1]
        waits = build.run.not_before.ToMicroseconds() - ended.end_time.ToMicroseconds()
        assert waits == backoff * 1_000_000
        with wire.refused("FAILED_PRECONDITION", "NOT_DUE"):
            auto.claim(wire, build.name)
        runner = Runner(wire, "host-1")
        assert runner.hears() == (build.name, "")  # no sooner than it may be taken
        runner.end()
    auto.claim(wire, build.name)
    wire.finish(build.name, FAILED, "step x failed")
    assert states(wire, "retry/failed") == [FAILED] * 3


def test_what_somebody_stopped_or_what_succeeded_is_not_tried_again(short: Server) -> None:
    with Wire(short) as wire:
        auto.put(wire, "retry/none", retries=pb.TemplateRetries(lost=3, failed=3))
        cancelled, stopped, done = (auto.start(wire, "retry/none").name for _ in range(3))
        auto.cancel(wire, cancelled)
        auto.claim(wire, stopped)
        auto.cancel(wire, stopped)
        auto.claim(wire, done)
        wire.finish(done)
        wait_until(lambda: wire.build(stopped).state == LOST)
        assert len(states(wire, "retry/none")) == 3
        deleted = auto.start(wire, "retry/none").name
        auto.claim(wire, deleted)
        wire.templates.DeleteTemplate(pb.DeleteTemplateRequest(name=auto.name("retry/none")))
        wire.finish(deleted, FAILED)
        assert len(states(wire, "retry/none")) == 4


def test_an_end_and_the_next_attempt_are_one_over_kills(start_server: Callable[..., Server]) -> None:
    """The server is killed before and after each end; every attempt is there once."""
    server = start_server()
    with Wire(server) as wire:
        auto.put(wire, "retry/kill", retries=pb.TemplateRetries(failed=6))
        auto.start(wire, "retry/kill")
    for attempt in range(1, 5):
        server.kill()
        server.start()
        with Wire(server) as wire:
            found = auto.builds(wire, "retry/kill")
            assert [each.state for each in found] == [FAILED] * (attempt - 1) + [QUEUED]
            assert [each.run.attempt for each in found] == list(range(1, attempt + 1))
            auto.claim(wire, found[-1].name)
            # Asked twice, as by a runner that never heard the first answer.
            wire.finish(found[-1].name, FAILED)
            wire.finish(found[-1].name, FAILED)


def test_a_runner_killed_while_the_server_is_away_gets_a_whole_lease_and_is_then_lost(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(*SHORT)
    with Wire(server) as wire:
        auto.put(wire, "retry/both", retries=pb.TemplateRetries(lost=1))
        build = auto.start(wire, "retry/both").name
        auto.claim(wire, build)
    server.kill()
    server.start()
    with Wire(server) as wire:
        wait_until(lambda: wire.build(build).state == LOST)
        assert states(wire, "retry/both") == [LOST, QUEUED]


def test_a_runner_that_dies_at_any_stage_leaves_what_was_acknowledged_and_no_more(short: Server) -> None:
    """After the claim, in a step, in an upload, and after the publication: the next attempt is there each time."""
    with Wire(short) as wire:
        builds = {}
        for stage in ("claimed", "step", "upload", "published"):
            auto.put(wire, f"dies/{stage}", retries=pb.TemplateRetries(lost=1))
            builds[stage] = auto.start(wire, f"dies/{stage}").name
            auto.claim(wire, builds[stage])
        request = bld.StartStepRequest(build=builds["step"], step="train")
        wire.builds.StartStep(request, timeout=LIMIT)
        # Its clock is an hour off, and so are the times of what it says; the lease goes by the server's.
        line = lines(1, b"epoch 1")[0]
        line.time.FromSeconds(int(time.time()) + 3600)
        wire.append(builds["step"], [line])
        upload = wire.start("dies/upload", builds["upload"])
        wire.write_file(upload, "w", b"half")
        wire.push("dies/published", {"w": b"whole"}, builds["published"])
        for stage, build in builds.items():
            wait_until(lambda: wire.build(build).state == LOST)  # noqa: B023
            assert states(wire, f"dies/{stage}") == [LOST, QUEUED]
        assert [step.state for step in wire.build(builds["step"]).steps] == [bld.STEP_STATE_CANCELLED]
        assert [each.text for each in wire.log(builds["step"])] == [b"epoch 1"]
        with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
            wire.commit(upload)
        assert wire.versions("dies/upload") == []
        assert wire.versions("dies/published") == [1]
