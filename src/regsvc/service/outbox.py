"""What one webhook gets next: the table of events is the outbox, and a position in it all that is kept."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from regsvc.catalog import events, webhooks
from regsvc.catalog.database import Catalog, Reader, now_us
from regsvc.catalog.events import Event
from regsvc.catalog.webhooks import Webhook
from regsvc.errors import RegsvcError
from regsvc.service import outgoing
from regsvc.service.eventfilter import EventFilter
from regsvc.service.events import BATCH
from regsvc.service.limits import Limits
from regsvc.service.webhooks import JITTER, Addressed, pause_after

IDLE = 3600.0
"""Seconds between looks that nobody asks for."""
LAZY = 5.0
"""Seconds between writes of a position that moves on by what is left out; after a crash that is read again."""


@dataclass(frozen=True)
class Turn:
    """What is to be done for a webhook."""

    due: Addressed | None
    """To be sent now."""
    wait: float
    """Seconds to wait for a change when nothing is due; 0 means look again."""


class Outbox:
    """Belongs to one worker at a time. `pace` is a factor on the pauses between tries."""

    def __init__(self, catalog: Catalog, limits: Limits, store_id: str, webhook_id: int, pace: float):
        self._catalog = catalog
        self._limits = limits
        self._store_id = store_id
        self._id = webhook_id
        self._pace = pace
        self._revision = 0
        self._wanted = EventFilter("", limits)
        self._pending: deque[Event] = deque()
        self._looked = 0
        self._moved = time.monotonic()

    def next(self) -> Turn | None:
        """The next turn; None when the webhook is deleted or disabled."""

        def read(db: Reader) -> tuple[Webhook | None, list[str]]:
            secrets = webhooks.secrets(db, self._id, now_us()) if self._pending else []
            return webhooks.get(db, self._id), secrets

        found, secrets = self._catalog.read(read)
        if found is None or found.disabled or not self._settled(found):
            return None
        wait = self._pause(found)
        if wait > 0:
            return Turn(None, wait)
        while self._pending and self._pending[0].seq <= found.seq:
            self._pending.popleft()
        if self._pending:
            message = outgoing.of_event(self._pending[0], self._store_id)
            return Turn(Addressed(found, secrets, message), 0)
        return self._look(found)

    def _settled(self, found: Webhook) -> bool:
        """Whether the webhook is known as it is now."""
        if found.revision == self._revision:
            return True
        try:
            self._wanted = EventFilter(found.filter, self._limits)
        except RegsvcError:  # it was checked when it was set: by another release
            self._catalog.write(
                lambda tx: webhooks.disable(tx, found, "this release of the server cannot read its filter")
            )
            return False
        self._revision, self._looked = found.revision, found.seq
        self._pending.clear()
        return True

    def _pause(self, found: Webhook) -> float:
        """Seconds until the next try; no more than the pause is long, should the clock have been set back."""
        longest = pause_after(found.failed_tries) * self._pace * (1 + JITTER)
        return min((found.next_try_at - now_us()) / 1_000_000, longest) if found.next_try_at else 0

    def _look(self, found: Webhook) -> Turn:
        """Read on in the table of events."""
        read = self._catalog.read(lambda db: events.after(db, max(self._looked, found.seq), BATCH))
        if read:
            self._looked = read[-1].seq
            self._pending.extend(self._wanted.of(read))
            if self._pending:
                return Turn(None, 0)
        if self._looked <= found.seq:
            return Turn(None, IDLE)
        left = self._moved + LAZY - time.monotonic()
        if left <= 0 or self._looked - found.seq >= BATCH:
            self._catalog.write(lambda tx: webhooks.move(tx, found, self._looked))
            self._moved, left = time.monotonic(), IDLE
        # What comes after the last one wakes the worker by itself.
        return Turn(None, 0 if len(read) == BATCH else left)
