"""What differs between versions and builds, as plain values; each row has one cell a subject, in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from regsvc.content.drift import ColumnDrift

Param = str | int | float | bool


class Direction(IntEnum):
    """Which values of a metric are the better ones; as in compare.proto."""

    UNKNOWN = 0
    HIGHER = 1
    LOWER = 2


@dataclass(frozen=True)
class Subject:
    """One of the versions or builds that are compared."""

    name: str
    """Resource name, by number."""
    created_at: int
    """Microseconds since 1970."""
    digest: str = ""
    aliases: Sequence[str] = ()
    build: str = ""
    build_state: str = ""
    build_seconds: float = 0.0
    file_count: int = 0
    size: int = 0
    files_added: int = 0
    files_removed: int = 0
    files_changed: int = 0
    shared_bytes: int = 0
    """Raw bytes in chunks that the first subject has too."""
    tensors_added: int = 0
    tensors_removed: int = 0
    tensors_changed: int = 0


@dataclass(frozen=True)
class ParamRow:
    """One hyperparameter."""

    key: str
    values: Sequence[Param | None]
    differs: bool


@dataclass(frozen=True)
class MetricRow:
    """One metric."""

    key: str
    direction: Direction
    values: Sequence[float | None]
    best: Sequence[bool]
    differs: bool


@dataclass(frozen=True)
class FactRow:
    """Something that is said in words; empty where a subject has none."""

    section: str
    key: str
    values: Sequence[str]
    differs: bool


@dataclass(frozen=True)
class FileCell:
    """A file of one subject."""

    size: int
    digest: str
    shared_bytes: int = 0
    """Raw bytes in chunks that the same path of the first subject has too."""


@dataclass(frozen=True)
class FileRow:
    """One path; None where a subject has no such file."""

    path: str
    cells: Sequence[FileCell | None]


@dataclass(frozen=True)
class TensorCell:
    """A tensor of one subject."""

    file: str
    dtype: str
    shape: Sequence[int]
    changed: float | None = None
    """Share of elements that differ from the first subject's; None where that has none of this type and shape."""
    estimated: bool = False
    """`changed` is an upper bound."""


@dataclass(frozen=True)
class TensorRow:
    """One tensor; None where a subject has none of this name."""

    name: str
    cells: Sequence[TensorCell | None]


@dataclass(frozen=True)
class StepCell:
    """A step of one subject."""

    state: str
    seconds: float


@dataclass(frozen=True)
class StepRow:
    """One step; None where a subject has none of this name."""

    name: str
    cells: Sequence[StepCell | None]


@dataclass(frozen=True)
class DatasetCell:
    """The dataset version that one subject used, and its drift from the first one in the row."""

    dataset: str
    """Resource name, by number."""
    digest: str
    row_count: int = 0
    column_count: int = 0
    filter: str = ""
    columns_added: Sequence[str] = ()
    columns_removed: Sequence[str] = ()
    columns_retyped: Sequence[tuple[str, str, str]] = ()
    """(column, type before, type after)"""
    drift: Sequence[ColumnDrift] = ()
    """The farthest apart first."""


@dataclass(frozen=True)
class DatasetRow:
    """What was used for one split; None where a subject used nothing."""

    split: str
    cells: Sequence[DatasetCell | None]
    differs: bool


@dataclass(frozen=True)
class Curve:
    """A metric of one subject over time, by step; empty when it has none."""

    steps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class SeriesRow:
    """One metric over time."""

    key: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Comparison:
    """All of it; the first subject is what the others are compared with."""

    subjects: Sequence[Subject]
    params: Sequence[ParamRow] = ()
    metrics: Sequence[MetricRow] = ()
    facts: Sequence[FactRow] = ()
    packages: Sequence[FactRow] = ()
    files: Sequence[FileRow] = ()
    tensors: Sequence[TensorRow] = ()
    steps: Sequence[StepRow] = ()
    datasets: Sequence[DatasetRow] = ()
    series: Sequence[SeriesRow] = ()
    notes: Sequence[str] = ()
    """What was left out, and why."""


_LOWER_WORDS = """
    loss error err mse rmse mae mape msle perplexity ppl latency duration seconds time fpr fnr wer cer brier ece logloss
    nll bytes memory cost regret divergence distance
"""
_HIGHER_WORDS = """
    accuracy acc f1 fbeta precision recall auc auroc auprc roc ap map ndcg mrr bleu rouge meteor r2 iou dice score
    throughput hits specificity sensitivity tpr tnr kappa mcc reward pearson spearman similarity coverage
"""
_LOWER, _HIGHER = frozenset(_LOWER_WORDS.split()), frozenset(_HIGHER_WORDS.split())
_LOWER_WHOLE = ("log_loss", "false_positive_rate", "false_negative_rate")


def direction_of(key: str) -> Direction:
    """Whether higher or lower values of a metric are better, guessed from the words of its name.

    The last word that is known decides: `val_loss` and `f1_error` are better when lower, `error_recall` when higher.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", key.lower()) if word]
    if any(name in "_".join(words) for name in _LOWER_WHOLE):
        return Direction.LOWER
    for word in reversed(words):
        stem = word.rstrip("0123456789") or word
        if word in _LOWER or stem in _LOWER:
            return Direction.LOWER
        if word in _HIGHER or stem in _HIGHER:
            return Direction.HIGHER
    return Direction.UNKNOWN
