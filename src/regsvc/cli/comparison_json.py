"""A comparison as JSON, with the words that every other `--json` has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from regsvc import refs
from regsvc.cli.code import Diff
from regsvc.cli.comparison import short_name
from regsvc.cli.output import json_time
from regsvc.content.comparison import Comparison, DatasetCell, Subject
from regsvc.content.drift import verdict

_NOT_ALIKE = ("name", "created_at", "build", "size")


def comparison_document(found: Comparison, diffs: Sequence[Diff]) -> dict[str, Any]:
    """References as people type them, times as RFC 3339, `bytes`, `rows` and `columns`, as `show` has them."""
    document = {
        **asdict(found),
        "subjects": [_subject(each) for each in found.subjects],
        "datasets": [
            {
                "split": row.split,
                "cells": [None if cell is None else _dataset(cell) for cell in row.cells],
                "differs": row.differs,
            }
            for row in found.datasets
        ],
        "code_diffs": [asdict(diff) for diff in diffs],
    }
    for metric in document["metrics"]:
        metric["direction"] = metric["direction"].name
    return document


def _subject(subject: Subject) -> dict[str, Any]:
    return {
        "reference": short_name(subject.name),
        "created": json_time(datetime.fromtimestamp(subject.created_at / 1e6, UTC)),
        "build": short_name(subject.build) if subject.build else None,
        "bytes": subject.size,
        **{key: value for key, value in asdict(subject).items() if key not in _NOT_ALIKE},
    }


def _dataset(cell: DatasetCell) -> dict[str, Any]:
    return {
        "reference": str(refs.dataset_from_wire(cell.dataset)),
        "digest": cell.digest,
        "rows": cell.row_count,
        "columns": cell.column_count,
        "filter": cell.filter,
        "added": list(cell.columns_added),
        "removed": list(cell.columns_removed),
        "retyped": [list(each) for each in cell.columns_retyped],
        "drift": [_drift(asdict(each)) for each in cell.drift],
    }


def _drift(column: dict[str, Any]) -> dict[str, Any]:
    """As `dataset compare` names it."""
    return {"column": column.pop("name"), "verdict": verdict(column["psi"]) or None, **column}
