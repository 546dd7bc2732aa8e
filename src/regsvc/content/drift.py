"""How far two datasets lie apart, from their profiles: schema, rows, and the distribution of each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.content.profile import Column, Profile

_FLOOR = 1e-4
"""Share that an empty bin counts as, so that logarithms exist; Siddiqi 2006 leaves it to the user."""
COMMON_BINS = 20
MODERATE, LARGE = 0.1, 0.25
"""PSI from which drift is called so, by the usual rule of thumb: Siddiqi, Credit Risk Scorecards, 2006."""


@dataclass(frozen=True)
class ColumnDrift:
    """One column in both datasets."""

    name: str
    psi: float | None
    """Population stability index: sum of (q - p) ln(q / p); `verdict` puts it in a word."""
    ks: float | None
    """Kolmogorov-Smirnov statistic, 0 to 1: the largest distance of the cumulative shares, at the bins' edges; of
    numbers only (Massey, JASA 46, 1951)."""
    js: float | None
    """Jensen-Shannon distance, 0 to 1: root of the divergence in bits (Lin, IEEE IT 37, 1991; Endres and Schindelin,
    IEEE IT 49, 2003)."""
    nulls_before: float
    """Share of rows."""
    nulls_after: float
    edges: Sequence[float] = ()
    """Of both histograms below; of categories none."""
    labels: Sequence[str] = ()
    """Categories, the rest of both as "(other)"."""
    before: Sequence[float] = ()
    """Shares of the values."""
    after: Sequence[float] = ()
    type: str = ""
    """In both, as polars calls it; empty when it changed."""


@dataclass(frozen=True)
class DatasetDrift:
    """What changed from one dataset to another."""

    rows_before: int
    rows_after: int
    added: Sequence[str]
    removed: Sequence[str]
    retyped: Sequence[tuple[str, str, str]]
    """(column, type before, type after)"""
    columns: Sequence[ColumnDrift]
    """Those in both whose distributions can be compared, the farthest apart first."""


def compare(before: Profile, after: Profile) -> DatasetDrift:
    """What changed from `before` to `after`."""
    old, new = ({column.name: column for column in each.columns} for each in (before, after))
    drifts = [
        drift
        for name in old
        if name in new and (drift := _column(old[name], new[name], before.rows, after.rows)) is not None
    ]
    return DatasetDrift(
        before.rows,
        after.rows,
        [name for name in new if name not in old],
        [name for name in old if name not in new],
        [
            (name, old[name].type, new[name].type)
            for name in old
            if name in new and old[name].type != new[name].type
        ],
        sorted(drifts, key=lambda drift: (-(drift.js or 0.0), drift.name)),
    )


def verdict(psi: float | None) -> str:
    """`none`, `moderate` or `large`, by the population stability index; empty without one."""
    if psi is None:
        return ""
    return "large" if psi >= LARGE else "moderate" if psi >= MODERATE else "none"


def population_stability_index(before: Sequence[float], after: Sequence[float]) -> float:
    """PSI of two lists of shares."""
    pairs = [(max(p, _FLOOR), max(q, _FLOOR)) for p, q in zip(before, after, strict=True)]
    return sum((q - p) * math.log(q / p) for p, q in pairs)


def kolmogorov_smirnov(before: Sequence[float], after: Sequence[float]) -> float:
    """The largest distance between the cumulative shares."""
    largest = p = q = 0.0
    for left, right in zip(before, after, strict=True):
        p, q = p + left, q + right
        largest = max(largest, abs(p - q))
    return min(1.0, largest)


def jensen_shannon(before: Sequence[float], after: Sequence[float]) -> float:
    """The square root of the Jensen-Shannon divergence, in bits."""
    divergence = 0.0
    for p, q in zip(before, after, strict=True):
        middle = (p + q) / 2
        divergence += (p * math.log2(p / middle) if p else 0.0) / 2
        divergence += (q * math.log2(q / middle) if q else 0.0) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _column(old: Column, new: Column, rows_before: int, rows_after: int) -> ColumnDrift | None:
    nulls = (old.nulls / rows_before if rows_before else 0.0, new.nulls / rows_after if rows_after else 0.0)
    kind = old.type if old.type == new.type else ""
    if old.bins and new.bins:
        low, high = min(old.edges[0], new.edges[0]), max(old.edges[-1], new.edges[-1])
        edges = [*(_between(low, high, place / COMMON_BINS) for place in range(COMMON_BINS)), high]
        before, after = _rebinned(old, edges), _rebinned(new, edges)
        psi, ks, js = (
            measure(before, after)
            for measure in (population_stability_index, kolmogorov_smirnov, jensen_shannon)
        )
        return ColumnDrift(old.name, psi, ks, js, *nulls, edges=edges, before=before, after=after, type=kind)
    if old.top and new.top:
        labels = list(dict.fromkeys([*(value for value, _ in old.top), *(value for value, _ in new.top)]))
        before, after = _shares(old, labels), _shares(new, labels)
        psi, js = population_stability_index(before, after), jensen_shannon(before, after)
        return ColumnDrift(
            old.name,
            psi,
            None,
            js,
            *nulls,
            labels=[*labels, "(other)"],
            before=before,
            after=after,
            type=kind,
        )
    if nulls[0] != nulls[1]:
        return ColumnDrift(old.name, None, None, None, *nulls, type=kind)
    return None


def _rebinned(column: Column, edges: Sequence[float]) -> list[float]:
    """Shares in other bins; what a bin holds is spread evenly over it."""
    total = sum(column.bins) or 1
    found = [0.0] * (len(edges) - 1)
    # Halves, since a span may not fit a double.
    first, width = edges[0] / 2, (edges[-1] / 2 - edges[0] / 2) / (len(edges) - 1)
    for place, count in enumerate(column.bins):
        begin, end = column.edges[place] / 2, column.edges[place + 1] / 2
        if not count:
            continue
        if width <= 0:
            found[0] += count / total
        elif end <= begin:
            found[min(len(found) - 1, int((begin - first) / width))] += count / total
        else:
            for target in range(
                max(0, int((begin - first) / width)), min(len(found), int((end - first) / width) + 1)
            ):
                overlap = min(end, edges[target + 1] / 2) - max(begin, edges[target] / 2)
                found[target] += max(0.0, overlap) / (end - begin) * count / total
    return found


def _between(low: float, high: float, share: float) -> float:
    """low + share (high - low), though the difference may not fit a double."""
    return low * (1 - share) + high * share if share else low


def _shares(column: Column, labels: Sequence[str]) -> list[float]:
    """Shares of these values, and of all others."""
    total = column.count or 1
    counts = dict(column.top)
    shares = [counts.get(label, 0) / total for label in labels]
    return [*shares, max(0.0, 1.0 - sum(shares))]
