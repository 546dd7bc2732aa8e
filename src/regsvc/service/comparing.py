"""Compare: what differs between versions and builds, in one answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from regsvc.catalog import comparison, versions
from regsvc.catalog.builds import Step
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.versions import VersionFile
from regsvc.content.comparison import (
    Comparison,
    DatasetRow,
    Direction,
    FactRow,
    FileCell,
    FileRow,
    MetricRow,
    Param,
    ParamRow,
    SeriesRow,
    StepCell,
    StepRow,
    Subject,
    TensorRow,
)
from regsvc.errors import InvalidArgument, SameTwice
from regsvc.refs import source_from_wire
from regsvc.service.budget import Budget, size_of
from regsvc.service.comparing_curves import Curves
from regsvc.service.comparing_data import DatasetRows
from regsvc.service.comparing_facts import facts, packages
from regsvc.service.comparing_sides import Name, Side, read_side
from regsvc.service.directions import directions
from regsvc.service.reading import VersionReader
from regsvc.service.series import Series
from regsvc.service.tensordiff import TensorDiff, none_changed

MOST_SUBJECTS = 16
MOST_FILES = 1_000
MOST_TENSORS = 1_000
MOST_POINTS = 500
"""Of one curve."""
MOST_BYTES = 3 << 20
"""Of all rows, about: the answer is one message."""

R = TypeVar("R", ParamRow, MetricRow, FactRow, DatasetRow)


class Comparer:
    """What `CompareService` does."""

    def __init__(self, catalog: Catalog, files: VersionReader, series: Series):
        self._catalog = catalog
        self._files = files
        self._series = series

    def compare(
        self, names: Sequence[Name], *, include_same: bool, skip_tensors: bool, series_points: int
    ) -> Comparison:
        """Compare versions and builds with the first of them. Errors as Compare documents."""
        if not 2 <= len(names) <= MOST_SUBJECTS:
            raise InvalidArgument(
                f"{len(names)} to compare; it takes 2 to {MOST_SUBJECTS}", limit=MOST_SUBJECTS
            )
        if series_points == 1:
            raise InvalidArgument("series_points is 0, or 2 and more", series_points=series_points)
        sides = self._catalog.read(lambda db: [read_side(db, name) for name in names])
        _check_distinct(sides)
        better = self._catalog.read(lambda db: directions(db, names[0].model, _metric_keys(sides)))
        subjects, files, notes = self._catalog.read(lambda db: _files(db, sides))
        tensors = none_changed(len(sides))
        if not skip_tensors:
            diff = TensorDiff(self._catalog, self._files)
            ids = [side.version_id for side in sides]
            tensors = diff.compare(ids, most_rows=MOST_TENSORS, include_same=include_same)
        counted = [
            replace(subject, tensors_added=added, tensors_removed=removed, tensors_changed=changed)
            for subject, added, removed, changed in zip(
                subjects, tensors.added, tensors.removed, tensors.changed, strict=True
            )
        ]

        def wanted(rows: Iterable[R]) -> Iterator[R]:
            return (row for row in rows if include_same or row.differs)

        budget = Budget(MOST_BYTES)
        found = Comparison(
            subjects=counted,
            metrics=budget.take("metrics", wanted(_metrics(sides, better)), _weigh_metric),
            params=budget.take("params", wanted(_params(sides)), _weigh_param),
            facts=budget.take("facts", wanted(facts(sides)), _weigh_fact),
            packages=budget.take("packages", wanted(packages(sides)), _weigh_fact),
            steps=budget.take("steps", _steps(sides), _weigh_step),
            files=budget.take("files that differ", files, _weigh_file),
            tensors=budget.take("tensors that differ", tensors.rows, _weigh_tensor),
        )

        def with_datasets(db: Reader) -> tuple[list[DatasetRow], list[str]]:
            data = DatasetRows(db)
            return budget.take("datasets", wanted(data.rows(sides)), _weigh_dataset), data.notes

        used, more = self._catalog.read(with_datasets)
        curves = Curves(self._catalog, self._series, min(series_points, MOST_POINTS))
        drawn = budget.take("curves", curves.rows(sides), _weigh_series) if series_points else []
        return replace(
            found,
            datasets=used,
            series=drawn,
            notes=(*notes, *tensors.notes, *more, *curves.notes, *budget.notes),
        )


def _params(sides: Sequence[Side]) -> Iterator[ParamRow]:
    tables = [side.metadata.params for side in sides]
    for key in sorted(set().union(*tables)):
        values: list[Param | None] = [table.get(key) for table in tables]
        # 1, 1.0 and true are three values, though Python takes them for one.
        yield ParamRow(key, values, len({(type(value), value) for value in values}) > 1)


def _metric_keys(sides: Sequence[Side]) -> list[str]:
    return sorted(set().union(*(side.metadata.metrics for side in sides)))


def _metrics(sides: Sequence[Side], better: Mapping[str, Direction]) -> Iterator[MetricRow]:
    """By key, as `better` has them."""
    for key, direction in better.items():
        values = [side.metadata.metrics.get(key) for side in sides]
        differs = len(set(values)) > 1
        yield MetricRow(key, direction, values, _best(values, direction), differs)


def _best(values: Sequence[float | None], direction: Direction) -> list[bool]:
    """Which values are the best ones; none when all are the same."""
    known = {value for value in values if value is not None}
    if direction is Direction.UNKNOWN or len(known) < 2:
        return [False] * len(values)
    best = max(known) if direction is Direction.HIGHER else min(known)
    return [value == best for value in values]


def _files(db: Reader, sides: Sequence[Side]) -> tuple[list[Subject], list[FileRow], list[str]]:
    """The subjects with their counts, the rows that differ, and what was left out."""
    base = sides[0].version_id
    subjects = [sides[0].subject]
    for side in sides[1:]:
        subject = side.subject
        if base is not None and side.version_id is not None:
            changes = comparison.file_changes(db, base, side.version_id)
            subject = replace(
                subject,
                files_added=changes.added,
                files_removed=changes.removed,
                files_changed=changes.changed,
                shared_bytes=comparison.shared_bytes(db, base, side.version_id),
            )
        subjects.append(subject)
    versioned = [side.version_id for side in sides if side.version_id is not None]
    if len(versioned) < 2:
        return subjects, [], []
    paths = comparison.differing_paths(db, versioned, MOST_FILES + 1)
    notes = [f"only the first {MOST_FILES} files that differ are listed"] if len(paths) > MOST_FILES else []
    tables = [
        {} if side.version_id is None else versions.files_by_path(db, side.version_id, paths[:MOST_FILES])
        for side in sides
    ]
    return subjects, [_file_row(db, path, tables) for path in paths[:MOST_FILES]], notes


def _file_row(db: Reader, path: str, tables: Sequence[Mapping[str, VersionFile]]) -> FileRow:
    base = tables[0].get(path)
    cells: list[FileCell | None] = []
    for table in tables:
        file = table.get(path)
        if file is None:
            cells.append(None)
            continue
        shared = 0
        if base is not None:
            same = base.file_id == file.file_id
            shared = file.size if same else comparison.shared_bytes_of_files(db, base.file_id, file.file_id)
        cells.append(FileCell(file.size, file.digest.hex(), shared))
    return FileRow(path, cells)


def _steps(sides: Sequence[Side]) -> list[StepRow]:
    names = dict.fromkeys(step.name for side in sides for step in side.steps)
    return [StepRow(name, [_step(name, side.steps) for side in sides]) for name in names]


def _step(name: str, steps: Sequence[Step]) -> StepCell | None:
    same = [step for step in steps if step.name == name]
    if not same:
        return None
    ended = [(step.ended_at - step.started_at) / 1e6 for step in same if step.ended_at is not None]
    return StepCell(same[-1].state.name, sum(ended))


def _check_distinct(sides: Sequence[Side]) -> None:
    seen: set[str] = set()
    for side in sides:
        if side.subject.name in seen:
            name = source_from_wire(side.subject.name)
            raise SameTwice(f"{name} is compared with itself", name=side.subject.name)
        seen.add(side.subject.name)


# About how many bytes a row takes on the wire.


def _weigh_param(row: ParamRow) -> int:
    return size_of(row.key) + sum(size_of(each) if isinstance(each, str) else 16 for each in row.values)


def _weigh_metric(row: MetricRow) -> int:
    return size_of(row.key) + 16 * len(row.values)


def _weigh_fact(row: FactRow) -> int:
    return size_of(row.section, row.key, *row.values)


def _weigh_dataset(row: DatasetRow) -> int:
    return size_of(row.split) + sum(
        size_of(cell.dataset, cell.digest, cell.filter, *cell.columns_added, *cell.columns_removed)
        + sum(size_of(*each) for each in cell.columns_retyped)
        + sum(
            size_of(each.name, *each.labels) + 50 + 8 * (len(each.edges) + 2 * len(each.before))
            for each in cell.drift
        )
        for cell in row.cells
        if cell is not None
    )


def _weigh_step(row: StepRow) -> int:
    return size_of(row.name) + 28 * len(row.cells)


def _weigh_file(row: FileRow) -> int:
    return size_of(row.path) + 96 * len(row.cells)


def _weigh_tensor(row: TensorRow) -> int:
    return size_of(row.name) + sum(
        size_of(cell.file, cell.dtype) + 20 + 4 * len(cell.shape) for cell in row.cells if cell is not None
    )


def _weigh_series(row: SeriesRow) -> int:
    return size_of(row.key) + sum(8 + 12 * len(curve.steps) for curve in row.curves)
