"""Triggers: builds are queued by events. Each trigger has a position in the table of events, as webhooks have."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from regsvc.catalog import builds, events, runs, templates
from regsvc.catalog.builds import BuildState
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.events import Event
from regsvc.catalog.runs import Why
from regsvc.catalog.templates import Trigger
from regsvc.errors import NameInvalid, RegsvcError
from regsvc.refs import BuildName, VersionRef, source_from_wire
from regsvc.service.eventfilter import EventFilter
from regsvc.service.events import BATCH
from regsvc.service.limits import Limits
from regsvc.service.queueing import enqueue_unasked

log = logging.getLogger(__name__)

PAUSE_US = 60 * 1_000_000
"""How long a trigger queues no other after a build that could not begin: two that run each other would never rest."""
_NEVER = "template.skipped"
"""What a trigger that queues nothing writes itself."""


class Triggers:
    """Belongs to one thread at a time."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits
        self._filters: dict[int, EventFilter | None] = {}
        """By trigger, whose filter never changes; None cannot be read by this release."""
        self._looked: dict[int, int] = {}
        """How far each has looked; what let nothing through is written now and then, and read again after a crash."""

    def turn(self) -> bool:
        """Look at the next events; False when there are no more at the moment."""

        def read(db: Reader) -> tuple[list[Trigger], list[Event]]:
            found = templates.triggers(db)
            first = min((self._position(each) for each in found), default=events.MAX_SEQ)
            return found, events.after(db, first, BATCH)

        found, came = self._catalog.read(read)
        known = {each.id for each in found}
        for gone in self._filters.keys() - known:
            del self._filters[gone]
            self._looked.pop(gone, None)
        if not came:
            return False
        failure: Exception | None = None
        for trigger in found:
            try:
                self._look(trigger, came)
            except Exception as error:
                log.exception("a trigger could not be looked after")
                failure = error
        if failure is not None:
            raise failure
        return True

    def _position(self, trigger: Trigger) -> int:
        return max(trigger.seq, self._looked.get(trigger.id, 0))

    def _look(self, trigger: Trigger, came: Sequence[Event]) -> None:
        position, last = self._position(trigger), came[-1].seq
        if last <= position:
            return
        if trigger.id not in self._filters:
            self._filters[trigger.id] = self._filter(trigger)
        wanted = self._filters[trigger.id]
        new = [each for each in came if each.seq > position and each.kind != _NEVER]
        passed = [] if wanted is None else wanted.of(new)
        if passed:
            self._catalog.write(lambda tx: self._happened(tx, trigger.id, passed, last))
        elif last - trigger.seq >= BATCH:
            self._catalog.write(lambda tx: templates.move_trigger(tx, trigger.id, last))
        self._looked[trigger.id] = last

    def _filter(self, trigger: Trigger) -> EventFilter | None:
        try:
            return EventFilter(trigger.filter, self._limits)
        except RegsvcError:  # it was checked when it was set: by another release
            log.warning("this release cannot read the filter of a trigger", extra={"trigger": trigger.id})
            return None

    def _happened(self, tx: Transaction, trigger_id: int, passed: Sequence[Event], last: int) -> None:
        """Queue a build for the first that counts, unless one waits; and move on: both or neither."""
        trigger = templates.trigger(tx, trigger_id)
        if trigger is None:
            return  # the template was changed meanwhile
        build_id = None
        if not _waits(tx, trigger):
            found = templates.newest_of(tx, trigger.template_id)
            cause = next(
                (each for each in passed if each.seq > trigger.seq and not _is_own(tx, trigger, each)), None
            )
            if cause is not None:
                why = Why("event", "event", str(cause.seq), found.author)
                build_id = enqueue_unasked(tx, found, why, self._limits)
        templates.move_trigger(tx, trigger_id, last, build_id)


def _waits(tx: Transaction, trigger: Trigger) -> bool:
    """Whether the build that it queued last will see what happened since, as nobody took it; or could not begin."""
    if trigger.build_id is None:
        return False
    build, run = builds.get(tx, trigger.build_id), runs.find(tx, trigger.build_id)
    if build.state is BuildState.FAILED and run is not None and run.started_at is None:
        return tx.now - build.created_at < PAUSE_US
    return build.state is BuildState.QUEUED


def _is_own(db: Reader, trigger: Trigger, event: Event) -> bool:
    """Whether an event is of a build of the same template, or of a version that such a build published.

    Otherwise a template could run itself for ever.
    """
    for name in (event.resource, event.attributes.get("version", "")):
        try:
            found = source_from_wire(name)
        except NameInvalid:
            continue
        match found:
            case BuildName(model, number):
                if runs.is_of(db, trigger.template_id, model, build=number):
                    return True
            case VersionRef(model, number) if number is not None:
                if runs.is_of(db, trigger.template_id, model, version=number):
                    return True
    return False
