"""Pictures of the drift between datasets by matplotlib, which `pip install regsvc[plot]` brings."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from regsvc import errors

if TYPE_CHECKING:
    from regsvc.client.client import Client
    from regsvc.client.datasets import ColumnDrift

BEFORE, AFTER = "#4682b4", "#e08214"
MOST_DRIFTED = 12
_ACROSS = 3
_CATEGORIES = 8
_OTHER = "(other)"
_UNITS = {"ns": 1e9, "us": 1e6, "ms": 1e3}
"""Per second."""
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - 719_162.0, date.max.toordinal() - 719_164.0
"""Days since 1970 that have dates in Python, with one to spare at each end."""
_LARGEST = 1e300
"""Beyond it matplotlib cannot scale an axis."""


def plot_drift(
    client: Client,
    before: str,
    after: str,
    output: str | os.PathLike[str],
    *,
    most: int = MOST_DRIFTED,
) -> None:
    """Draw the `most` columns of two datasets that drifted most, by PSI, into a PNG, SVG or PDF file.

    Numbers and times are histograms over each other on one scale, categories are bars, the most frequent ones. Raises
    `NotFound`, `InvalidArgument` and `FailedPrecondition` as `compare_datasets` does, and without matplotlib.
    """
    found = client.compare_datasets(before, after)
    ranked = sorted(
        (drift for drift in found.columns if any((*drift.before, *drift.after))),
        key=lambda drift: (-(drift.psi or 0.0), drift.column),
    )
    shown = ranked[: max(1, most)]
    across = min(_ACROSS, max(1, len(shown)))
    down = max(1, math.ceil(len(shown) / across))
    figure = _figure(max(7.0, 4.2 * across), 2.7 * down + 0.8)
    for place, drift in enumerate(shown):
        axes = figure.add_subplot(down, across, place + 1)
        if drift.labels:
            _draw_categories(axes, drift)
        else:
            _draw_histograms(axes, drift, drift.type)
        numbers = (("PSI", drift.psi), ("KS", drift.ks), ("JS", drift.js))
        measured = "  ".join(f"{name} {value:.3f}" for name, value in numbers if value is not None)
        name = _cut(drift.column, 40) or "(no name)"
        axes.set_title(f"{name}\n{measured}", fontsize=10, parse_math=False)
        axes.tick_params(labelsize=8)
    if not shown:
        figure.text(0.5, 0.4, "no column has a distribution in both", ha="center")
    _draw_legend(figure, [f"{each.reference} ({each.rows:,} rows)" for each in (found.before, found.after)])
    if len(shown) < len(ranked):
        figure.supxlabel(f"{len(shown)} of {len(ranked)} columns, by PSI", fontsize=9)
    figure.savefig(output, dpi=150)


def _draw_histograms(axes: Any, drift: ColumnDrift, kind: str) -> None:
    places = _on_axis(axes, list(drift.edges), kind)
    axes.xaxis.get_offset_text().set_fontsize(8)
    for shares, color, alpha in ((drift.before, BEFORE, 0.5), (drift.after, AFTER, 0.4)):
        axes.stairs(shares, places, fill=True, color=color, alpha=alpha)
    for shares, color in ((drift.before, BEFORE), (drift.after, AFTER)):
        axes.stairs(shares, places, color=color, linewidth=1.5)
    axes.set_ylim(0, None)
    _percent(axes.yaxis)
    axes.grid(alpha=0.25, axis="y")


def _on_axis(axes: Any, edges: list[float], kind: str) -> list[float]:
    """Where the edges stand, with an axis that can be read: dates of times, units of durations."""
    from matplotlib import dates, ticker

    unit = re.search(r"'(ns|us|ms)'", kind)
    seconds = _UNITS[unit[1]] if unit else 1e9
    if kind == "Date" or kind.startswith("Datetime"):
        days = [edge / (1 if kind == "Date" else seconds * 86_400) for edge in edges]
        if days[0] >= _FIRST_DAY and days[-1] <= _LAST_DAY:
            locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
            zone = re.search(r"time_zone='([^']*)'", kind)
            axes.set_xlabel("UTC" if zone else "", fontsize=8)
            # Of one moment only it is a bar of a day.
            return days if days[-1] > days[0] else _spread(days[0], len(days), 1.0)
    elif kind == "Time":
        hours = [edge / 3.6e12 for edge in edges]
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 3, 4, 6, 10]))
        axes.xaxis.set_major_formatter(
            ticker.FuncFormatter(lambda hour, _: f"{int(hour):02}:{round(hour % 1 * 60) % 60:02}")
        )
        return hours if hours[-1] > hours[0] else _spread(hours[0], len(hours), 1.0)
    elif kind.startswith("Duration"):
        longest = max(abs(edge) for edge in edges) / seconds
        name, size = next(
            (
                each
                for each in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0))
                if longest >= 2 * each[1]
            ),
            ("seconds", 1.0),
        )
        axes.set_xlabel(name, fontsize=8)
        edges = [edge / seconds / size for edge in edges]
    if max(abs(edge) for edge in edges) > _LARGEST:
        axes.set_xticks([0, 1], [f"{edges[0]:.3g}", f"{edges[-1]:.3g}"])
        return [place / (len(edges) - 1) for place in range(len(edges))]
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    return edges if edges[-1] > edges[0] else _spread(edges[0], len(edges), abs(edges[0]) * 0.1 or 1.0)


def _spread(middle: float, edges: int, width: float) -> list[float]:
    """Of one value, whose bins have no width: the first bin, which holds all, is as wide as this."""
    return [middle - width / 2, *[middle + width / 2] * (edges - 1)]


def _draw_categories(axes: Any, drift: ColumnDrift) -> None:
    rows = [row for row in zip(drift.labels, drift.before, drift.after, strict=True) if any(row[1:])]
    rows.sort(key=lambda row: (row[0] == _OTHER, -max(row[1:])))
    if len(rows) > _CATEGORIES:
        rest = rows[_CATEGORIES - 1 :]
        rows = [*rows[: _CATEGORIES - 1], (_OTHER, sum(row[1] for row in rest), sum(row[2] for row in rest))]
    heights = range(len(rows))
    axes.barh([y - 0.2 for y in heights], [row[1] for row in rows], 0.4, color=BEFORE)
    axes.barh([y + 0.2 for y in heights], [row[2] for row in rows], 0.4, color=AFTER)
    axes.set_yticks(list(heights), [_cut(label, 18) or '""' for label, *_ in rows], parse_math=False)
    axes.invert_yaxis()
    _percent(axes.xaxis)
    axes.grid(alpha=0.25, axis="x")


def _draw_legend(figure: Any, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=color, label=_cut(name, 60)) for color, name in zip((BEFORE, AFTER), names, strict=True)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)


def _percent(axis: Any) -> None:
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(4))
    axis.set_major_formatter(ticker.PercentFormatter(1.0))


def _cut(text: str, most: int) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _figure(width: float, height: float) -> Any:
    """Inches. Not by pyplot, which keeps figures and may look for a display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise errors.FailedPrecondition(
            "drawing needs matplotlib: pip install 'regsvc[plot]'", extra="plot"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
