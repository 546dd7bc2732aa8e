"""Models, versions, files and aliases."""

from __future__ import annotations

from collections.abc import Iterator

from regsvc import refs
from regsvc.client import catalog, records
from regsvc.client.author import author as who
from regsvc.client.verbs.connections import Connections


class Models(Connections):
    """Those methods of `Client`."""

    def model(self, name: str) -> records.Model:
        """One model. Raises `NotFound`."""
        return catalog.get_model(*self._model(name))

    def models(self, namespace: str | None = None) -> Iterator[records.Model]:
        """All models, or those of one namespace, by name."""
        return catalog.list_models(self._connection(None), namespace)

    def version(self, ref: str, *, deleted: bool = False) -> records.Version:
        """One version, with `deleted` also one that is. Raises `NotFound`, `VersionDeleted`."""
        reference = refs.parse_reference(ref)
        connection = self._connection(reference.server)
        return catalog.get_version(connection, reference.version, deleted=deleted)

    def versions(self, model: str, *, deleted: bool = False) -> Iterator[records.Version]:
        """Versions of a model, newest first, with `deleted` also those that are. Raises `NotFound`."""
        connection, name = self._model(model)
        return catalog.list_versions(connection, name, deleted=deleted)

    def files(self, ref: str) -> Iterator[records.File]:
        """The files of a version, bytewise by path. Raises `NotFound`."""
        reference = refs.parse_reference(ref)
        return catalog.list_files(self._connection(reference.server), reference.version)

    def set_alias(
        self, ref: str, alias: str, *, reason: str = "", author: str | None = None
    ) -> records.Alias:
        """Point an alias of the model of `ref` at that version; `promote` asks its rules.

        Raises `NotFound`, `NameInvalid`, `AliasProtected` (only `promote` and `rollback` move it), `VersionBad`,
        `VersionArchived`.
        """
        reference = refs.parse_reference(ref)
        by = who() if author is None else author
        return catalog.set_alias(self._connection(reference.server), reference.version, alias, by, reason)

    def alias_history(self, alias: str) -> Iterator[records.AliasChange]:
        """Everything that `[namespace/]model@alias` ever named, newest first. Raises `NotFound`."""
        return catalog.alias_history(*self._alias(alias))
