"""A comparison as sections of rows of text, which every form shows: table, Markdown, HTML."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regsvc import refs
from regsvc.cli.output import human_size, human_time
from regsvc.content.comparison import (
    Comparison,
    FactRow,
    FileCell,
    MetricRow,
    Param,
    Subject,
    TensorCell,
    TensorRow,
)

MAX_DIFF = 1 << 20
"""Characters of the diff between two commits."""
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
        groups.setdefault(row.section, []).append(row)
    candidates = [
        Section("Overview", list(_overview(found.subjects))),
        Section("Metrics", [_metric(row) for row in found.metrics]),
        Section(
            "Params", [Row(row.key, [Cell(_param(value)) for value in row.values]) for row in found.params]
        ),
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


def code_diff(found: Comparison, repository: Path) -> str:
    """`git diff` from the first subject's commit to the last one's, when both are in the repository; or nothing."""
    commits = next((row.values for row in found.facts if (row.section, row.key) == ("code", "commit")), ())
    known = [commit for commit in commits if commit]
    git = shutil.which("git")
    if git is None or len(set(known)) < 2:
        return ""
    first, last = known[0], known[-1]
    if not all(set(commit) <= set("0123456789abcdef") for commit in (first, last)):
        return ""
    command = [
        git,
        "-C",
        str(repository),
        "diff",
        "--no-color",
        "--no-ext-diff",
        "--stat",
        "--patch",
        first,
        last,
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    text = done.stdout.decode("utf-8", "replace")
    return text if len(text) <= MAX_DIFF else text[:MAX_DIFF] + "\n... cut\n"


def _overview(subjects: Sequence[Subject]) -> Iterator[Row]:
    yield _row(
        "created", [human_time(datetime.fromtimestamp(each.created_at / 1e6, UTC)) for each in subjects]
    )
    yield from _known("digest", [each.digest[:_DIGEST] for each in subjects])
    yield from _known("aliases", [" ".join(each.aliases) for each in subjects])
    yield from _known("build", [_build(each) for each in subjects])
    if any(each.file_count for each in subjects):
        yield _row("files", [f"{each.file_count} files, {human_size(each.size)}" for each in subjects])
        yield _row(
            "changed files",
            [_changes(each.files_added, each.files_removed, each.files_changed) for each in subjects],
        )
        yield _row("shared bytes", [_shared(each, place) for place, each in enumerate(subjects)])
    tensors = [_changes(each.tensors_added, each.tensors_removed, each.tensors_changed) for each in subjects]
    if any(text != _ABSENT for text in tensors):
        yield _row("changed tensors", tensors)


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
