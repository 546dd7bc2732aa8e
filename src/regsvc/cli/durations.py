"""Lengths of time as people write them: `90s`, `15m`, `12h`, `7d`, `4w`."""

from __future__ import annotations

import re
from datetime import timedelta

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])|0", re.ASCII)


class Length(click.ParamType[timedelta]):
    """An option's length of time."""

    name = "duration"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """`7d` and the like."""
        if isinstance(value, timedelta):
            return value
        found = _TEXT.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no length of time; write 90s, 15m, 12h, 7d or 4w", param, ctx)
        if found[1] is None:
            return timedelta()
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def human_length(length: timedelta) -> str:
    """In the largest unit that it is a whole number of: `7d`."""
    seconds = length.total_seconds()
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0 and (unit != "w" or seconds >= 4 * _UNITS["w"]):
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"
