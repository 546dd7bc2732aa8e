"""What was trained and tested on, side by side, with the drift from the first subject's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from regsvc.catalog import datasets
from regsvc.catalog.database import Reader
from regsvc.catalog.datasets import Dataset
from regsvc.content import drift, profile
from regsvc.content.comparison import DatasetCell, DatasetRow
from regsvc.content.profile import Profile
from regsvc.content.record import DatasetUse
from regsvc.refs import dataset_from_wire
from regsvc.service.comparing_sides import Side

MOST_DRIFTS = 64
"""Pairs of profiles, of up to 5,000 columns each, that are compared for one answer."""
MOST_COLUMNS = 50


class DatasetRows:
    """The rows of one comparison, by split and dataset."""

    def __init__(self, db: Reader):
        self._db = db
        self._left = MOST_DRIFTS
        self._base: tuple[int, Profile | None] = (0, None)
        self.notes: list[str] = []

    def rows(self, sides: Sequence[Side]) -> Iterator[DatasetRow]:
        """One at a time: profiles are large."""
        tables = [side.record.datasets for side in sides]
        for split in dict.fromkeys(use.split for table in tables for use in table):
            used = [[use for use in table if use.split == split] for table in tables]
            if all(len(each) <= 1 for each in used):
                yield self._row(split, [each[0] if each else None for each in used])
                continue
            for name in dict.fromkeys(_dataset(use) for each in used for use in each):
                same = [[use for use in each if _dataset(use) == name] for each in used]
                for place in range(max(map(len, same))):
                    yield self._row(split, [each[place] if place < len(each) else None for each in same])

    def _row(self, split: str, uses: Sequence[DatasetUse | None]) -> DatasetRow:
        found = [
            None if use is None else datasets.find(self._db, dataset_from_wire(use.dataset)) for use in uses
        ]
        base = next(each for each in found if each is not None)
        cells = [
            None if use is None or dataset is None else self._cell(use, dataset, base)
            for use, dataset in zip(uses, found, strict=True)
        ]
        differs = len({each and (each.dataset, each.filter) for each in cells}) > 1
        return DatasetRow(split, cells, differs)

    def _cell(self, use: DatasetUse, dataset: Dataset, base: Dataset) -> DatasetCell:
        cell = DatasetCell(
            dataset.ref.wire,
            dataset.digest.hex(),
            dataset.row_count or 0,
            dataset.column_count or 0,
            use.filter,
        )
        if dataset.id == base.id or dataset.column_count is None or base.column_count is None:
            return cell
        if not self._left:
            self.notes = [f"the drift of only {MOST_DRIFTS} datasets was computed"]
            return cell
        self._left -= 1
        before, after = self._base_profile(base), self._profile(dataset)
        found = drift.compare(before, after)
        return replace(
            cell,
            columns_added=found.added,
            columns_removed=found.removed,
            columns_retyped=found.retyped,
            drift=found.columns[:MOST_COLUMNS],
        )

    def _base_profile(self, base: Dataset) -> Profile:
        known, found = self._base
        if found is None or known != base.id:
            found = self._profile(base)
            self._base = base.id, found
        return found

    def _profile(self, dataset: Dataset) -> Profile:
        return profile.from_json(datasets.profile(self._db, dataset))


def _dataset(use: DatasetUse) -> str:
    """The dataset without its version."""
    return dataset_from_wire(use.dataset).parent
