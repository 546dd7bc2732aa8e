"""Reading the registry and moving aliases: unary calls and pages, as records."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from regsvc import refs
from regsvc.client import records
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.errors import RegsvcError
from regsvc.v1 import artifact_pb2, registry_pb2

_PAGE = 200


def get_version(connection: Connection, ref: refs.VersionRef, *, deleted: bool = False) -> records.Version:
    """Raises `NotFound`."""
    request = registry_pb2.GetVersionRequest(name=ref.wire, include_deleted=deleted)
    return records.version_from(connection.call(connection.registry.GetVersion, request).version)


def get_model(connection: Connection, model: refs.ModelName) -> records.Model:
    """Raises `NotFound`."""
    request = registry_pb2.GetModelRequest(name=model.wire)
    return records.model_from(connection.call(connection.registry.GetModel, request).model)


def list_models(connection: Connection, namespace: str | None) -> Iterator[records.Model]:
    """By name; None means of all namespaces."""
    parent = f"namespaces/{'-' if namespace is None else namespace}"
    request = registry_pb2.ListModelsRequest(parent=parent, page_size=_PAGE)
    for page in _pages(connection, connection.registry.ListModels, request):
        yield from map(records.model_from, page.models)


def list_versions(
    connection: Connection, model: refs.ModelName, *, deleted: bool = False
) -> Iterator[records.Version]:
    """Newest first. Raises `NotFound`."""
    request = registry_pb2.ListVersionsRequest(parent=model.wire, page_size=_PAGE, include_deleted=deleted)
    for page in _pages(connection, connection.registry.ListVersions, request):
        yield from map(records.version_from, page.versions)


def list_files(connection: Connection, ref: refs.VersionRef) -> Iterator[records.File]:
    """Bytewise by path. Raises `NotFound`."""
    return resumed(_FileList(connection, ref), translate=lambda error: translate(error, connection.target))


def set_alias(
    connection: Connection, ref: refs.VersionRef, alias: str, author: str, reason: str
) -> records.Alias:
    """Point an alias at a version of the same model. Errors as at `Client.set_alias`."""
    name = refs.AliasName(ref.model, refs.check_alias(alias))
    request = registry_pb2.SetAliasRequest(
        name=name.wire, version=ref.wire, author=author, reason=reason, request_id=uuid.uuid4().hex
    )
    return records.alias_from(connection.call(connection.registry.SetAlias, request).alias)


def alias_history(connection: Connection, alias: refs.AliasName) -> Iterator[records.AliasChange]:
    """Newest first. Raises `NotFound`."""
    request = registry_pb2.ListAliasHistoryRequest(parent=alias.wire, page_size=_PAGE)
    for page in _pages(connection, connection.registry.ListAliasHistory, request):
        yield from records.alias_changes_from(page.changes)


def _pages(connection: Connection, method: Callable[..., Any], request: Any) -> Iterator[Any]:
    while True:
        page = connection.call(method, request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


class _FileList:
    """Strategy of `resumed` for a manifest without chunks: begins again and skips what it has given."""

    def __init__(self, connection: Connection, ref: refs.VersionRef) -> None:
        self._connection = connection
        self._version = ref.wire
        self._last = ""

    def open(self) -> Iterator[Any]:
        request = artifact_pb2.ReadManifestRequest(version=self._version)
        call: Iterator[Any] = self._connection.artifacts.ReadManifest(request)
        return call

    def take(self, response: Any) -> Iterator[records.File]:
        # From then on the number: an alias may move between two attempts.
        self._version = response.version or self._version
        for file in response.files:
            if file.path > self._last:
                self._last = file.path
                yield records.File(file.path, file.size, file.digest)

    def recover(self, error: RegsvcError) -> None:
        """Nothing to learn: the version is immutable."""

    def progress(self) -> str:
        return self._last
