"""Copying versions and renaming models."""

from __future__ import annotations

import json
from collections.abc import Sequence

from regsvc.catalog import copying, models, requests, rules, versions
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Catalog, Transaction
from regsvc.catalog.requests import Request
from regsvc.catalog.versions import Version
from regsvc.errors import ResourceExhausted
from regsvc.refs import AliasName, ModelName, VersionRef, check_alias
from regsvc.service.authors import author_of
from regsvc.service.limits import Limits
from regsvc.service.registry import ModelView, model_view


class Copying:
    """What `LifecycleService` does across models."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def copy(
        self, ref: VersionRef, model: ModelName, aliases: Sequence[str], author: str, request: Request
    ) -> tuple[Version, VersionRef]:
        """The copy, and what was copied. Errors as CopyVersion documents."""
        author = author_of(author)
        limit = self._limits.max_aliases_per_commit
        if len(aliases) > limit:
            raise ResourceExhausted(f"more than {limit} aliases", limit=limit)
        names = [AliasName(model, check_alias(alias)) for alias in dict.fromkeys(aliases)]

        def write(tx: Transaction) -> tuple[Version, VersionRef]:
            known = requests.replay(tx, request)
            if known is not None:
                copy_id, source_id = json.loads(known)
                return versions.get(tx, copy_id), versions.get(tx, source_id).ref
            source = versions.find(tx, ref)
            made = copying.copy(tx, source, model, author)
            for name in names:
                rules.move(tx, name, made, Move(author))
            requests.remember(tx, request, json.dumps([made.id, source.id]))
            return versions.get(tx, made.id), source.ref

        return self._catalog.write(write)

    def rename(self, name: ModelName, new: ModelName, author: str, request: Request) -> ModelView:
        """The model under its new name. Errors as RenameModel documents."""
        author = author_of(author)

        def write(tx: Transaction) -> ModelView:
            if requests.replay(tx, request) is None:
                copying.rename(tx, name, new, author)
                requests.remember(tx, request, new.wire)
            return model_view(tx, models.find(tx, new))

        return self._catalog.write(write)
