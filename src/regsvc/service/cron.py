"""Cron lines: read, and asked when they fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from regsvc.errors import ScheduleInvalid

MAX_BYTES = 200
_FIELDS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check(cron: str, time_zone: str, now: int) -> None:
    """Raises `ScheduleInvalid` for a line that cannot be read or never fires, or a time zone that does not exist."""
    if len(cron.encode()) > MAX_BYTES or not cron.isprintable():
        raise ScheduleInvalid(f"a cron line has at most {MAX_BYTES} bytes and no control characters")
    if next_after(cron, time_zone, now) is None:
        raise ScheduleInvalid(f"the cron line '{cron}' never fires", cron=cron)


def next_after(cron: str, time_zone: str, after: int) -> int | None:
    """The first time after a moment, in microseconds since 1970; None when there is none in the next 50 years.

    Raises `ScheduleInvalid`.
    """
    return _step(cron, time_zone, after, reverse=False)


def last_until(cron: str, time_zone: str, until: int) -> int | None:
    """The last time up to a moment, that included."""
    # Iterating back leaves out its start, but for the part of it that is less than a second.
    return _step(cron, time_zone, until // 1_000_000 * 1_000_000 + 1, reverse=True)


def _step(cron: str, time_zone: str, at: int, *, reverse: bool) -> int | None:
    if len(cron.split()) != _FIELDS:
        raise ScheduleInvalid(
            "a cron line has five fields: minute, hour, day of month, month, day of week", cron=cron
        )
    try:
        start = (_EPOCH + timedelta(microseconds=at)).astimezone(_zone(time_zone))
        for moment in CronSim(cron, start, reverse=reverse):
            found = (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
            # In the hour that comes twice it gives times of the first pass again.
            if found <= at if reverse else found > at:
                return found
    except CronSimError as error:
        raise ScheduleInvalid(
            f"the cron line '{cron}' cannot be read, or never fires: {error}", cron=cron
        ) from None
    except (OverflowError, ValueError, AssertionError):
        raise ScheduleInvalid(f"the cron line '{cron}' cannot be read", cron=cron) from None
    return None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        shown = name[:60].encode("unicode_escape").decode()
        raise ScheduleInvalid(f"there is no time zone '{shown}'", time_zone=shown) from None
