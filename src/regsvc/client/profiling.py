"""Profiles of datasets by polars, which `pip install regsvc[data]` brings; files are streamed, not loaded.

Numbers and times are counted into 1,024 bins between the smallest and the largest value, in a second pass; quantiles
are read from these. Text is ranked by frequency while it has at most a million distinct values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy

from regsvc import errors
from regsvc.client import tables
from regsvc.client.tables import Rows
from regsvc.content.profile import MAX_COLUMNS, MAX_NAME, Column, Profile, ProfileError, to_json

TOP = 20
BINS = 64
_FINE = 1024
_EXACT = 100_000
"""Distinct values up to which they are counted exactly."""
_RANKED = 1_000_000
"""Distinct values up to which text is ranked."""
_RANKED_CHARS = 64 << 20
"""Characters of all distinct values, each cut, up to which text is ranked: this many are in memory."""
_SHOWN = 200
"""Characters of a frequent value."""
_DIGITS = 10
"""Significant digits, of the largest value, to which sums are told."""
_TOGETHER = 8
"""Columns of one pass."""
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def profile(source: Any) -> tuple[Profile, bytes]:
    """The profile of a CSV, Parquet or Arrow file, or of a polars, pandas or Arrow table, and its digest.

    The digest of a file is that of its bytes (`b3sum`); docs/datasets.md defines that of a table. Raises
    `InvalidArgument` for what cannot be read, saying why, `FailedPrecondition` without polars, `OSError`.
    """
    with tables.opened(source) as (data, digest):
        import polars

        return _fitting(_profile(polars, data)), digest


def _fitting(found: Profile) -> Profile:
    """With fewer bins and frequent values, if it would be too large to travel."""
    while True:
        try:
            to_json(found)
            return found
        except ProfileError as error:
            if not any(len(column.bins) > 1 or len(column.top) > 1 for column in found.columns):
                raise errors.InvalidArgument(str(error)) from None
        found = Profile(found.rows, [_halved(column) for column in found.columns])


def _halved(column: Column) -> Column:
    return replace(
        column,
        edges=tuple(column.edges[::2]),
        bins=tuple(sum(column.bins[place : place + 2]) for place in range(0, len(column.bins), 2)),
        top=tuple(column.top[: max(1, len(column.top) // 2)]),
    )


def _profile(polars: Any, data: Rows) -> Profile:
    schema = data.schema
    if len(schema) > MAX_COLUMNS:
        raise errors.InvalidArgument(f"{len(schema)} columns, at most {MAX_COLUMNS}", limit=MAX_COLUMNS)
    names = list(schema)
    for name in names:
        if len(name) > MAX_NAME:
            raise errors.InvalidArgument(f"a column name of {len(name)} characters, at most {MAX_NAME}")
    rows = int(_collect(data.of(names[:1]).select(polars.len())).item())
    found: list[Column] = []
    for start in range(0, len(names), _TOGETHER):
        part = {name: schema[name] for name in names[start : start + _TOGETHER]}
        found += _columns(polars, data, part, rows)
    return Profile(rows, found)


def _columns(polars: Any, data: Rows, types: dict[str, Any], rows: int) -> list[Column]:
    """In three passes over these columns, and one more for each whose values are ranked."""
    basics = _basics(polars, data.of([*types]), types, rows)
    numbers = {
        name: _value(polars, name, kind)
        for name, kind in types.items()
        if _numeric(kind) and basics[name]["finite"]
    }
    distinct = _distinct(polars, data, types, basics)
    fine = _histograms(
        polars,
        data,
        {
            name: (value, float(basics[name]["min"]), float(basics[name]["max"]))
            for name, value in numbers.items()
        },
    )
    found = []
    for name, kind in types.items():
        facts = basics[name]
        nulls = int(facts["nulls"])
        column = Column(name, str(kind)[:MAX_NAME], rows - nulls, nulls)
        if name in numbers:
            column = _of_numbers(
                replace(column, not_finite=column.count - int(facts["finite"])), facts, fine[name]
            )
        elif _numeric(kind):
            column = replace(column, not_finite=column.count)
        elif _ranked(polars, kind):
            column = _of_text(polars, data, column, kind, facts)
        if name in distinct:
            column = replace(column, distinct=distinct[name][0], approximate=distinct[name][1])
        found.append(column)
    return found


def _basics(polars: Any, frame: Any, types: dict[str, Any], rows: int) -> dict[str, dict[str, Any]]:
    """One pass over some columns: counts, extremes, moments, distinct values."""
    expressions = []
    for place, (name, kind) in enumerate(types.items()):
        column = polars.col(name)
        wanted = {"nulls": column.null_count(), "length": column.len()}
        if _numeric(kind):
            value = _value(polars, name, kind)
            wanted |= {
                "finite": value.count(),
                "min": value.min(),
                "max": value.max(),
                "mean": value.mean(),
                "std": value.std(),
                "distinct": value.drop_nulls().approx_n_unique(),
            }
        elif _ranked(polars, kind):
            text = column.cast(polars.String)
            wanted["distinct"] = text.drop_nulls().approx_n_unique()
            lengths = text.str.len_chars()
            wanted |= {"min": lengths.min(), "max": lengths.max()}
        expressions += [expression.alias(f"{place}:{key}") for key, expression in wanted.items()]
    row = _collect(frame.select(expressions)).row(0, named=True)
    found: dict[str, dict[str, Any]] = {name: {} for name in types}
    names = list(types)
    for key, value in row.items():
        place, _, what = key.partition(":")
        found[names[int(place)]][what] = value
    for name, facts in found.items():
        if facts["length"] != rows:
            raise errors.InvalidArgument(
                f"it says {rows} rows, but column '{name[:100]}' has {facts['length']}"
            )
    return found


def _distinct(
    polars: Any, data: Rows, types: dict[str, Any], basics: dict[str, dict[str, Any]]
) -> dict[str, tuple[int, bool]]:
    """Distinct values, and whether their number is an estimate. Text is counted by its hash, which is small."""
    estimates = {name: int(facts["distinct"]) for name, facts in basics.items() if "distinct" in facts}
    few = [name for name, estimate in estimates.items() if estimate <= _EXACT]
    exact = {}
    if few:
        values = [
            _value(polars, name, types[name]).drop_nulls()
            if _numeric(types[name])
            else polars.col(name).cast(polars.String).drop_nulls().hash()
            for name in few
        ]
        counted = [value.n_unique().alias(str(place)) for place, value in enumerate(values)]
        exact = dict(zip(few, _collect(data.of(few).select(counted)).row(0), strict=True))
    return {name: (exact.get(name, estimate), name not in exact) for name, estimate in estimates.items()}


def _of_numbers(column: Column, facts: dict[str, Any], fine: Sequence[int]) -> Column:
    low, high = float(facts["min"]), float(facts["max"])
    group = _FINE // BINS
    return replace(
        column,
        min=low,
        max=high,
        mean=_steady(facts["mean"], low, high),
        std=_steady(facts["std"], low, high),
        quantiles={str(share): _quantile(fine, low, high, share) for share in _SHARES},
        edges=tuple(_between(low, high, place / BINS) for place in range(BINS + 1)),
        bins=tuple(sum(fine[place : place + group]) for place in range(0, _FINE, group)),
    )


def _of_text(polars: Any, data: Rows, column: Column, kind: Any, facts: dict[str, Any]) -> Column:
    shown = min(int(facts["max"] or 0), _SHOWN)
    if int(facts["distinct"]) <= _RANKED and int(facts["distinct"]) * shown <= _RANKED_CHARS:
        column = replace(
            column, top=_top(polars, data.of([column.name]), polars.col(column.name).cast(polars.String))
        )
    return replace(column, min=facts["min"], max=facts["max"]) if kind == polars.String else column


def _steady(value: float | None, low: float, high: float) -> float | None:
    """Without the digits that depend on how threads shared the rows: the same data has the same profile."""
    if value is None or not math.isfinite(value):
        return None  # beyond a double
    largest = max(abs(low), abs(high))
    if not largest:
        return 0.0
    return round(value, _DIGITS - math.floor(math.log10(largest)) - 1)


def _histograms(
    polars: Any, data: Rows, columns: dict[str, tuple[Any, float, float]]
) -> dict[str, list[int]]:
    """Counts in 1,024 bins from the smallest to the largest value, in one pass over all these columns."""
    counts = {name: numpy.zeros(_FINE, dtype=numpy.int64) for name in columns}
    bins = []
    for number, (value, low, high) in enumerate(columns.values()):
        # Halves, since the whole span may not fit a double.
        half = high / 2 - low / 2
        place = (value / 2 - low / 2) / half * _FINE if half > 0 else value * 0
        bins.append(place.floor().clip(0, _FINE - 1).cast(polars.UInt16).alias(str(number)))
    if not bins:
        return {}

    def count(batch: Any) -> None:
        for name, series in zip(columns, batch.iter_columns(), strict=True):
            counts[name] += numpy.bincount(series.drop_nulls().to_numpy(), minlength=_FINE)

    # Not `collect_batches`, whose queue grows when this is slower than the reading.
    data.of([*columns]).select(bins).sink_batches(count, engine="streaming", maintain_order=False)
    return {name: found.tolist() for name, found in counts.items()}


def _between(low: float, high: float, share: float) -> float:
    """low + share (high - low), though the difference may not fit a double."""
    return low * (1 - share) + high * share if 0 < share < 1 else (high if share else low)


def _quantile(bins: Sequence[int], low: float, high: float, share: float) -> float:
    wanted, seen = share * sum(bins), 0.0
    for place, count in enumerate(bins):
        if count and seen + count >= wanted:
            return _between(low, high, (place + (wanted - seen) / count) / len(bins))
        seen += count
    return high


def _top(polars: Any, frame: Any, value: Any) -> tuple[tuple[str, int], ...]:
    counted = frame.select(value.str.head(_SHOWN).alias("value")).drop_nulls().group_by("value").len("count")
    found = _collect(counted.top_k(TOP, by=["count", "value"]))
    return tuple(sorted(found.iter_rows(), key=lambda each: (-each[1], each[0])))


def _value(polars: Any, name: str, kind: Any) -> Any:
    """Numbers that are finite; times in the unit of their type."""
    column = polars.col(name)
    if kind.is_temporal():
        return column.to_physical().cast(polars.Float64)
    if kind.is_float():
        return polars.when(column.is_finite()).then(column).cast(polars.Float64)
    return column.cast(polars.Float64)


def _numeric(kind: Any) -> bool:
    return bool(kind.is_numeric() or kind.is_temporal())


def _ranked(polars: Any, kind: Any) -> bool:
    return kind in (polars.String, polars.Boolean, polars.Categorical) or kind == polars.Enum


def _collect(frame: Any) -> Any:
    return frame.collect(engine="streaming")
