"""The catalogue: models, versions, aliases."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from regsvc.catalog import aliases, models, requests, rules, versions
from regsvc.catalog.aliases import Alias, AliasChange, Move
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.models import Model
from regsvc.catalog.requests import Request
from regsvc.catalog.versions import Version
from regsvc.errors import InvalidArgument
from regsvc.refs import AliasName, ModelName, VersionRef
from regsvc.service.authors import checked_move
from regsvc.service.checks import check_text, record_size
from regsvc.service.limits import Limits
from regsvc.service.paging import Page, Pager, PageRequest

_ALIAS_BYTES = 500
"""An alias in a message, at the most: three names of up to 160 bytes."""


@dataclass(frozen=True)
class ModelView:
    """A model with its aliases."""

    model: Model
    aliases: list[Alias]


class Registry:
    """What `RegistryService` does."""

    def __init__(self, catalog: Catalog, pager: Pager, limits: Limits):
        self._catalog = catalog
        self._pager = pager
        self._limits = limits

    def create_model(self, name: ModelName, description: str, request: Request) -> ModelView:
        """Raises `AlreadyExists`."""
        check_text(description, "description", self._limits.max_description_bytes)

        def create(tx: Transaction) -> ModelView:
            if requests.replay(tx, request) is None:
                models.create(tx, name, description)
                requests.remember(tx, request, name.wire)
            return model_view(tx, models.find(tx, name))

        return self._catalog.write(create)

    def model(self, name: ModelName) -> ModelView:
        """Raises `NotFound`."""
        return self._catalog.read(lambda db: model_view(db, models.find(db, name)))

    def list_models(self, namespace: str, request: PageRequest) -> Page[ModelView]:
        """By name; namespace "-" means all."""

        def fetch(after: list[str], limit: int) -> list[ModelView]:
            key = (after[0], after[1])
            return self._catalog.read(
                lambda db: [model_view(db, model) for model in models.page(db, namespace, key, limit)]
            )

        def key(view: ModelView) -> list[str]:
            return [view.model.name.namespace, view.model.name.model]

        def weigh(view: ModelView) -> int:
            return len(view.model.description) + _ALIAS_BYTES * len(view.aliases)

        return self._pager.page(request, f"models:{namespace}", ["", ""], fetch, key, weigh)

    def version(self, ref: VersionRef, *, deleted: bool = False) -> Version:
        """With `deleted` also one that is. Raises `NotFound`, `VersionDeleted`."""
        return self._catalog.read(lambda db: versions.find(db, ref, deleted=deleted))

    def list_versions(self, name: ModelName, request: PageRequest, *, deleted: bool = False) -> Page[Version]:
        """Newest first, with `deleted` also those that are. Raises `NotFound`."""
        model_id = self._catalog.read(lambda db: models.find_id(db, name))

        def fetch(before: int, limit: int) -> list[Version]:
            return self._catalog.read(lambda db: versions.page(db, model_id, before, limit, deleted=deleted))

        return self._pager.page(
            request,
            f"versions:{name}:{deleted}",
            sys.maxsize,
            fetch,
            lambda version: version.number,
            lambda version: record_size(version.metadata),
        )

    def set_alias(
        self, name: AliasName, to: VersionRef, expect: VersionRef | None, by: Move, request: Request
    ) -> Alias:
        """Point an alias at a version of the same model. Errors as SetAlias documents."""
        for ref in (to, expect):
            if ref is not None and ref.model != name.model:
                raise InvalidArgument(f"{ref} is not a version of {name.model}", version=ref.wire)
        by = checked_move(by)

        def point(tx: Transaction) -> Alias:
            if requests.replay(tx, request) is None:
                version = versions.find(tx, to)
                expected = None if expect is None else versions.resolve(tx, expect)
                rules.move(tx, name, version, by, expected)
                requests.remember(tx, request, name.wire)
            return aliases.find(tx, name)

        return self._catalog.write(point)

    def alias(self, name: AliasName) -> Alias:
        """Raises `NotFound`."""
        return self._catalog.read(lambda db: aliases.find(db, name))

    def alias_history(self, name: AliasName, request: PageRequest) -> Page[AliasChange]:
        """Newest first. Raises `NotFound`."""
        alias = self._catalog.read(lambda db: aliases.find(db, name, ever=True))

        def fetch(before: int, limit: int) -> list[AliasChange]:
            return self._catalog.read(lambda db: aliases.history(db, alias, before, limit))

        return self._pager.page(
            request,
            f"alias:{name}",
            sys.maxsize,
            fetch,
            lambda change: change.id,
            lambda change: _ALIAS_BYTES + len(change.reason),
        )


def model_view(db: Reader, model: Model) -> ModelView:
    """A model with its aliases."""
    return ModelView(model, aliases.of_model(db, model.id))
