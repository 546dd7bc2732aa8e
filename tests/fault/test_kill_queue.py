"""Runners work the queue off while the server is killed: each build is taken once, each attempt follows once."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import grpc
from server import automation as auto
from server.wire import Wire
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import template_pb2 as pb

BUILDS = 60
KILLS = (15, 40)
RUNNERS = 4
FAILING = 5
"""Every so manieth build fails at its first attempt."""
STATES = {bld.BUILD_STATE_SUCCEEDED, bld.BUILD_STATE_FAILED, bld.BUILD_STATE_LOST}


class Crew:
    """Runners, each in a thread with a channel of its own, that connect again whenever the server is back."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.taken: defaultdict[str, set[str]] = defaultdict(set)
        self.stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=[f"host-{i}"]) for i in range(RUNNERS)]

    def __enter__(self) -> Crew:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self, name: str) -> None:
        while not self.stopping.is_set():
            try:
                with Wire(self.server) as wire:
                    for build in self._offers(wire, name):
                        self._execute(wire, name, build)
            except grpc.RpcError:
                time.sleep(0.05)

    def _offers(self, wire: Wire, name: str) -> Iterator[str]:
        runner = auto.Runner(wire, name)
        stopper = threading.Thread(target=lambda: (self.stopping.wait(), runner.call.cancel()), daemon=True)
        stopper.start()
        while True:
            offer, _ = runner.hears()
            yield offer
            runner.free(1)

    def _execute(self, wire: Wire, name: str, build: str) -> None:
        try:
            claimed = auto.claim(wire, build, name).build
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return  # another was faster
            raise
        self.taken[build].add(name)
        failing = claimed.run.attempt == 1 and claimed.number % FAILING == 0
        state = bld.BUILD_STATE_FAILED if failing else bld.BUILD_STATE_SUCCEEDED
        patiently(lambda: wire.finish(build, state))


def patiently(call: Callable[[], object]) -> None:
    """Again and again while the server is away."""

    def tried() -> bool:
        try:
            call()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    wait_until(tried)


def test_each_build_is_taken_once_and_each_attempt_follows_once(start_server: Callable[..., Server]) -> None:
    server = start_server("--build-lease", "5")
    with Wire(server) as wire, Crew(server) as crew:
        auto.put(wire, "kill/queue", retries=pb.TemplateRetries(lost=5, failed=1))
        for number in range(BUILDS):
            patiently(lambda: auto.start(wire, "kill/queue", request_id=f"run-{number}"))  # noqa: B023
            if number in KILLS:
                server.kill()
                server.start()
        wait_until(lambda: {each.state for each in auto.builds(wire, "kill/queue")} <= STATES)
        builds = auto.builds(wire, "kill/queue")
    assert len([each for each in builds if each.run.attempt == 1]) == BUILDS
    assert all(len(names) == 1 for names in crew.taken.values())
    for build in builds:
        expected = 0 if build.state == bld.BUILD_STATE_SUCCEEDED else 1
        assert len(build.run.followed_by) == expected, build.name
    followers = [name for build in builds for name in build.run.followed_by]
    assert sorted(followers) == sorted(each.name for each in builds if each.run.attempt > 1)
