"""What the long-lived read streams share: how long to wait, and whether to resume at all."""

from __future__ import annotations

from regsvc import errors
from regsvc.client.connection import Connection
from regsvc.v1 import capabilities_pb2

FOLLOW_PATIENCE = 3600.0
"""Seconds that a follower waits for a server that went away; whoever follows has time."""

_MISSED_HEARTBEATS = 3
_LEAST_SILENCE = 2.0
"""Seconds; a busy machine may be late by this much however short the server's interval is."""


def silence_limit(connection: Connection) -> float:
    """Seconds without any message after which a stream is taken for dead."""
    interval: float = connection.capabilities().heartbeat_interval_ms / 1000
    return max(_LEAST_SILENCE, _MISSED_HEARTBEATS * interval)


def check_same_store(connection: Connection) -> None:
    """Before resuming: raise `FailedPrecondition` when another registry answers at this address now.

    Does nothing while no registry answers.
    """
    known: str = connection.capabilities().store_id
    try:
        found: str = connection.call(
            connection.capabilities_stub.GetCapabilities,
            capabilities_pb2.GetCapabilitiesRequest(),
            timeout=5.0,
            patience=0,
        ).capabilities.store_id
    except (errors.Unavailable, errors.DeadlineExceeded):
        return
    if found != known:
        raise errors.FailedPrecondition(
            f"{connection.target} is another registry now; its numbers mean something else", store_id=found
        )


def closed_connection(error: BaseException) -> errors.RegsvcError | None:
    """What `error` means if it is grpc's way to say that the channel was closed, else None."""
    if isinstance(error, ValueError) and "closed channel" in str(error):
        return errors.FailedPrecondition("the client was closed while its build was running")
    return None
