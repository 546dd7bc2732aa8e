"""DeploymentService by raw gRPC: what a follower of any language says, and what it is told."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import grpc
import pytest
from server.wire import LIMIT, Wire
from support import wait_until

from regsvc.v1 import deployment_pb2 as pb
from regsvc.v1 import registry_pb2 as reg


class Follower:
    """One Follow stream."""

    def __init__(self, wire: Wire, model: str, name: str, **hello: object) -> None:
        self.outgoing: queue.SimpleQueue[pb.FollowRequest | None] = queue.SimpleQueue()
        alias = f"namespaces/dep/models/{model}/aliases/prod"
        said = pb.FollowHello(alias=alias, deployment=name, host="host-1", lease_seconds=5)
        said.MergeFrom(pb.FollowHello(**hello))  # type: ignore[arg-type]
        self.outgoing.put(pb.FollowRequest(hello=said))
        self.call = wire.deployments.Follow(iter(self.outgoing.get, None), timeout=LIMIT)

    def target(self) -> pb.FollowTarget:
        """The next target, past heartbeats."""
        return next(response.target for response in self.call if response.HasField("target"))

    def report(self, state: int, version: str = "", error: str = "") -> None:
        told = pb.DeploymentReport(state=state, version=version, error=error)  # type: ignore[arg-type]
        self.outgoing.put(pb.FollowRequest(report=told))

    def end(self) -> None:
        self.outgoing.put(None)
        for _ in self.call:
            pass


def listed(wire: Wire, parent: str) -> list[pb.Deployment]:
    request = pb.ListDeploymentsRequest(parent=parent)
    return list(wire.deployments.ListDeployments(request, timeout=LIMIT).deployments)


def set_alias(wire: Wire, model: str, number: int) -> None:
    name = f"namespaces/dep/models/{model}"
    request = reg.SetAliasRequest(name=f"{name}/aliases/prod", version=f"{name}/versions/{number}")
    wire.registry.SetAlias(request, timeout=LIMIT)


def test_a_follower_is_told_each_move_and_stands_in_the_inventory(wire: Wire) -> None:
    name = "namespaces/dep/models/moves"
    wire.push("dep/moves", {"w": b"1"})
    wire.push("dep/moves", {"w": b"2"})
    follower = Follower(wire, "moves", "web-1", labels={"zone": "eu"})
    assert follower.target().version == ""
    set_alias(wire, "moves", 1)
    first = follower.target()
    assert (first.version, len(first.digest)) == (f"{name}/versions/1", 64)
    follower.report(pb.DEPLOYMENT_STATE_SERVING, first.version)
    wait_until(lambda: listed(wire, name)[0].version == first.version)
    [found] = listed(wire, name)
    assert found.name == f"{name}/deployments/web-1"
    assert (found.alias, found.host, found.labels["zone"]) == (f"{name}/aliases/prod", "host-1", "eu")
    assert (found.target_version, found.away, found.error) == (first.version, False, "")
    assert found.HasField("serving_time")
    set_alias(wire, "moves", 2)
    second = follower.target()
    assert second.version == f"{name}/versions/2"
    assert second.generation > first.generation
    follower.report(pb.DEPLOYMENT_STATE_FAILED, first.version, "the hook said no")
    wait_until(lambda: listed(wire, name)[0].error)
    [found] = listed(wire, f"{name}/aliases/prod")
    assert (found.version, found.target_version) == (first.version, second.version)
    assert found.state == pb.DEPLOYMENT_STATE_FAILED
    follower.end()
    assert [each.name for each in listed(wire, "namespaces/dep") if "/moves/" in each.name] == [found.name]


def test_who_was_not_heard_of_is_away_and_can_be_forgotten(wire: Wire) -> None:
    name = "namespaces/dep/models/away"
    wire.push("dep/away", {"w": b"1"})
    follower = Follower(wire, "away", "web-1")
    follower.target()
    forget = pb.DeleteDeploymentRequest(name=f"{name}/deployments/web-1")
    with wire.refused("FAILED_PRECONDITION", "DEPLOYMENT_ALIVE"):
        wire.deployments.DeleteDeployment(forget, timeout=LIMIT)
    follower.end()
    wait_until(lambda: listed(wire, name)[0].away)
    wire.deployments.DeleteDeployment(forget, timeout=LIMIT)
    assert listed(wire, name) == []
    with wire.refused("NOT_FOUND"):
        wire.deployments.DeleteDeployment(forget, timeout=LIMIT)


def test_a_newer_stream_of_the_same_name_ends_the_older(wire: Wire) -> None:
    wire.push("dep/twice", {"w": b"1"})
    older = Follower(wire, "twice", "web-1")
    older.target()
    newer = Follower(wire, "twice", "web-1")
    newer.target()
    with wire.refused("ABORTED", "SUPERSEDED"):
        older.target()
    set_alias(wire, "twice", 1)
    assert newer.target().version.endswith("/1")
    newer.end()
    assert len(listed(wire, "namespaces/dep/models/twice")) == 1


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"alias": "namespaces/dep/models/none/aliases/prod"}, "NOT_FOUND"),
        ({"alias": "namespaces/dep/models/bad/aliases/latest"}, "INVALID_ARGUMENT"),
        ({"deployment": "Not An Id"}, "INVALID_ARGUMENT"),
        ({"host": "h" * 201}, "INVALID_ARGUMENT"),
        ({"host": "a\x1bb"}, "INVALID_ARGUMENT"),
        ({"lease_seconds": 4}, "INVALID_ARGUMENT"),
        ({"lease_seconds": 3601}, "INVALID_ARGUMENT"),
        ({"labels": {str(number): "" for number in range(65)}}, "INVALID_ARGUMENT"),
        ({"labels": {"k": "v" * 251}}, "INVALID_ARGUMENT"),
        ({"report": pb.DeploymentReport(error="e" * 4097)}, "INVALID_ARGUMENT"),
        ({"report": pb.DeploymentReport(version="namespaces/dep/models/bad/versions/999")}, "NOT_FOUND"),
        ({"report": pb.DeploymentReport(version="namespaces/x/models/bad/versions/1")}, "INVALID_ARGUMENT"),
    ],
)
def test_a_hello_that_cannot_be_is_refused(wire: Wire, hello: dict[str, object], code: str) -> None:
    wire.push("dep/bad", {"w": b"1"})
    with wire.refused(code):
        Follower(wire, "bad", "web-1", **hello).target()


def test_a_stream_begins_with_one_hello(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT"):
        next(wire.deployments.Follow(iter([pb.FollowRequest()]), timeout=LIMIT))
    with wire.refused("INVALID_ARGUMENT"):
        next(wire.deployments.Follow(iter(()), timeout=LIMIT))
    wire.push("dep/hello", {"w": b"1"})
    follower = Follower(wire, "hello", "web-1")
    follower.target()
    follower.outgoing.put(pb.FollowRequest(hello=pb.FollowHello()))
    with wire.refused("INVALID_ARGUMENT"):
        follower.target()


def test_a_list_goes_on_by_pages(wire: Wire) -> None:
    wire.push("dep/many", {"w": b"1"})
    streams = [Follower(wire, "many", f"web-{number}") for number in range(5)]
    for stream in streams:
        stream.target()

    def pages() -> Iterator[list[str]]:
        request = pb.ListDeploymentsRequest(parent="namespaces/dep/models/many", page_size=2)
        while True:
            page = wire.deployments.ListDeployments(request, timeout=LIMIT)
            yield [each.name.rpartition("/")[2] for each in page.deployments]
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    assert list(pages()) == [["web-0", "web-1"], ["web-2", "web-3"], ["web-4"]]
    with wire.refused("INVALID_ARGUMENT"):
        wire.deployments.ListDeployments(pb.ListDeploymentsRequest(parent="nowhere"), timeout=LIMIT)
    for stream in streams:
        stream.end()


def test_changes_are_events(wire: Wire) -> None:
    wire.push("dep/events", {"w": b"1"})
    set_alias(wire, "events", 1)
    from regsvc.v1 import event_pb2

    watch = wire.events.WatchEvents(event_pb2.WatchEventsRequest(), timeout=LIMIT)
    next(watch)
    follower = Follower(wire, "events", "web-1")
    target = follower.target()
    follower.report(pb.DEPLOYMENT_STATE_SERVING, target.version)
    follower.report(pb.DEPLOYMENT_STATE_SERVING, target.version)  # nothing new
    follower.end()
    found = next(
        event
        for response in watch
        for event in response.events
        if event.kind == "deployment.changed" and event.attributes["state"] == "serving"
    )
    assert found.resource == "namespaces/dep/models/events/deployments/web-1"
    assert found.attributes["version"] == target.version
    watch.cancel()
    assert isinstance(watch, grpc.Call)
