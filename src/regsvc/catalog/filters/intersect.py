"""Ids that several indexes have in common.

PostgreSQL ANDs bitmaps of its indexes; SQLite's INTERSECT fills a B-tree row by row, which takes five times as long as
this: among a million versions, 150 ms for two conditions that half of them meet.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from regsvc.catalog.database import Reader
from regsvc.catalog.filters.sql import Sql

MOST = 4_000_000
"""What more match is left out: its ids would take too much memory."""


def common(db: Reader, drivers: Sequence[Sql], enough: int) -> Sql | None:
    """A query for the ids that all of these find, or the first of them, if they find no more than `enough`.

    None when each of them finds too many.
    """
    found: npt.NDArray[np.int64] | None = None
    for driver in drivers:
        ids = _ids(db, driver)
        if ids is not None:
            found = ids if found is None else found[np.isin(found, ids)]
        if found is not None and found.size <= enough:
            break
    if found is None:
        return None
    return Sql("SELECT value FROM json_each(?)", (json.dumps(found.tolist()),))


def _ids(db: Reader, driver: Sql) -> npt.NDArray[np.int64] | None:
    """In no order, and perhaps doubled. As one text: a row for each would take four times as long."""
    count, text = db.rows(
        f"WITH found (id) AS ({driver.text} LIMIT ?) SELECT count(*), group_concat(id) FROM found",  # noqa: S608
        [*driver.parameters, MOST + 1],
    )[0]
    return None if count > MOST else np.fromstring(text or "", dtype=np.int64, sep=",")
