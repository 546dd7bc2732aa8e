"""A follower's line to the server: targets come in, reports go out, for as long as it takes."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.client.streams import silence_limit
from regsvc.v1 import deployment_pb2 as pb

_AGAIN = 1.0
"""Seconds before the line is opened again after an error that may pass."""
_LAST = 10.0
"""Seconds that closing waits for the thread, which may be between two attempts to reach a server that is away."""
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


class FollowLink:
    """Owns one thread, which ends with `close`. `on_target` is called from it, `on_refusal` when it gives up."""

    def __init__(
        self,
        connection: Connection,
        name: FollowerName,
        on_target: Callable[[Target], None],
        on_refusal: Callable[[errors.RegsvcError], None],
    ) -> None:
        self._connection = connection
        self._name = name
        self._on_target = on_target
        self._on_refusal = on_refusal
        self._lock = threading.Lock()  # protects _report and _outgoing
        self._report = pb.DeploymentReport(state=pb.DEPLOYMENT_STATE_WAITING)
        self._outgoing: queue.SimpleQueue[pb.FollowRequest | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name="regsvc-follow-link", daemon=True)

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

    def close(self) -> None:
        """End the line and its thread; what was reported is sent first, if the server is there."""
        self._closed.set()
        with self._lock:
            self._outgoing.put(None)
        self._thread.join(2)
        if self._call is not None:
            self._call.cancel()
        self._thread.join(_LAST)  # one that asks a server that is away ends by itself after that

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                for target in resumed(
                    self,
                    translate=lambda error: translate(error, self._connection.target),
                    patience=math.inf,
                    silence=silence_limit(self._connection),
                ):
                    self._on_target(target)
            except (errors.NotFound, errors.Superseded, errors.InvalidArgument) as error:
                self._on_refusal(error)
                return
            except errors.RegsvcError:
                pass
            self._closed.wait(_AGAIN)

    def open(self) -> Any:
        """For `resumed`: say hello with the present state."""
        with self._lock:
            self._outgoing = queue.SimpleQueue()
            outgoing = self._outgoing
            hello = pb.FollowHello(
                alias=self._name.alias.wire,
                deployment=self._name.deployment,
                host=self._name.host,
                labels=dict(self._name.labels),
                lease_seconds=self._name.lease,
                report=self._report,
            )
            if self._closed.is_set():
                outgoing.put(None)
        self._call = self._connection.deployments.Follow(self._requests(hello, outgoing))
        return self._call

    def _requests(
        self, hello: pb.FollowHello, outgoing: queue.SimpleQueue[pb.FollowRequest | None]
    ) -> Iterator[pb.FollowRequest]:
        yield pb.FollowRequest(hello=hello)
        while True:
            try:
                message = outgoing.get(timeout=self._name.lease / 3)
            except queue.Empty:
                message = pb.FollowRequest()
            if message is None:
                return
            yield message

    def take(self, response: Any) -> Iterator[Target]:
        """For `resumed`."""
        if response.HasField("target"):
            found = response.target
            reference = refs.version_from_wire(found.version) if found.version else None
            yield Target(reference, found.generation)

    def recover(self, error: errors.RegsvcError) -> None:
        """For `resumed`: nothing is held that another server could misunderstand; who closes waits no longer."""
        if self._closed.is_set():
            raise error

    def progress(self) -> object:
        """For `resumed`."""
        return None
