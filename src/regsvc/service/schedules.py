"""Schedules: builds are queued by the clock, the server's alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from regsvc.catalog import events, runs, templates
from regsvc.catalog.database import Catalog, Transaction, now_us
from regsvc.catalog.runs import Why
from regsvc.catalog.templates import Revision
from regsvc.content.template import Missed, Overlap
from regsvc.errors import RegsvcError, ScheduleInvalid
from regsvc.service import cron
from regsvc.service.limits import Limits
from regsvc.service.queueing import enqueue_unasked

log = logging.getLogger(__name__)

LATE_US = 60 * 1_000_000
"""What is due for longer than this was missed."""
_TOGETHER = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Schedules:
    """Belongs to one thread at a time. `clock` gives microseconds since 1970."""

    def __init__(self, catalog: Catalog, limits: Limits, clock: Callable[[], int] = now_us):
        self._catalog = catalog
        self._limits = limits
        self._clock = clock

    def next_in(self) -> float | None:
        """Seconds until a schedule fires; None when there is none."""
        at = self._catalog.read(templates.next_run)
        return None if at is None else max(0.0, (at - self._clock()) / 1_000_000)

    def run_due(self) -> None:
        """Queue what is due. One that cannot be looked after holds up no other; its error is raised at the end."""
        failure: Exception | None = None
        done: set[int] = set()
        while True:
            found = self._catalog.read(lambda db: templates.due(db, self._clock(), _TOGETHER + len(done)))
            left = [each.template_id for each in found if each.template_id not in done]
            if not left:
                break
            for template_id in left:
                done.add(template_id)
                try:
                    self._catalog.write(lambda tx, wanted=template_id: self._fire(tx, wanted))  # type: ignore[misc]
                except Exception as error:
                    log.exception("a schedule could not be looked after")
                    failure = error
        if failure is not None:
            raise failure

    def _fire(self, tx: Transaction, template_id: int) -> None:
        """Queue a build, if its policies say so, and say when the next one is due: both or neither."""
        found, now = templates.newest_of(tx, template_id), self._clock()
        template = found.template
        if found.next_run_at is None or found.next_run_at > now or template.schedule is None:
            return  # it was changed meanwhile
        schedule = template.schedule
        try:
            following = cron.next_after(schedule.cron, schedule.time_zone, now)
            last = cron.last_until(schedule.cron, schedule.time_zone, now)
        except ScheduleInvalid as error:  # a time zone that was abolished
            templates.set_next_run(tx, template_id, None)
            _skipped(tx, found, found.next_run_at, error)
            return
        templates.set_next_run(tx, template_id, following)
        due = max(found.next_run_at, last or 0)
        if now - due > LATE_US and schedule.missed is not Missed.RUN_ONCE:
            _skipped(tx, found, due, "missed")
        elif schedule.overlap is not Overlap.QUEUE and runs.is_active(tx, template_id, "schedule"):
            _skipped(tx, found, due, "overlap")
        else:
            why = Why("schedule", "schedule", _text(due), found.author)
            enqueue_unasked(tx, found, why, self._limits)


def _skipped(tx: Transaction, found: Revision, due: int, reason: str | RegsvcError) -> None:
    text = reason.message if isinstance(reason, RegsvcError) else reason
    events.record(tx, "template.skipped", found.name.wire, trigger="schedule", cause=_text(due), reason=text)


def _text(at: int) -> str:
    """RFC 3339."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")
