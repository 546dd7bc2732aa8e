"""Ids that several indexes have in common.

PostgreSQL ANDs bitmaps of its indexes; SQLite's INTERSECT fills a B-tree row by row, which takes ten times as long as
this: among a million versions, 60 ms for two conditions that half of them meet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regsvc.catalog.database import Reader, Statement
from regsvc.catalog.filters.sql import Sql, Unique

Ids = npt.NDArray[np.int64]

MOST = 4_000_000
"""What more match is left out: its ids would take too much memory."""
_EIGHT_DIGITS = 10_000_000
"""Added to an id that is at most `MOST`: a number of eight digits."""
_PIECE = 1 << 14
"""Numbers that are parsed together: they stay in the processor's cache."""


def common(db: Reader, drivers: Sequence[Sql], enough: int, largest: int) -> Sql | None:
    """A query for the ids that all of these find, or the first of them, if they find no more than `enough`.

    Two are read at once. `largest` is the greatest id there is. None when each of them finds too many.
    """
    found: Ids | None = None
    for place in range(0, len(drivers), 2):
        if found is not None and found.size <= enough:
            break
        reads = [_reading(each, largest) for each in drivers[place : place + 2]]
        for read, text in zip(reads, db.values(*(each.statement for each in reads)), strict=True):
            ids = None if text is None else read.parse(text)
            if ids is not None:
                found = ids if found is None else _in_both(found, ids)
    if found is None:
        return None
    return Sql("SELECT value FROM json_each(?)", (json.dumps(found.tolist()),))


def _in_both(some: Ids, others: Ids) -> Ids:
    """Those of `some` that are among the others; with a byte for each id there may be, if these are not too many."""
    largest = max(some.max(initial=0), others.max(initial=0))
    if largest > 8 * MOST:
        return some[np.isin(some, others)]
    among = np.zeros(largest + 1, np.bool_)
    among[others] = True
    return some[among[some]]


@dataclass(frozen=True)
class _Reading:
    """All ids as one text: a row for each would take four times as long. In no order, and perhaps doubled."""

    statement: Statement
    """Its value is NULL when they are too many."""
    parse: Callable[[bytes], Ids]


def _reading(driver: Sql, largest: int) -> _Reading:
    if isinstance(driver, Unique) and largest <= MOST:
        # They cannot be more than there are: a LIMIT would take half as long again.
        sql = f"WITH found (id) AS ({driver.text}) SELECT group_concat(id + ?, '') FROM found"  # noqa: S608
        parameters = (*driver.parameters, _EIGHT_DIGITS)
        return _Reading((f"SELECT CAST(coalesce(({sql}), '') AS BLOB)", parameters), _without_gaps)
    sql = (
        f"WITH found (id) AS ({driver.text} LIMIT ?)"  # noqa: S608
        " SELECT CASE WHEN count(*) <= ? THEN CAST(coalesce(group_concat(id), '') AS BLOB) END FROM found"
    )
    return _Reading(
        (sql, (*driver.parameters, MOST + 1, MOST)), lambda text: np.fromstring(text, np.int64, sep=",")
    )


def _without_gaps(text: bytes) -> Ids:
    """Ids to each of which `_EIGHT_DIGITS` was added, in a quarter of `fromstring`'s time."""
    digits = np.frombuffer(text, dtype="<u8")
    ids = np.empty(digits.size, np.int64)
    for start in range(0, digits.size, _PIECE):
        piece = slice(start, start + _PIECE)
        ids[piece] = _numbers(digits[piece]) - _EIGHT_DIGITS
    return ids


def _numbers(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Of eight digits each, that are one word: neighbours become numbers of two digits, of four and of eight."""
    words = words - np.uint64(0x3030303030303030)
    for digits, mask in ((1, 0x00FF00FF00FF00FF), (2, 0x0000FFFF0000FFFF), (4, 0x00000000FFFFFFFF)):
        words = words * np.uint64(10**digits) + (words >> np.uint64(8 * digits)) & np.uint64(mask)
    return words
