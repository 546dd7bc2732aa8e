"""EventService."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from regsvc.catalog import events as catalog_events
from regsvc.server.context import Context
from regsvc.server.hub import Hub
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import event_pb2 as pb
from regsvc.v1 import event_pb2_grpc
from regsvc.wire.values import timestamp


class EventServicer(event_pb2_grpc.EventServiceServicer):
    """The stream of changes."""

    def __init__(self, app: RegistryApp, workers: Workers, hub: Hub, heartbeat: float):
        self._events = app.events
        self._run = workers.run
        self._hub = hub
        self._heartbeat = heartbeat

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        after = request.after_seq if request.HasField("after_seq") else None
        with self._hub.subscribe(catalog_events.TOPIC) as changes:
            wanted = await self._run(self._events.filter, request.filter)
            seq = await self._run(self._events.start, after)
            yield pb.WatchEventsResponse(created=True, seq=seq)
            told = time.monotonic()
            while True:
                found, looked = await self._run(self._events.after, seq, wanted)
                if found:
                    yield pb.WatchEventsResponse(events=map(_event, found), seq=looked)
                    told = time.monotonic()
                moved, seq = looked > seq, looked
                # However much is left out meanwhile, the stream is never silent for longer.
                left = told + self._heartbeat - time.monotonic()
                if left <= 0 or (not moved and not await changes.wait(left)):
                    yield pb.WatchEventsResponse(seq=seq)
                    told = time.monotonic()


def _event(event: catalog_events.Event) -> pb.Event:
    return pb.Event(
        seq=event.seq,
        time=timestamp(event.at),
        kind=event.kind,
        resource=event.resource,
        attributes=event.attributes,
    )
