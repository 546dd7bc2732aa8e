"""Pictures of metrics: what is drawn. How, by matplotlib, which `pip install regsvc[plot]` brings, is in `drawing`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from regsvc import errors, refs
from regsvc.client.params import check_key
from regsvc.client.series import MetricSummary, MetricValue
from regsvc.content.comparison import Direction, direction_of

if TYPE_CHECKING:
    from regsvc.client.client import Client

FORMATS = (".png", ".svg", ".pdf")
AXES = ("step", "time")
COLORS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5500", "#666666",
)  # fmt: skip
"""Paul Tol's bright scheme, which colour-blind readers can tell apart."""
MAX_POINTS = 2_000
"""Points of one line: more than a picture has pixels across. The server chooses them."""
MAX_LINES = 32
"""Lines of one panel: as many as colours and dashes tell apart."""
MAX_METRICS = 12
"""Panels of one picture."""
SEALED = "sealed"
"""Where a value comes from that was given at the push and has no series."""
_SHOWN = 20
"""Metrics that an error names."""


@dataclass(frozen=True)
class Line:
    """One metric of one version or build, from one source."""

    subject: int
    """Place of the version or build among the references."""
    name: str
    """The reference as it was given."""
    source: str
    """Who measured; empty for the build itself, `sealed` for a value of the push."""
    sealed: bool
    points: Sequence[MetricValue]
    """By step, or time when it is drawn by that; never empty."""

    @property
    def stepless(self) -> bool:
        """One value that belongs to no step: sealed, or measured once without saying when."""
        return self.sealed or (len(self.points) == 1 and self.points[0].step == 0)


@dataclass(frozen=True)
class Panel:
    """One metric of all that have it."""

    key: str
    direction: Direction
    lines: Sequence[Line]


def plot(
    client: Client,
    references: Sequence[str],
    metrics: str | Sequence[str],
    output: str | os.PathLike[str],
    *,
    sources: str | Sequence[str] = "",
    by: str = "step",
    log: bool = False,
    title: str = "",
) -> list[str]:
    """Draw metrics of versions and builds into a PNG, SVG or PDF file, and give the names of what has none of them.

    Each metric has a panel, each version or build a line by `step` or `time`, of at most 2,000 points that show
    its shape; where all have one value, bars. `sources` are those who measured, `""` the build itself; a version
    without such a series of its build is drawn by its sealed metric. `log` makes the scale logarithmic.

    Raises `NotFound` (a reference; a metric that none has), `SameTwice`, `InvalidArgument` (the file's ending,
    nothing or too much to draw), `FailedPrecondition` (no matplotlib), `OSError`.
    """
    keys, wanted = _several(metrics), _several(sources)
    _check(references, keys, wanted, output, by)
    from regsvc.client import drawing  # here, since few have matplotlib

    subjects = [_Subject(client, place, name, wanted) for place, name in enumerate(references)]
    _check_different(subjects)
    panels = [_panel(key, subjects, by) for key in keys]
    drawn = {line.subject for panel in panels for line in panel.lines}
    heading = title or _title([subject.owner for subject in subjects], keys, wanted)
    drawing.draw(panels, output, title=heading, by=by, log=log, show_sources=len(wanted) > 1)
    return [name for place, name in enumerate(references) if place not in drawn]


