"""The stream of changes."""

from __future__ import annotations

from regsvc.catalog import events
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.events import Event
from regsvc.errors import EventsGone, SeqAhead
from regsvc.service.eventfilter import EventFilter
from regsvc.service.limits import Limits

BATCH = 500


class Events:
    """What `EventService` reads."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def filter(self, text: str) -> EventFilter:
        """Raises `FilterInvalid`, `ResourceExhausted`."""
        return EventFilter(text, self._limits)

    def start(self, after: int | None) -> int:
        """Where a watch begins: after a number, or from now. Raises `EventsGone`, `SeqAhead`."""
        if after is None:
            return self._catalog.read(events.bounds)[1]
        self._catalog.read(lambda db: check_start(db, after))
        return after

    def after(self, seq: int, wanted: EventFilter) -> tuple[list[Event], int]:
        """Of the next events those that are wanted, and the number that has been looked at."""
        found = self._catalog.read(lambda db: events.after(db, seq, BATCH))
        return wanted.of(found), found[-1].seq if found else seq


def check_start(db: Reader, after: int) -> None:
    """Whether there is anything to go on with after a number. Raises `EventsGone`, `SeqAhead`."""
    first, last = events.bounds(db)
    if after < first - 1:
        raise EventsGone(f"events before {first} are gone", first_seq=first)
    if after > last:
        raise SeqAhead(f"the last event is {last}", last_seq=last)
