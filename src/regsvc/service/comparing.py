"""Compare: what differs between versions and builds, in one answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from regsvc.catalog import builds, comparison, provenance, versions
from regsvc.catalog.builds import Build, Step
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.records import Metadata
from regsvc.catalog.versions import VersionFile
from regsvc.content.comparison import (
    Comparison,
    Direction,
    FactRow,
    FileCell,
    FileRow,
    MetricRow,
    Param,
    ParamRow,
    StepCell,
    StepRow,
    Subject,
)
from regsvc.content.record import Attachment, Record, TensorSpec, digest_of
from regsvc.errors import InvalidArgument, SameTwice
from regsvc.refs import BuildName, VersionRef, dataset_from_wire, version_from_wire
from regsvc.service.directions import directions
from regsvc.service.reading import VersionReader
from regsvc.service.tensordiff import TensorDiff, none_changed

MOST_SUBJECTS = 16
MOST_FILES = 1_000
MOST_TENSORS = 1_000
MOST_BYTES = 2 << 20
"""Of params and facts, about: the answer is one message."""

Name = VersionRef | BuildName
R = TypeVar("R", ParamRow, FactRow)


@dataclass(frozen=True)
class _Side:
    """All that is known of one subject."""

    subject: Subject
    version_id: int | None
    metadata: Metadata
    record: Record
    attachments: Sequence[Attachment]
    steps: Sequence[Step]


class Comparer:
    """What `CompareService` does."""

    def __init__(self, catalog: Catalog, files: VersionReader):
        self._catalog = catalog
        self._files = files

    def compare(self, names: Sequence[Name], *, include_same: bool, skip_tensors: bool) -> Comparison:
        """Compare versions and builds with the first of them. Errors as Compare documents."""
        if not 2 <= len(names) <= MOST_SUBJECTS:
            raise InvalidArgument(
                f"{len(names)} to compare; it takes 2 to {MOST_SUBJECTS}", limit=MOST_SUBJECTS
            )
        sides = self._catalog.read(lambda db: [_side(db, name) for name in names])
        seen: set[str] = set()
        for side in sides:
            if side.subject.name in seen:
                raise SameTwice(f"{side.subject.name} is compared with itself", name=side.subject.name)
            seen.add(side.subject.name)
        ids = [side.version_id for side in sides]
        better = self._catalog.read(lambda db: directions(db, names[0].model, _metric_keys(sides)))
        subjects, files, notes = self._catalog.read(lambda db: _files(db, sides))
        tensors = none_changed(len(sides))
        if not skip_tensors:
            diff = TensorDiff(self._catalog, self._files)
            tensors = diff.compare(ids, most_rows=MOST_TENSORS, include_same=include_same)
        counted = [
            replace(subject, tensors_added=added, tensors_removed=removed, tensors_changed=changed)
            for subject, added, removed, changed in zip(
                subjects, tensors.added, tensors.removed, tensors.changed, strict=True
            )
        ]
        budget = _Budget(MOST_BYTES, include_same=include_same)
        found = Comparison(
            subjects=counted,
            metrics=[row for row in _metrics(sides, better) if include_same or row.differs],
            params=budget.take("params", _params(sides)),
            facts=budget.take("facts", _facts(sides)),
            packages=budget.take("packages", _packages(sides)),
            files=files,
            tensors=tensors.rows,
            steps=_steps(sides),
        )
        return replace(found, notes=(*notes, *tensors.notes, *budget.notes))


class _Budget:
    """Rows until they are too many for one message."""

    def __init__(self, size: int, *, include_same: bool):
        self._left = size
        self._include_same = include_same
        self.notes: list[str] = []

    def take(self, what: str, rows: Iterable[R]) -> Sequence[R]:
        """Those that differ, or all, and a note when they are cut."""
        taken: list[R] = []
        for row in rows:
            if not (row.differs or self._include_same):
                continue
            self._left -= len(row.key) + sum(
                8 + len(value) if isinstance(value, str) else 16 for value in row.values
            )
            if self._left < 0:
                self.notes.append(f"only the first {len(taken)} {what} are listed")
                break
            taken.append(row)
        return taken


def _side(db: Reader, name: Name) -> _Side:
    if isinstance(name, BuildName):
        build = builds.find(db, name)
        return _Side(
            _with_build(Subject(build.name.wire, build.created_at), build),
            None,
            builds.metadata(db, build),
            provenance.find(db, "build", build.id),
            provenance.attachments(db, "build", build.id),
            builds.steps(db, build.id),
        )
    version = versions.find(db, name)
    subject = Subject(
        version.ref.wire,
        version.created_at,
        digest=version.digest.hex(),
        aliases=version.aliases,
        file_count=version.file_count,
        size=version.size,
    )
    steps: Sequence[Step] = ()
    if version.build is not None:
        made_by = builds.find(db, version.build)
        subject, steps = _with_build(subject, made_by), builds.steps(db, made_by.id)
    return _Side(
        subject,
        version.id,
        version.metadata,
        provenance.find(db, "version", version.id),
        provenance.attachments(db, "version", version.id),
        steps,
    )


def _with_build(subject: Subject, build: Build) -> Subject:
    seconds = 0.0 if build.ended_at is None else (build.ended_at - build.created_at) / 1e6
    return replace(subject, build=build.name.wire, build_state=build.state.name, build_seconds=seconds)


def _params(sides: Sequence[_Side]) -> Iterator[ParamRow]:
    tables = [side.metadata.params for side in sides]
    for key in sorted(set().union(*tables)):
        values: list[Param | None] = [table.get(key) for table in tables]
        # 1, 1.0 and true are three values, though Python takes them for one.
        yield ParamRow(key, values, len({(type(value), value) for value in values}) > 1)


def _metric_keys(sides: Sequence[_Side]) -> list[str]:
    return sorted(set().union(*(side.metadata.metrics for side in sides)))


def _metrics(sides: Sequence[_Side], better: Mapping[str, Direction]) -> Iterator[MetricRow]:
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


def _facts(sides: Sequence[_Side]) -> Iterator[FactRow]:
    yield _fact("model", "description", [side.metadata.description for side in sides])
    yield _fact("model", "framework", [side.record.framework for side in sides])
    yield _fact("model", "format", [side.record.format for side in sides])
    yield _fact("model", "labels", [", ".join(sorted(side.record.labels)) for side in sides])
    yield _fact("model", "parents", [", ".join(_parents(side.record)) for side in sides])
    yield _fact("model", "card", [_digest(side.record.card) for side in sides])
    yield from _tables("datasets", [_datasets(side.record) for side in sides])
    yield _fact("signature", "inputs", [_specs(side.record.signature.inputs) for side in sides])
    yield _fact("signature", "outputs", [_specs(side.record.signature.outputs) for side in sides])
    yield _fact("signature", "json_schema", [_digest(side.record.signature.json_schema) for side in sides])
    yield _fact("image", "reference", [side.record.image.reference for side in sides])
    yield _fact("image", "digest", [side.record.image.digest for side in sides])
    yield _fact("code", "remote", [side.record.code.remote for side in sides])
    yield _fact("code", "commit", [side.record.code.commit for side in sides])
    yield _fact("code", "branch", [side.record.code.branch for side in sides])
    yield _fact("code", "changes", [_changes(side) for side in sides])
    environments = [side.record.environment for side in sides]
    yield _fact("environment", "python", [each.python for each in environments])
    yield _fact("environment", "platform", [each.platform for each in environments])
    yield _fact(
        "environment", "cpu", [f"{each.cores} x {each.cpu}" if each.cpu else "" for each in environments]
    )
    yield _fact("environment", "memory", [str(each.memory_bytes or "") for each in environments])
    yield _fact(
        "environment",
        "accelerators",
        [", ".join(f"{a.name} (driver {a.driver})" for a in each.accelerators) for each in environments],
    )
    yield from _tables("variables", [each.variables for each in environments])
    yield from _tables("tags", [side.metadata.tags for side in sides])


def _packages(sides: Sequence[_Side]) -> Iterator[FactRow]:
    yield from _tables("", [side.record.environment.packages for side in sides])


def _tables(section: str, tables: Sequence[Mapping[str, str]]) -> Iterator[FactRow]:
    for key in sorted(set().union(*tables)):
        yield _fact(section, key, [table.get(key, "") for table in tables])


def _fact(section: str, key: str, values: Sequence[str]) -> FactRow:
    return FactRow(section, key, values, len(set(values)) > 1)


def _parents(record: Record) -> Iterator[str]:
    for parent in record.parents:
        name = str(version_from_wire(parent.version)) if parent.version else parent.uri
        yield f"{parent.relation.name.lower().replace('_', '-')} {name}"


def _datasets(record: Record) -> dict[str, str]:
    """Versions by dataset and split."""
    found: dict[str, str] = {}
    for use in record.datasets:
        ref = dataset_from_wire(use.dataset)
        key = f"{ref.namespace}/{ref.dataset}{f' ({use.split})' if use.split else ''}"
        found[key] = ", ".join(filter(None, [found.get(key, ""), f":{ref.number}"]))
    return found


def _specs(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{each.name}: {each.dtype}{list(each.shape)}" for each in specs)


def _digest(text: str) -> str:
    return f"b3:{digest_of(text.encode('utf-8', 'replace')).hex()}" if text else ""


def _changes(side: _Side) -> str:
    """What is not committed: the digest of the stored diff, or that there was something."""
    code = side.record.code
    for attachment in side.attachments:
        if code.diff and attachment.name == code.diff:
            return f"{attachment.name} b3:{attachment.digest.hex()}"
    return "not kept" if code.dirty else ""


def _files(db: Reader, sides: Sequence[_Side]) -> tuple[list[Subject], list[FileRow], list[str]]:
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


def _steps(sides: Sequence[_Side]) -> list[StepRow]:
    names = dict.fromkeys(step.name for side in sides for step in side.steps)
    return [StepRow(name, [_step(name, side.steps) for side in sides]) for name in names]


def _step(name: str, steps: Sequence[Step]) -> StepCell | None:
    same = [step for step in steps if step.name == name]
    if not same:
        return None
    ended = [(step.ended_at - step.started_at) / 1e6 for step in same if step.ended_at is not None]
    return StepCell(same[-1].state.name, sum(ended))
