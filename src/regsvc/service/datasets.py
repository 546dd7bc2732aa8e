"""Datasets: registered with their profiles, compared, and who used them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import datasets, requests
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.datasets import Dataset, NewDataset, User
from regsvc.catalog.requests import Request
from regsvc.content import drift, profile
from regsvc.content.drift import DatasetDrift
from regsvc.content.profile import ProfileError
from regsvc.errors import FailedPrecondition, InvalidArgument, ProfileInvalid, SameTwice
from regsvc.refs import DatasetRef, dataset_from_wire
from regsvc.service.checks import check_text
from regsvc.service.paging import Page, Pager, PageRequest

MOST_USERS = 10_000
MAX_URI_BYTES = 2_048


@dataclass(frozen=True)
class DriftView:
    """What changed between two dataset versions."""

    before: Dataset
    after: Dataset
    drift: DatasetDrift


class Datasets:
    """What `DatasetService` does."""

    def __init__(self, catalog: Catalog, pager: Pager):
        self._catalog = catalog
        self._pager = pager

    def register(
        self, ref: DatasetRef, digest: bytes | None, uri: str, text: bytes, request: Request
    ) -> Dataset:
        """Errors as RegisterDataset documents."""
        if digest is None:
            raise InvalidArgument("a dataset has a digest")
        if ref.number is not None:
            raise InvalidArgument("the server numbers the versions of a dataset")
        check_text(uri, "the uri", MAX_URI_BYTES)
        rows = columns = None
        if text:
            try:
                found = profile.from_json(text)
            except ProfileError as error:
                raise ProfileInvalid(f"the profile cannot be read: {error}") from None
            rows, columns = found.rows, len(found.columns)

        def register(tx: Transaction) -> Dataset:
            known = requests.replay(tx, request)
            if known is not None:
                return datasets.find(tx, dataset_from_wire(known))
            made = datasets.register(tx, NewDataset(ref, digest, uri, rows, columns, text))
            requests.remember(tx, request, made.ref.wire)
            return made

        return self._catalog.write(register)

    def get(self, ref: DatasetRef) -> tuple[Dataset, bytes]:
        """A dataset version and its profile. Raises `NotFound`."""

        def find(db: Reader) -> tuple[Dataset, bytes]:
            found = datasets.find(db, ref)
            return found, datasets.profile(db, found)

        return self._catalog.read(find)

    def list(self, namespace: str, request: PageRequest) -> Page[Dataset]:
        """Latest versions by name; namespace "-" means all."""

        def fetch(after: list[str], limit: int) -> list[Dataset]:
            return self._catalog.read(lambda db: datasets.page(db, namespace, (after[0], after[1]), limit))

        return self._pager.page(
            request,
            f"datasets:{namespace}",
            ["", ""],
            fetch,
            lambda found: [found.ref.namespace, found.ref.dataset],
            lambda found: len(found.uri) + 300,
        )

    def users(self, ref: DatasetRef, *, all_versions: bool) -> Sequence[User]:
        """Who used a dataset, or one version of it. Raises `NotFound`."""

        def find(db: Reader) -> Sequence[User]:
            datasets.find(db, ref)
            return datasets.users(db, ref, all_versions=all_versions, limit=MOST_USERS)

        return self._catalog.read(find)

    def compare(self, before: DatasetRef, after: DatasetRef) -> DriftView:
        """Errors as CompareDatasets documents."""
        (old, old_text), (new, new_text) = self.get(before), self.get(after)
        if old.id == new.id:
            raise SameTwice(f"dataset {old.ref} is compared with itself", name=old.ref.wire)
        for dataset, text in ((old, old_text), (new, new_text)):
            if not text:
                raise FailedPrecondition(f"dataset {dataset.ref} has no profile", dataset=dataset.ref.wire)
        return DriftView(old, new, drift.compare(profile.from_json(old_text), profile.from_json(new_text)))
