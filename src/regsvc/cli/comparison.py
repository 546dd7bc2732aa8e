"""A comparison as sections of rows of text, which every form shows: table, Markdown, HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from regsvc import refs
from regsvc.cli.output import human_size, human_time
from regsvc.content.comparison import (
    Comparison,
    DatasetCell,
    DatasetRow,
    FactRow,
    FileCell,
    MetricRow,
    Param,
    Subject,
    TensorCell,
    TensorRow,
)
from regsvc.content.drift import verdict

DRIFTED = 6
"""Columns of a dataset that are shown: those that drifted most."""
_ABSENT = "-"
_DIGEST = 12


@dataclass(frozen=True)
class Cell:
    """What one subject has."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One thing that is compared."""

    name: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: Sequence[Row]


def short_name(wire: str) -> str:
    """`team/fraud:3` or `team/fraud/builds/7`."""
    return str(refs.source_from_wire(wire))


def sections(found: Comparison) -> Iterator[Section]:
    """What there is to show; sections without rows are left out."""
    groups: dict[str, list[FactRow]] = {}
    for row in found.facts:
        if row.section != "datasets":  # which have rows of their own
            groups.setdefault(row.section, []).append(row)
    candidates = [
        Section("Overview", list(_overview(found.subjects))),
        Section("Metrics", [_metric(row) for row in found.metrics]),
        Section(
            "Params", [Row(row.key, [Cell(_param(value)) for value in row.values]) for row in found.params]
        ),
        Section("Datasets", [line for row in found.datasets for line in _dataset_rows(row)]),
        *(
            Section(title.capitalize(), [_fact(row) for row in rows])
            for title, rows in sorted(groups.items())
        ),
        Section("Packages", [_fact(row) for row in found.packages]),
        Section(
            "Files", [Row(row.path, [_file(cell, row.cells[0]) for cell in row.cells]) for row in found.files]
        ),
        Section("Tensors", [_tensor_row(row) for row in found.tensors]),
        Section(
            "Steps",
            [
                Row(
                    row.name,
                    [
                        Cell(_ABSENT if cell is None else f"{cell.state} {cell.seconds:.1f} s")
                        for cell in row.cells
                    ],
                )
                for row in found.steps
            ],
        ),
    ]
    return (section for section in candidates if section.rows)


def drifted(row: DatasetRow) -> list[str]:
    """The columns of a row that drifted most in any subject."""
    furthest: dict[str, float] = {}
    for cell in row.cells:
        for drift in cell.drift if cell is not None else ():
            furthest[drift.name] = max(furthest.get(drift.name, 0.0), drift.js or 0.0)
    return sorted(furthest, key=lambda name: (-furthest[name], name))[:DRIFTED]


def _overview(subjects: Sequence[Subject]) -> Iterator[Row]:
    yield _row(
        "created", [human_time(datetime.fromtimestamp(each.created_at / 1e6, UTC)) for each in subjects]
    )
    yield from _known("digest", [each.digest[:_DIGEST] for each in subjects])
    yield from _known("aliases", [" ".join(each.aliases) for each in subjects])
    yield from _known("build", [_build(each) for each in subjects])
    if any(each.file_count for each in subjects):
        yield _row("files", [_files(each) for each in subjects])
        yield _row(
            "changed files",
            [_changes(each.files_added, each.files_removed, each.files_changed) for each in subjects],
        )
        yield _row("shared bytes", [_shared(each, place) for place, each in enumerate(subjects)])
    tensors = [_changes(each.tensors_added, each.tensors_removed, each.tensors_changed) for each in subjects]
    if any(text != _ABSENT for text in tensors):
        yield _row("changed tensors", tensors)


def _files(subject: Subject) -> str:
    """A build has none."""
    return f"{subject.file_count} files, {human_size(subject.size)}" if subject.digest else ""


def _build(subject: Subject) -> str:
    if not subject.build:
        return ""
    number = subject.build.rpartition("/")[2]
    return f"builds/{number} {subject.build_state} {subject.build_seconds:.1f} s"


def _changes(added: int, removed: int, changed: int) -> str:
    parts = [f"+{added}"] * bool(added) + [f"-{removed}"] * bool(removed) + [f"~{changed}"] * bool(changed)
    return " ".join(parts) or _ABSENT


