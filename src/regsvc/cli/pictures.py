"""Small pictures as inline SVG: how a column was distributed before and after.

They take the colour of text from the page they stand in, and two that can be told apart on white and on black.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from regsvc.client.drift_plot import AFTER, BEFORE

_TOP, _BOTTOM = 18, 16
"""Pixels above the plot for the legend, and below it for the axis."""
_CHAR = 6.2
"""Pixels of a character, about, at 11 pixels."""
_ROW = 15
_OTHER = "(other)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def drift_svg(
    before: Sequence[float],
    after: Sequence[float],
    edges: Sequence[float],
    labels: Sequence[str],
    *,
    kind: str = "",
    width: int = 340,
    height: int = 120,
) -> str:
    """Two distributions over each other: histograms where there are `edges`, else bars of the categories `labels`.

    `before` and `after` are shares, one a bin (one fewer than `edges`) or label, and `kind` is the column's type, as
    `ColumnDrift` has them.
    """
    if labels:
        return bars(before, after, labels, width=width, height=height)
    if not before or not any((*before, *after)):
        return _svg(width, height, [_text(width / 2, height / 2 + 4, "no values", "middle")])
    if len(edges) != len(before) + 1:
        raise ValueError(f"{len(edges)} edges of {len(before)} bins")
    places = _places(edges, width)
    base, highest = height - _BOTTOM, max(*before, *after)
    parts = [*_legend(width), f'<text x="0" y="12">{_percent(highest)}</text>']
    for shares, color, opacity in ((before, BEFORE, 0.45), (after, AFTER, 0.3)):
        outline = _outline([share / highest for share in shares], places, base)
        parts.append(
            f'<path d="{outline}" fill="{color}" fill-opacity="{opacity}" stroke="{color}" stroke-width="1.5"/>'
        )
    parts += [_line(0, base, width), *_axis(edges, kind, width, height)]
    return _svg(width, height, parts)


def bars(
    before: Sequence[float],
    after: Sequence[float],
    labels: Sequence[str],
    *,
    width: int = 340,
    height: int = 120,
) -> str:
    """Two bars beside each other for each category, the most frequent first; those that do not fit are one."""
    rows = [row for row in zip(labels, before, after, strict=True) if any(row[1:])]
    if not rows:
        return _svg(width, height, [_text(width / 2, height / 2 + 4, "no values", "middle")])
    rows.sort(key=lambda row: (row[0] == _OTHER, -max(row[1:])))
    room = max(2, (height - _TOP) // _ROW)
    if len(rows) > room:
        rest = rows[room - 1 :]
        rows = [*rows[: room - 1], (_OTHER, sum(row[1] for row in rest), sum(row[2] for row in rest))]
    highest = max(max(row[1:]) for row in rows)
    longest = max(text_width(label or '""') for label, *_ in rows)
    left, right = min(width * 0.34, longest + 10), width - 15 * _CHAR
    parts = [*_legend(width)]
    for place, (label, *shares) in enumerate(rows):
        y = _TOP + place * _ROW
        shown = _cut(label or '""', int((left - 8) / _CHAR))
        parts.append(f"<g><title>{_plain(label)}</title>{_text(left - 6, y + 11, shown, 'end')}")
        for offset, share, color in ((2, shares[0], BEFORE), (7, shares[1], AFTER)):
            long = max(0.0, (right - left) * (share / highest))
            parts.append(
                f'<rect x="{left:.1f}" y="{y + offset}" width="{long:.1f}" height="5" fill="{color}"/>'
            )
        numbers = f"{_percent(shares[0])} → {_percent(shares[1])}"
        parts.append(f"{_text(width, y + 11, numbers, 'end')}</g>")
    parts.append(
        f'<path d="M{left:.1f} {_TOP}V{_TOP + len(rows) * _ROW}" stroke="currentColor" stroke-opacity=".5"/>'
    )
    return _svg(width, min(height, _TOP + len(rows) * _ROW + 2), parts)


def text_width(text: str) -> float:
    """Pixels of a text at 11 pixels, about."""
    return _CHAR * sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" aria-label="distribution before and after" font-family="system-ui, sans-serif"'
        f' font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def _legend(width: int) -> Iterator[str]:
    for x, word, color in ((width - 96, "before", BEFORE), (width - 42, "after", AFTER)):
        yield f'<rect x="{x}" y="4" width="9" height="9" fill="{color}"/>{_text(x + 12, 12, word)}'


def _places(edges: Sequence[float], width: int) -> list[float]:
    """Where the edges stand. Of one value only, which has a bin without width, it is a bar in the middle."""
    low, high = edges[0] / 2, edges[-1] / 2  # halves, since the whole span may not fit a double
    if high <= low:
        return [width * 0.4, *[width * 0.6] * (len(edges) - 1)]
    return [width * ((edge / 2 - low) / (high - low)) for edge in edges]


def _outline(heights: Sequence[float], places: Sequence[float], base: float) -> str:
    """Of a histogram whose highest possible bin is 1."""
    steps = [f"M{places[0]:.1f} {base}"]
    for place, height in enumerate(heights):
        steps.append(f"V{base - height * (base - _TOP):.1f}H{places[place + 1]:.1f}")
    return "".join([*steps, f"V{base}Z"])


def _axis(edges: Sequence[float], kind: str, width: int, height: int) -> Iterator[str]:
    y, low, high = height - 4, edges[0], edges[-1]
    days = _days(kind, low, high)
    if high <= low:
        yield _text(width / 2, y, days[0] if days else _number(low, 4), "middle")
        return
    first, middle, last = days or _numbers(low, low / 2 + high / 2, high)
    yield _text(0, y, first)
    if (len(first) + len(middle) + len(last) + 4) * _CHAR < width:
        yield _text(width / 2, y, middle, "middle")
    yield _text(width, y, last, "end")


def _days(kind: str, low: float, high: float) -> list[str]:
    """The first, middle and last moment of an axis of times: dates, or times of one day; empty for what is none."""
    unit = re.search(r"'(ns|us|ms)'", kind)
    if kind == "Date":
        seconds = 1 / 86_400
    elif kind.startswith("Datetime") and unit:
        seconds = {"ns": 1e9, "us": 1e6, "ms": 1e3}[unit[1]]
    else:
        return []
    try:
        moments = [_EPOCH + timedelta(seconds=place / seconds) for place in (low, low / 2 + high / 2, high)]
    except OverflowError:  # years that dates do not have
        return []
    if moments[-1] - moments[0] < timedelta(days=2) and kind != "Date":
        return [f"{moment:%m-%d %H:%M}" for moment in moments]
    return [f"{moment:%Y-%m-%d}" for moment in moments]


def _line(x: float, y: float, to: float) -> str:
    return f'<path d="M{x} {y}H{to}" stroke="currentColor" stroke-opacity=".5"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_plain(text)}</text>'


def _plain(text: str) -> str:
    """Text that is no markup, without characters that XML does not know or that turn the line around."""
    return html.escape("".join(char if char.isprintable() else " " for char in text))


def _cut(text: str, most: int) -> str:
    """Text of at most this many narrow characters."""
    wide = [2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text]
    if sum(wide) <= most:
        return text
    used = count = 0
    while used + wide[count] < most:
        used, count = used + wide[count], count + 1
    return text[:count] + "…"


def _numbers(*values: float) -> list[str]:
    """With as many digits as tell them apart, as those of times, which begin alike."""
    for digits in (4, 6, 9, 12, 15):
        shown = [_number(value, digits) for value in values]
        if len(set(shown)) == len(values):
            break
    return shown


def _number(value: float, digits: int) -> str:
    return (
        f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 and value == math.floor(value) else f"{value:.{digits}g}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or not share else f"{100 * share:.1f} %"
