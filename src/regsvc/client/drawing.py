"""Draws panels of metrics by matplotlib: a colour and a dash for each version or build, a mark for each source."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from regsvc import errors
from regsvc.client.plotting import COLORS, Line, Panel
from regsvc.content.comparison import Direction

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
except ImportError:
    raise errors.FailedPrecondition(
        "drawing needs matplotlib: pip install 'regsvc[plot]'", extra="plot"
    ) from None

_DASHES = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""Of the lines after the first eight, and so on."""
_MARKS = ("s", "^", "v", "P", "X", "*", "p", "h")
"""Of evaluations, a mark for each source."""
_INSIDE = 8
"""Lines whose names find room within a panel."""
_LYING = 6
"""Bars beyond which they lie, so that their names can be read."""
_LONGEST = 44
"""Letters of a name in a legend."""
_LARGEST, _SMALLEST = 1e300, 1e-300
"""Values beyond are drawn there, or as 0: matplotlib's margins and logarithms do not fit a double otherwise."""
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Later times are drawn there, likewise."""


def draw(
    panels: Sequence[Panel],
    output: str | os.PathLike[str],
    *,
    title: str,
    by: str,
    log: bool,
    show_sources: bool,
) -> None:
    """Write the picture. Raises `OSError`."""
    names = _names(panels, show_sources)
    marks = _marks(panels)
    columns = 1 if len(panels) <= 3 else 2
    rows = math.ceil(len(panels) / columns)
    bars = {panel.key for panel in panels if by == "step" and all(line.stepless for line in panel.lines)}
    drawn = {names[id(line)] for panel in panels if panel.key not in bars for line in panel.lines}
    beside = len(drawn) > _INSIDE or (len(panels) > 1 and len(drawn) > 1)
    figure = Figure(
        figsize=_size(panels, bars, rows, columns, len(drawn) if beside else 0), layout="constrained"
    )
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title))
    entries: dict[str, Any] = {}
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        lying = panel.key in bars and _lie(panel)
        if panel.key in bars:
            _draw_bars(axes, panel, names, lying)
        else:
            entries |= _draw_lines(axes, panel, names, marks, by)
            axes.set_xlabel("time (UTC)" if by == "time" else "step")
        _scale(axes, panel, log, lying)
        label = _plain(panel.key) + _better(panel.direction)
        (axes.set_xlabel if lying else axes.set_ylabel)(label)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    labels = [_plain(name) for name in entries]
    if beside:
        figure.legend(entries.values(), labels, loc="outside right upper", fontsize="small", frameon=False)
    elif entries:
        figure.axes[0].legend(entries.values(), labels, fontsize="small")
    figure.savefig(output, dpi=150)


def _draw_lines(
    axes: Any, panel: Panel, names: dict[int, str], marks: dict[str, str], by: str
) -> dict[str, Any]:
    """Lines, and single values where they belong. Gives the entries of the legend by name."""
    entries = {}
    for line in panel.lines:
        look: dict[str, Any] = {"color": COLORS[line.subject % len(COLORS)]}
        dash = _DASHES[line.subject // len(COLORS) % len(_DASHES)]
        values = _heights(line)
        if line.stepless and by == "step":
            # At no step: a level, with a diamond at the edge of the panel.
            entries[names[id(line)]] = axes.axhline(values[0], linestyle=":", linewidth=1.2, **look)
            axes.plot(
                [1], values, "D", transform=axes.get_yaxis_transform(), clip_on=False, markersize=5, **look
            )
            continue
        across: list[Any] = [
            min(point.time, _LATEST) if by == "time" else point.step for point in line.points
        ]
        mark = "D" if line.sealed else marks.get(line.source, "o" if len(values) < 30 else "")
        [entries[names[id(line)]]] = axes.plot(
            across,
            values,
            linestyle=dash if len(values) > 1 else "",
            linewidth=1.4,
            marker=mark,
            markersize=3 if mark == "o" and len(values) > 1 else 5,
            markevery=max(1, len(values) // 40) if mark != "o" else 1,
            **look,
        )
    if by == "time":
        locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    return entries


def _draw_bars(axes: Any, panel: Panel, names: dict[int, str], lying: bool) -> None:
    labels = [_plain(names[id(line)]) for line in panel.lines]
    values = [_heights(line)[0] for line in panel.lines]
    colors = [COLORS[line.subject % len(COLORS)] for line in panel.lines]
    places = range(len(values))
    if lying:
        drawn = axes.barh(places, values, height=0.7, color=colors)
        axes.set_yticks(places, labels, fontsize="small")
        axes.invert_yaxis()
        axes.margins(x=0.12)
    else:
        drawn = axes.bar(places, values, width=0.6, color=colors)
        axes.set_xticks(places, labels)
        axes.margins(x=0.1, y=0.12)
    axes.bar_label(
        drawn, [f"{line.points[0].value:.5g}" for line in panel.lines], padding=2, fontsize="small"
    )


def _scale(axes: Any, panel: Panel, log: bool, lying: bool) -> None:
    values = [value for line in panel.lines for value in _heights(line)]
    change = axes.set_xscale if lying else axes.set_yscale
    sizes = [abs(value) for value in values if value]
    if not log or not sizes:
        return
    if min(values) > 0:
        change("log")
    else:  # a logarithmic scale would leave out zero and what is below it
        change("symlog", linthresh=max(min(sizes), max(sizes) * 1e-9))


def _heights(line: Line) -> list[float]:
    """The values as they are drawn."""
    return [
        0.0 if abs(point.value) < _SMALLEST else max(-_LARGEST, min(_LARGEST, point.value))
        for point in line.points
    ]


def _names(panels: Sequence[Panel], show_sources: bool) -> dict[int, str]:
    """What a legend calls each line, by its identity."""
    lines = [line for panel in panels for line in panel.lines]
    whole = {line.name for line in lines}
    short = {name: name if len(name) <= _LONGEST else "…" + name[1 - _LONGEST :] for name in whole}
    if len(set(short.values())) < len(whole):  # only their beginnings tell them apart
        short = {name: name for name in whole}
    return {id(line): short[line.name] + _source(line, show_sources) for line in lines}


def _source(line: Line, shown: bool) -> str:
    if line.sealed:
        return " (sealed)"
    return f" ({line.source or 'build'})" if shown else ""


def _marks(panels: Sequence[Panel]) -> dict[str, str]:
    sources = [line.source for panel in panels for line in panel.lines if line.source and not line.sealed]
    return {source: _MARKS[place % len(_MARKS)] for place, source in enumerate(dict.fromkeys(sources))}


def _size(
    panels: Sequence[Panel], bars: set[str], rows: int, columns: int, beside: int
) -> tuple[float, float]:
    """Inches. Bars that lie need height, and so does a long legend."""
    longest = max((len(panel.lines) for panel in panels if panel.key in bars and _lie(panel)), default=0)
    row = max(4.5 if rows == 1 else 3.2, 1.4 + 0.26 * longest)
    width = (8.0 if columns == 1 else 12.0) + (2.5 if beside else 0.0)
    return width, max(row * rows, 0.8 + 0.2 * beside)


def _lie(panel: Panel) -> bool:
    letters = sum(len(line.name) for line in panel.lines)
    return len(panel.lines) > _LYING or letters > 60


def _better(direction: Direction) -> str:
    return "" if direction is Direction.UNKNOWN else f" ({direction.name.lower()} is better)"


def _plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
