"""A follower's line to the server: targets come in, reports go out, for as long as it takes."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regsvc import errors, refs
from regsvc.client.connection import Connection
from regsvc.client.lasting_line import LastingLine, Outgoing
from regsvc.v1 import deployment_pb2 as pb

_FATAL = (errors.NotFound, errors.Superseded, errors.InvalidArgument)
_LONGEST = 4_000
"""Bytes of an error that are told."""


@dataclass(frozen=True)
class Target:
    """What shall be served."""

    reference: refs.VersionRef | None
    """None while the alias names nothing."""
    generation: int
    """Counts up with every move of the alias."""


@dataclass(frozen=True)
class FollowerName:
    """Who follows what."""

    alias: refs.AliasName
    deployment: str
    host: str
    labels: Mapping[str, str]
    lease: int
    """Seconds."""


class FollowLink(LastingLine):
    """`on_target` is called from its thread, `on_refusal` when it gives up."""

    def __init__(
        self,
        connection: Connection,
        name: FollowerName,
        on_target: Callable[[Target], None],
        on_refusal: Callable[[errors.RegsvcError], None],
    ) -> None:
        super().__init__(connection, "regsvc-follow-link", _FATAL, on_refusal)
        self._name = name
        self._on_target = on_target
        self._report = pb.DeploymentReport(state=pb.DEPLOYMENT_STATE_WAITING)

    def start(self) -> None:
        """Open the line."""
        self._thread.start()

    def report(self, state: str, served: refs.VersionRef | None, error: str = "") -> None:
        """Tell the server, now or when it is back."""
        message = pb.DeploymentReport(
            state=f"DEPLOYMENT_STATE_{state}",
            version="" if served is None else served.wire,
            error=error.encode()[:_LONGEST].decode(errors="ignore"),
        )
        with self._lock:
            self._report = message
            self._outgoing.put(pb.FollowRequest(report=message))

    def _first(self) -> pb.FollowRequest:
        hello = pb.FollowHello(
            alias=self._name.alias.wire,
            deployment=self._name.deployment,
            host=self._name.host,
            labels=dict(self._name.labels),
            lease_seconds=self._name.lease,
            report=self._report,
        )
        return pb.FollowRequest(hello=hello)

    def _requests(self, first: pb.FollowRequest, outgoing: Outgoing) -> Iterator[pb.FollowRequest]:
        yield first
        while True:
            try:
                message = outgoing.get(timeout=self._name.lease / 3)
            except queue.Empty:
                message = pb.FollowRequest()
            if message is None:
                return
            yield message

    def _begin(self, requests: Iterator[pb.FollowRequest]) -> Any:
        return self._connection.deployments.Follow(requests)

    def _heard(self, found: Target) -> None:
        self._on_target(found)

    def _lost(self, error: errors.RegsvcError) -> None:
        """What is served is served on, and nobody needs to be told."""

    def take(self, response: Any) -> Iterator[Target]:
        """For `resumed`."""
        if response.HasField("target"):
            found = response.target
            reference = refs.version_from_wire(found.version) if found.version else None
            yield Target(reference, found.generation)
