"""Metrics over time as one inline SVG picture: a line for each subject, axes with round numbers, a legend."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Sequence

from regsvc.client.plotting import COLORS
from regsvc.content.comparison import Curve

_LEFT, _TOP, _BOTTOM, _RIGHT = 56, 8, 22, 10


def curves_svg(
    names: Sequence[str], curves: Sequence[Curve], label: str, *, width: int = 520, height: int = 220
) -> str:
    """One metric of several subjects; those without points are left out of the picture and its legend."""
    drawn = [
        (place, name, curve)
        for place, (name, curve) in enumerate(zip(names, curves, strict=True))
        if curve.steps
    ]
    steps = [step for _, _, curve in drawn for step in curve.steps]
    values = [value for _, _, curve in drawn for value in curve.values]
    if not steps:
        return ""
    across, up = _Axis(min(steps), max(steps)), _Axis(min(values), max(values), margin=0.05)
    columns = max(1, width // 170)
    legend = 16 * math.ceil(len(drawn) / columns)
    parts = [
        f'<svg width="{width}" height="{height + legend}" viewBox="0 0 {width} {height + legend}" role="img"'
        f' aria-label="{html.escape(label)}">'
    ]
    right, bottom = width - _RIGHT, height - _BOTTOM
    for tick in up.ticks(5):
        y = up.place(tick, bottom, _TOP)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for tick in across.ticks(6):
        x = across.place(tick, _LEFT, right)
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{_short(tick)}</text>')
    for place, _, curve in drawn:
        points = [
            f"{across.place(step, _LEFT, right):.1f},{up.place(value, bottom, _TOP):.1f}"
            for step, value in zip(curve.steps, curve.values, strict=True)
        ]
        if len(points) == 1:
            left, top = points[0].split(",")
            parts.append(f'<circle cx="{left}" cy="{top}" r="3" fill="{COLORS[place % len(COLORS)]}"/>')
        else:
            parts.append(f'<polyline fill="none" {_style(place)} points="{" ".join(points)}"/>')
    for place, (subject, name, _) in enumerate(drawn):
        x, y = _LEFT + (place % columns) * 165, height + 12 + 16 * (place // columns)
        parts.append(f'<line {_style(subject)} x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<text x="{x + 23}" y="{y}">{html.escape(_ending(name))}</text>')
    return "".join([*parts, "</svg>"])


_LEAST = sys.float_info.min
"""Spans below it have no halves that are numbers."""


class _Axis:
    """A range of numbers, never empty."""

    def __init__(self, low: float, high: float, margin: float = 0.0):
        if high / 2 - low / 2 < _LEAST:
            spread = abs(low) / 2 if abs(low) > _LEAST else 0.5
            low, high = _finite(low - spread), _finite(high + spread)
        # Halves, since the whole span may not fit a double.
        room = (high / 2 - low / 2) * 2 * margin
        self._low, self._high = _finite(low - room), _finite(high + room)

    def place(self, value: float, begin: float, end: float) -> float:
        """Where a value lies between two ends of the picture."""
        share = (value / 2 - self._low / 2) / (self._high / 2 - self._low / 2)
        return begin + (end - begin) * share

    def ticks(self, most: int) -> list[float]:
        """At most about so many round numbers within."""
        span = self._high / 2 - self._low / 2
        rough = span / most * 2
        power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 0.0
        if power == 0.0 or not math.isfinite(rough):
            return [self._low, self._high]
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first = math.ceil(self._low / step)
        found: list[float] = []
        while (first + len(found)) * step <= self._high and len(found) <= 2 * most:
            found.append((first + len(found)) * step)
        return found


def _finite(value: float) -> float:
    return max(-sys.float_info.max, min(value, sys.float_info.max))


def _style(place: int) -> str:
    dash = ("", ' stroke-dasharray="5 3"')[place // len(COLORS) % 2]
    return f'stroke="{COLORS[place % len(COLORS)]}" stroke-width="1.6"{dash}'


def _ending(name: str) -> str:
    """The end of a name tells versions apart."""
    return name if len(name) <= 22 else "…" + name[-21:]


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 100_000 else f"{value:.2g}".replace("e+0", "e").replace("e+", "e")