class _Subject:
    """A version or build, and what it has to draw."""

    def __init__(self, client: Client, place: int, name: str, wanted: Sequence[str]) -> None:
        self.place, self.name = place, name
        self._server, self.owner = refs.parse_source(name)
        self.identity = str(self.owner)
        self._client, self._wanted = client, wanted
        self._sealed: dict[str, MetricValue] = {}
        self._definitions: dict[str, Direction] | None = None
        if isinstance(self.owner, refs.VersionRef):
            version = client.version(name)
            self.identity = version.reference
            made = version.created
            self._sealed = {key: MetricValue(0, value, made) for key, value in version.metrics.items()}
        self._series = {(each.source, each.key): each for each in client.metrics(name)}

    def summaries(self, key: str) -> list[MetricSummary]:
        return [each for each in self._series.values() if each.key == key]

    def lines(self, key: str, by: str) -> list[Line]:
        """Of the sources that are wanted, in their order."""
        found = []
        for source in self._wanted:
            if (source, key) in self._series:
                points = self._client.series(self.name, key, source=source, max_points=MAX_POINTS)
                if by == "time":  # steps need not ascend with it
                    points.sort(key=attrgetter("time"))
                found.append(Line(self.place, self.name, source, False, points))
            elif not source and key in self._sealed:
                found.append(Line(self.place, self.name, SEALED, True, [self._sealed[key]]))
        return found

    def direction(self, key: str) -> Direction:
        """Of a metric that may have no series."""
        if self._definitions is None:
            prefix = f"regsvc://{self._server}/" if self._server else ""
            self._definitions = self._client.metric_definitions(f"{prefix}{self.owner.model}")
        return self._definitions.get(key) or direction_of(key)

    def known(self) -> set[str]:
        """Names of metrics, with their sources where these must be asked for."""
        named = {f"{key} of source {source}" if source else key for source, key in self._series}
        return named | self._sealed.keys()


def _panel(key: str, subjects: Sequence[_Subject], by: str) -> Panel:
    lines = [line for subject in subjects for line in subject.lines(key, by)]
    if not lines:
        known = sorted({name for subject in subjects for name in subject.known()})
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        has = f"there are {', '.join(known[:_SHOWN])}{more}" if known else "there are no metrics at all"
        whose = subjects[0].name if len(subjects) == 1 else f"none of the {len(subjects)}"
        verb = "has no" if len(subjects) == 1 else "has"
        raise errors.NotFound(f"{whose} {verb} metric '{key}'; {has}", key=key)
    if len(lines) > MAX_LINES:
        raise errors.InvalidArgument(f"{len(lines)} lines of '{key}', at most {MAX_LINES}", limit=MAX_LINES)
    directions = {each.direction for subject in subjects for each in subject.summaries(key)}
    directions = directions or {subjects[lines[0].subject].direction(key)}
    return Panel(key, directions.pop() if len(directions) == 1 else Direction.UNKNOWN, lines)


def _several(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _check(
    references: Sequence[str],
    keys: Sequence[str],
    sources: Sequence[str],
    output: str | os.PathLike[str],
    by: str,
) -> None:
    """What can be told without the server."""
    if Path(output).suffix.lower() not in FORMATS:
        raise errors.InvalidArgument(f"'{output}' ends with none of {', '.join(FORMATS)}")
    if by not in AXES:
        raise errors.InvalidArgument(f"{by!r} is none of {', '.join(AXES)}")
    if not references or not keys or not sources:
        raise errors.InvalidArgument("a picture has references, metrics and sources")
    if len(keys) > MAX_METRICS:
        raise errors.InvalidArgument(f"{len(keys)} metrics, at most {MAX_METRICS}", limit=MAX_METRICS)
    if len(references) > MAX_LINES:
        raise errors.InvalidArgument(
            f"{len(references)} versions and builds, at most {MAX_LINES}", limit=MAX_LINES
        )
    for what, names in (("metric", [check_key("metric", key) for key in keys]), ("source", sources)):
        _refuse_same((name, f"{what} '{name}'") for name in names)


def _check_different(subjects: Iterable[_Subject]) -> None:
    """An alias and a number may name the same version. Raises `SameTwice`."""
    _refuse_same((subject.identity, subject.identity) for subject in subjects)


def _refuse_same(names: Iterable[tuple[str, str]]) -> None:
    seen = set()
    for name, shown in names:
        if name in seen:
            raise errors.SameTwice(f"{shown} is given twice", name=name)
        seen.add(name)


def _title(
    owners: Sequence[refs.VersionRef | refs.BuildName], keys: Sequence[str], sources: Sequence[str]
) -> str:
    """The metric, if there is one; the model, if all are of one; who measured, if it is one."""
    models = {str(owner.model) for owner in owners}
    what = keys[0] if len(keys) == 1 else ""
    whose = models.pop() if len(models) == 1 else ""
    measured = f" by {sources[0]}" if len(sources) == 1 and sources[0] else ""
    return (" of ".join(filter(None, (what, whose))) or "metrics") + measured
