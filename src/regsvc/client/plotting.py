"""Pictures of metrics by matplotlib, which `pip install regsvc[plot]` brings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from regsvc import errors

if TYPE_CHECKING:
    from regsvc.client.client import Client

FORMATS = (".png", ".svg", ".pdf")
MAX_POINTS = 2_000
"""Points of one line: more than a picture has pixels across."""


def plot_metric(
    client: Client,
    references: Sequence[str],
    key: str,
    output: str | os.PathLike[str],
    *,
    axis: str = "step",
    source: str = "",
) -> None:
    """Draw one metric of versions or builds into a PNG, SVG or PDF file: a line each, or bars if each has one value.

    A version without such a series is drawn by its sealed metric. Raises `NotFound`, and `FailedPrecondition`
    without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise errors.FailedPrecondition(
            "drawing needs matplotlib: pip install 'regsvc[plot]'", extra="plot"
        ) from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = {name: _points(client, name, key, source) for name in references}
    if all(len(points) == 1 for points in lines.values()):
        axes.bar(list(lines), [points[0][2] for points in lines.values()], width=0.6)
        axes.tick_params(axis="x", rotation=30 if len(lines) > 4 else 0)
    else:
        for name, points in lines.items():
            across = [point[1] for point in points] if axis == "time" else [point[0] for point in points]
            marker = "o" if len(points) < 30 else None
            axes.plot(across, [point[2] for point in points], marker=marker, markersize=4, label=name)  # type: ignore[arg-type]
        axes.set_xlabel(axis)
        axes.legend()
        if axis == "time":
            figure.autofmt_xdate()
    axes.set_title(f"{key} ({source})" if source else key)
    axes.set_ylabel(key)
    axes.grid(alpha=0.3)
    figure.savefig(output, dpi=150)


def _points(client: Client, name: str, key: str, source: str) -> list[tuple[int, object, float]]:
    """(step, time, value)"""
    try:
        found = client.series(name, key, source=source, max_points=MAX_POINTS)
    except errors.NotFound:
        if source or "/builds/" in name:
            raise
        version = client.version(name)
        if key not in version.metrics:
            raise
        return [(0, version.created, version.metrics[key])]
    return [(point.step, point.time, point.value) for point in found]
