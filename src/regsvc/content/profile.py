"""The profile of a dataset: what each of its columns holds, as plain values and as bounded JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

VERSION = 1
MAX_BYTES = 3 << 20
"""A profile travels in one message."""
MAX_COLUMNS = 5_000
MAX_NAME = 1_000
MAX_BINS = 256
MAX_TOP = 100


class ProfileError(ValueError):
    """This is no profile; the message says why."""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    type: str
    """As polars names it: `Int64`, `String`, `List(Float32)` ..."""
    count: int
    """Values that are not null."""
    nulls: int = 0
    not_finite: int = 0
    """NaN and infinities, which nothing below counts."""
    distinct: int | None = None
    approximate: bool = False
    """`distinct` is an estimate (HyperLogLog++)."""
    min: float | None = None
    """Of numbers and times (in the unit of the type); of text the shortest length."""
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: Mapping[str, float] = field(default_factory=dict)
    """By share: "0.05", "0.25", "0.5", "0.75", "0.95"; from a histogram of 1,024 bins."""
    edges: Sequence[float] = ()
    """Of the histogram: one more than `bins`, ascending."""
    bins: Sequence[int] = ()
    top: Sequence[tuple[str, int]] = ()
    """The most frequent values with their counts, of text, booleans and categories."""


@dataclass(frozen=True)
class Profile:
    """A dataset's rows and columns."""

    rows: int
    columns: Sequence[Column]

    def column(self, name: str) -> Column | None:
        """By name."""
        return next((column for column in self.columns if column.name == name), None)


def to_json(profile: Profile) -> bytes:
    """The profile as JSON in UTF-8. Raises `ProfileError` when it is too large."""
    document = {
        "version": VERSION,
        "rows": profile.rows,
        "columns": [_present(asdict(column)) for column in profile.columns],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )
    if len(text) > MAX_BYTES:
        raise ProfileError(f"a profile of {len(text)} bytes, at most {MAX_BYTES}")
    return text


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known; a zero is known."""
    return {
        key: value
        for key, value in fields.items()
        if value is not None and value is not False and value not in ((), [], {})
    }


def from_json(text: bytes) -> Profile:
    """The profile that `to_json` wrote, from strangers. Raises `ProfileError`."""
    if len(text) > MAX_BYTES:
        raise ProfileError(f"a profile of {len(text)} bytes, at most {MAX_BYTES}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ProfileError("not JSON") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ProfileError(f"not a profile of version {VERSION}")
    columns = document.get("columns")
    if not isinstance(columns, list) or len(columns) > MAX_COLUMNS:
        raise ProfileError(f"columns are a list of at most {MAX_COLUMNS}")
    found = [_column(each) for each in columns]
    if len({column.name for column in found}) != len(found):
        raise ProfileError("a column stands there twice")
    return Profile(_count(document.get("rows")), found)


def _column(entry: Any) -> Column:
    if not isinstance(entry, dict):
        raise ProfileError("a column is no object")
    name, kind = entry.get("name", ""), entry.get("type")
    if not isinstance(name, str) or not isinstance(kind, str) or max(len(name), len(kind)) > MAX_NAME:
        raise ProfileError("a column has a name and a type")
    edges, bins = _list(entry, "edges", MAX_BINS + 1), _list(entry, "bins", MAX_BINS)
    if (edges or bins) and len(edges) != len(bins) + 1:
        raise ProfileError(f"column '{name[:60]}' has {len(edges)} edges of {len(bins)} bins")
    ends = [_number(each) for each in edges]
    if any(a > b for a, b in pairwise(ends)):
        raise ProfileError(f"the edges of column '{name[:60]}' do not ascend")
    quantiles = entry.get("quantiles", {})
    if not isinstance(quantiles, dict) or len(quantiles) > 100:
        raise ProfileError("quantiles are numbers by share")
    return Column(
        name=name,
        type=kind,
        count=_count(entry.get("count", 0)),
        nulls=_count(entry.get("nulls", 0)),
        not_finite=_count(entry.get("not_finite", 0)),
        distinct=None if entry.get("distinct") is None else _count(entry["distinct"]),
        approximate=entry.get("approximate") is True,
        **{
            key: None if entry.get(key) is None else _number(entry[key])
            for key in ("min", "max", "mean", "std")
        },
        quantiles={str(key): _number(value) for key, value in quantiles.items()},
        edges=tuple(ends),
        bins=tuple(_count(each) for each in bins),
        top=tuple(_frequent(each) for each in _list(entry, "top", MAX_TOP)),
    )


def _list(entry: Mapping[str, Any], key: str, most: int) -> list[Any]:
    found = entry.get(key, [])
    if not isinstance(found, list) or len(found) > most:
        raise ProfileError(f"{key} are at most {most}")
    return found


def _frequent(entry: Any) -> tuple[str, int]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
        raise ProfileError("a frequent value is a text and its count")
    return entry[0], _count(entry[1])


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ProfileError("a count is a whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ProfileError("a number is finite")
    return float(value)
