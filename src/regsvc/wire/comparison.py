"""Comparisons between wire messages and plain values."""

from __future__ import annotations

from regsvc.content.comparison import (
    Comparison,
    Curve,
    DatasetCell,
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
    TensorCell,
    TensorRow,
)
from regsvc.v1 import compare_pb2 as pb
from regsvc.wire.drift import drift_from, drift_to, retyped_from, retyped_to
from regsvc.wire.values import microseconds, param_to, timestamp

_COUNTS = (
    "file_count",
    "size",
    "files_added",
    "files_removed",
    "files_changed",
    "shared_bytes",
    "tensors_added",
    "tensors_removed",
    "tensors_changed",
)
_TEXTS = ("name", "digest", "build", "build_state", "build_seconds")
"""Fields that have the same name and type on both sides."""


def comparison_to(found: Comparison) -> pb.CompareResponse:
    """To the wire."""
    return pb.CompareResponse(
        subjects=[_subject_to(each) for each in found.subjects],
        params=[
            pb.ComparedParam(
                key=row.key, values=[_param_to(value) for value in row.values], differs=row.differs
            )
            for row in found.params
        ],
        metrics=[
            pb.ComparedMetric(
                key=row.key,
                direction=int(row.direction),  # type: ignore[arg-type]
                values=[
                    pb.ComparedNumber(value=value, best=best)
                    for value, best in zip(row.values, row.best, strict=True)
                ],
                differs=row.differs,
            )
            for row in found.metrics
        ],
        facts=[_fact_to(row) for row in found.facts],
        packages=[_fact_to(row) for row in found.packages],
        files=[
            pb.ComparedFile(path=row.path, cells=[_file_to(cell) for cell in row.cells])
            for row in found.files
        ],
        tensors=[
            pb.ComparedTensor(name=row.name, cells=[_tensor_to(cell) for cell in row.cells])
            for row in found.tensors
        ],
        steps=[
            pb.ComparedStep(name=row.name, cells=[_step_to(cell) for cell in row.cells])
            for row in found.steps
        ],
        datasets=[
            pb.ComparedDataset(
                split=row.split, cells=[_dataset_to(cell) for cell in row.cells], differs=row.differs
            )
            for row in found.datasets
        ],
        series=[
            pb.ComparedSeries(
                key=row.key,
                curves=[pb.ComparedCurve(steps=curve.steps, values=curve.values) for curve in row.curves],
            )
            for row in found.series
        ],
        notes=found.notes,
    )


def comparison_from(message: pb.CompareResponse) -> Comparison:
    """From the wire."""
    return Comparison(
        subjects=[_subject_from(each) for each in message.subjects],
        params=[
            ParamRow(row.key, [_param_from(cell) for cell in row.values], row.differs)
            for row in message.params
        ],
        metrics=[
            MetricRow(
                row.key,
                Direction(row.direction) if row.direction in (1, 2) else Direction.UNKNOWN,
                [cell.value if cell.HasField("value") else None for cell in row.values],
                [cell.best for cell in row.values],
                row.differs,
            )
            for row in message.metrics
        ],
        facts=[FactRow(row.section, row.key, list(row.values), row.differs) for row in message.facts],
        packages=[FactRow(row.section, row.key, list(row.values), row.differs) for row in message.packages],
        files=[
            FileRow(
                row.path,
                [
                    FileCell(cell.size, cell.digest, cell.shared_bytes) if cell.present else None
                    for cell in row.cells
                ],
            )
            for row in message.files
        ],
        tensors=[TensorRow(row.name, [_tensor_from(cell) for cell in row.cells]) for row in message.tensors],
        steps=[
            StepRow(
                row.name,
                [StepCell(cell.state, cell.seconds) if cell.present else None for cell in row.cells],
            )
            for row in message.steps
        ],
        datasets=[
            DatasetRow(row.split, [_dataset_from(cell) for cell in row.cells], row.differs)
            for row in message.datasets
        ],
        series=[
            SeriesRow(row.key, [Curve(list(curve.steps), list(curve.values)) for curve in row.curves])
            for row in message.series
        ],
        notes=list(message.notes),
    )


def _subject_to(subject: Subject) -> pb.ComparedSubject:
    same = {name: getattr(subject, name) for name in (*_TEXTS, *_COUNTS)}
    return pb.ComparedSubject(
        create_time=timestamp(subject.created_at),
        aliases=subject.aliases,
        **same,
    )


def _subject_from(message: pb.ComparedSubject) -> Subject:
    same = {name: getattr(message, name) for name in (*_TEXTS, *_COUNTS)}
    return Subject(created_at=microseconds(message.create_time), aliases=tuple(message.aliases), **same)


def _param_to(value: Param | None) -> pb.ComparedValue:
    return pb.ComparedValue() if value is None else pb.ComparedValue(value=param_to(value))


def _param_from(cell: pb.ComparedValue) -> Param | None:
    if not cell.HasField("value"):
        return None
    found: Param = getattr(cell.value, cell.value.WhichOneof("kind") or "string_value")
    return found


def _fact_to(row: FactRow) -> pb.ComparedFact:
    return pb.ComparedFact(section=row.section, key=row.key, values=row.values, differs=row.differs)


def _file_to(cell: FileCell | None) -> pb.ComparedFileCell:
    if cell is None:
        return pb.ComparedFileCell()
    return pb.ComparedFileCell(
        present=True, size=cell.size, digest=cell.digest, shared_bytes=cell.shared_bytes
    )


def _tensor_to(cell: TensorCell | None) -> pb.ComparedTensorCell:
    if cell is None:
        return pb.ComparedTensorCell()
    return pb.ComparedTensorCell(
        present=True,
        file=cell.file,
        dtype=cell.dtype,
        shape=cell.shape,
        changed=cell.changed,
        estimated=cell.estimated,
    )


def _tensor_from(cell: pb.ComparedTensorCell) -> TensorCell | None:
    if not cell.present:
        return None
    changed = cell.changed if cell.HasField("changed") else None
    return TensorCell(cell.file, cell.dtype, tuple(cell.shape), changed, cell.estimated)


def _step_to(cell: StepCell | None) -> pb.ComparedStepCell:
    if cell is None:
        return pb.ComparedStepCell()
    return pb.ComparedStepCell(present=True, state=cell.state, seconds=cell.seconds)


def _dataset_to(cell: DatasetCell | None) -> pb.ComparedDatasetCell:
    if cell is None:
        return pb.ComparedDatasetCell()
    return pb.ComparedDatasetCell(
        present=True,
        dataset=cell.dataset,
        digest=cell.digest,
        row_count=cell.row_count,
        column_count=cell.column_count,
        filter=cell.filter,
        columns_added=cell.columns_added,
        columns_removed=cell.columns_removed,
        columns_retyped=retyped_to(cell.columns_retyped),
        drift=map(drift_to, cell.drift),
    )


def _dataset_from(cell: pb.ComparedDatasetCell) -> DatasetCell | None:
    if not cell.present:
        return None
    return DatasetCell(
        cell.dataset,
        cell.digest,
        cell.row_count,
        cell.column_count,
        cell.filter,
        list(cell.columns_added),
        list(cell.columns_removed),
        retyped_from(cell.columns_retyped),
        list(map(drift_from, cell.drift)),
    )
