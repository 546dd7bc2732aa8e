"""When cron lines fire, in time zones and when their clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.errors import ScheduleInvalid
from regsvc.service import cron

BERLIN = "Europe/Berlin"
MOMENTS = st.integers(1_600_000_000_000_000, 2_200_000_000_000_000)
LINES = st.sampled_from(
    ["* * * * *", "*/7 2 * * *", "30 2 * * *", "0 0 29 2 *", "0 12 L * *", "15 1-3 * * SUN", "0 0 1 1 1#1"]
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def shown(moment: int | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment / 1_000_000, UTC).isoformat()[:16]


def following(line: str, zone: str, after: str, count: int) -> list[str]:
    found, moment = [], at(after)
    for _ in range(count):
        moment = cron.next_after(line, zone, moment)  # type: ignore[assignment]
        found.append(shown(moment))
    return found


def test_a_time_zone_moves_the_time_and_summer_moves_it_again() -> None:
    assert following("0 3 * * *", BERLIN, "2026-03-28T00:00+00:00", 2) == [
        "2026-03-28T02:00",
        "2026-03-29T01:00",
    ]
    assert following("0 3 * * *", "", "2026-03-28T00:00+00:00", 1) == ["2026-03-28T03:00"]


def test_a_time_that_summer_leaves_out_runs_right_after_and_one_that_comes_twice_runs_once() -> None:
    # 02:30 on 29 March does not exist: clocks go from 02:00 to 03:00.
    assert following("30 2 * * *", BERLIN, "2026-03-28T12:00+00:00", 2) == [
        "2026-03-29T01:00",
        "2026-03-30T00:30",
    ]
    # 02:30 on 25 October comes at 00:30 and at 01:30 UTC.
    assert following("30 2 * * *", BERLIN, "2026-10-24T12:00+00:00", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]
    # Asked in the second pass, what the first had is not given again.
    assert following("45 2 * * *", BERLIN, "2026-10-25T01:30+00:00", 1) == ["2026-10-26T01:45"]
    assert shown(cron.last_until("30 2 * * *", BERLIN, at("2026-10-25T12:00+00:00"))) == "2026-10-25T00:30"


def test_what_is_due_right_now_is_the_last_one() -> None:
    now = at("2026-05-01T03:00+00:00")
    assert cron.last_until("0 3 * * *", "", now) == now
    assert cron.last_until("0 3 * * *", "", now - 1) == at("2026-04-30T03:00+00:00")
    assert cron.next_after("0 3 * * *", "", now) == at("2026-05-02T03:00+00:00")


@given(LINES, st.sampled_from(["", BERLIN, "America/New_York", "Australia/Lord_Howe"]), MOMENTS)
def test_the_next_is_after_and_the_last_is_not(line: str, zone: str, moment: int) -> None:
    after = cron.next_after(line, zone, moment)
    before = cron.last_until(line, zone, moment)
    assert before is not None
    assert after is not None
    assert before <= moment < after
    assert moment - before < 9 * 366 * 86_400_000_000


@pytest.mark.parametrize(
    "line", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "", "* * *", "60 * * * *", "* * * * * *", "@hourly"]
)
def test_what_never_fires_or_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(ScheduleInvalid):
        cron.check(line, "", at("2026-01-01T00:00+00:00"))