def _shared(subject: Subject, place: int) -> str:
    if not place or not subject.size:
        return _ABSENT
    return f"{human_size(subject.shared_bytes)} ({100 * subject.shared_bytes / subject.size:.1f} %)"


def _row(name: str, texts: Sequence[str]) -> Row:
    return Row(name, [Cell(text or _ABSENT) for text in texts])


def _known(name: str, texts: Sequence[str]) -> Iterator[Row]:
    if any(texts):
        yield _row(name, texts)


def _metric(row: MetricRow) -> Row:
    cells = [
        Cell(_ABSENT if value is None else f"{value:.6g}", best)
        for value, best in zip(row.values, row.best, strict=True)
    ]
    return Row(row.key, cells)


def _param(value: Param | None) -> str:
    if value is None:
        return _ABSENT
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fact(row: FactRow) -> Row:
    return _row(row.key, [_short(value) for value in row.values])


def _dataset_rows(row: DatasetRow) -> Iterator[Row]:
    """The datasets, what changed in their columns, and how far the columns drifted."""
    yield _row(row.split or "data", [_dataset(cell) for cell in row.cells])
    yield from _known(
        "  columns", ["" if cell is None else ", ".join(_column_changes(cell)) for cell in row.cells]
    )
    for name in drifted(row):
        yield _row(f"  {name}", [_drift(name, cell) for cell in row.cells])


def _dataset(cell: DatasetCell | None) -> str:
    if cell is None:
        return ""
    rows = f", {cell.row_count:,} rows" if cell.row_count else ""
    where = f" where {cell.filter}" if cell.filter else ""
    return f"{refs.dataset_from_wire(cell.dataset)}{rows}{where}"


def _column_changes(cell: DatasetCell) -> Iterator[str]:
    yield from (f"+{name}" for name in cell.columns_added)
    yield from (f"-{name}" for name in cell.columns_removed)
    yield from (f"{name}: {before} -> {after}" for name, before, after in cell.columns_retyped)


def _drift(name: str, cell: DatasetCell | None) -> str:
    found = next((each for each in cell.drift if each.name == name), None) if cell is not None else None
    if found is None:
        return ""
    psi = [] if found.psi is None else [f"PSI {found.psi:.3f} ({verdict(found.psi)})"]
    others = (("KS", found.ks), ("JS", found.js))
    numbers = [*psi, *(f"{word} {value:.3f}" for word, value in others if value is not None)]
    nulls = f"{100 * found.nulls_before:.1f} -> {100 * found.nulls_after:.1f} % nulls"
    changed = nulls if found.nulls_before != found.nulls_after else ""
    return "  ".join(filter(None, [*numbers, changed]))


def _short(value: str) -> str:
    """Digests and commits by their first digits, as people read them."""
    if len(value) in (40, 64) and set(value) <= set("0123456789abcdef"):
        return value[:_DIGEST]
    head, marker, tail = value.rpartition("b3:")
    return f"{head}{marker}{tail[:_DIGEST]}" if marker and len(tail) == 64 else value.replace("\n", " ")


def _file(cell: FileCell | None, base: FileCell | None) -> Cell:
    if cell is None:
        return Cell(_ABSENT)
    text = f"{human_size(cell.size)} {cell.digest[:_DIGEST]}"
    if base is None or cell is base:
        return Cell(text)
    if cell.digest == base.digest:
        return Cell("same")
    share = f", {100 * cell.shared_bytes / cell.size:.0f} % shared" if cell.size else ""
    return Cell(text + share)


def _tensor_row(row: TensorRow) -> Row:
    return Row(row.name, [_tensor(cell, row.cells[0]) for cell in row.cells])


def _tensor(cell: TensorCell | None, base: TensorCell | None) -> Cell:
    if cell is None:
        return Cell(_ABSENT)
    shape = "x".join(map(str, cell.shape)) or "scalar"
    if cell is base or base is None or cell.changed is None:
        return Cell(f"{cell.dtype} {shape}")
    if cell.changed == 0:
        return Cell("same")
    about = "at most " if cell.estimated else ""
    return Cell(f"{about}{100 * cell.changed:.3g} % changed")
