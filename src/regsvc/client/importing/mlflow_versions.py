"""Writes versions of registered models, and their aliases.

What is there is found by three tags: the model's name in MLflow, the number, and when it was made. The last one tells
apart versions of two stores. All this holds wherever the store lies, so one that was moved gives no doubles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from regsvc import errors, refs
from regsvc.client import catalog
from regsvc.client.author import author
from regsvc.client.connection import Connection
from regsvc.client.importing import mlflow_builds as written
from regsvc.client.importing.mlflow_builds import RUN_ID, moment, text_of
from regsvc.client.importing.mlflow_model import code_of, described
from regsvc.client.importing.mlflow_report import MlflowReport
from regsvc.client.importing.mlflow_runs import failing, values_of
from regsvc.client.importing.mlflow_store import MlflowStore, StoredModel, StoredRun, StoredVersion
from regsvc.client.importing.mlflow_values import MAX_DESCRIPTION, alias_id, fit_text, fitted, request_id
from regsvc.client.records import Version
from regsvc.v1 import registry_pb2

if TYPE_CHECKING:
    from regsvc.client.client import Client

MODEL = "mlflow.model"
NUMBER = "mlflow.version"
CREATED = "mlflow.version_time"
_READY = "READY"


class VersionWriter:
    """Writes versions of one store."""

    def __init__(
        self, client: Client, connection: Connection, store: MlflowStore, report: MlflowReport
    ) -> None:
        self._client = client
        self._connection = connection
        self._store = store
        self._report = report
        self._present: dict[tuple[str, int], Version] = {}
        """By name and number in MLflow."""
        self._seen: set[str] = set()
        """References of all versions that came from MLflow."""

    def make_model(self, name: refs.ModelName, description: str) -> None:
        """Make the model unless it is there; then its description stays."""
        request = registry_pb2.CreateModelRequest(
            name=name.wire, description=fit_text(description, MAX_DESCRIPTION)
        )
        with contextlib.suppress(errors.AlreadyExists):
            self._connection.call(self._connection.registry.CreateModel, request)

    def look(self, name: refs.ModelName, model: StoredModel) -> set[int]:
        """Numbers in MLflow of the versions that are there."""
        wanted = {_identity(version): version.number for version in model.versions}
        found = set()
        with contextlib.suppress(errors.NotFound):
            for version in catalog.list_versions(self._connection, name):
                if MODEL in version.tags:
                    self._seen.add(version.reference)
                tags = version.tags
                number = wanted.get((tags.get(MODEL, ""), tags.get(NUMBER, ""), tags.get(CREATED, "")))
                if number is not None:
                    found.add(number)
                    self._present[model.name, number] = version
        return found

    def add(
        self,
        name: refs.ModelName,
        model: StoredModel,
        version: StoredVersion,
        run: StoredRun | None,
        *,
        build: str | None,
        earlier: str,
    ) -> None:
        """Push one version, published by `build`, or told to come from one that has ended `earlier`."""
        if self._report.dry_run:
            self._report.versions.append(f"{name} (MLflow version {version.number})")
            return
        with failing(self._report, f"{name}, MLflow version {version.number}", self._store.failure):
            if version.status != _READY:
                raise errors.FailedPrecondition(f"it is {version.status}")
            pushed = self._push(name, model, version, run, build, earlier)
            self._present[model.name, version.number] = pushed
            self._seen.add(pushed.reference)
            self._report.versions.append(pushed.reference)

    def set_aliases(self, name: refs.ModelName, model: StoredModel) -> None:
        """Point aliases where MLflow does. One that was moved to a version of this registry's own stays there."""
        if not model.aliases:
            return
        now = {each.alias: each.reference for each in catalog.get_model(self._connection, name).aliases}
        taken: set[str] = set()
        for original, number in sorted(model.aliases.items()):
            alias = alias_id(original)
            version = self._present.get((model.name, number))
            where = f"{name}: alias '{original[:60]}'"
            if version is None:
                self._report.notices.append(f"{where} names version {number}, which is not here: not set")
            elif alias in taken:
                self._report.notices.append(f"{where} is '{alias}' here, as another one is: not set")
            elif now.get(alias, version.reference) not in self._seen:
                self._report.notices.append(f"{where} names {now[alias]}, which is not of MLflow: not moved")
            else:
                if alias != original:
                    self._report.notices.append(f"{where} is called '{alias}'")
                if now.get(alias) != version.reference:
                    with failing(self._report, where, self._store.failure):
                        ref = refs.parse_reference(version.reference).version
                        catalog.set_alias(self._connection, ref, alias, author(), "import from MLflow")
                        self._report.aliases.append(f"{name}@{alias}")
            taken.add(alias)

    def _push(
        self,
        name: refs.ModelName,
        model: StoredModel,
        version: StoredVersion,
        run: StoredRun | None,
        build: str | None,
        earlier: str,
    ) -> Version:
        folder = self._store.version_folder(version)
        try:
            return self._push_files(folder, name, model, version, run, build, earlier)
        finally:
            self._store.release(folder)

    def _push_files(
        self,
        folder: Path,
        name: refs.ModelName,
        model: StoredModel,
        version: StoredVersion,
        run: StoredRun | None,
        build: str | None,
        earlier: str,
    ) -> Version:
        where = f"{name}, MLflow version {version.number}"
        found = described(folder)
        notices = list(found.notices)
        tags = self._tags(model, version, earlier)
        params: dict[str, str] = {}
        metrics: Mapping[str, float] = {}
        record = found.record
        if build is None and run is not None:
            # Without a build of its own the version tells what its run recorded, as it is now.
            text = text_of(run)
            params = dict(run.params)
            tags = dict(text.fitted.tags) | tags
            metrics = written.last_values(written.points_of(self._store, run, text, notices))
            record = replace(record, code=code_of(run.tags))
        elif build is None and version.run_id:
            tags[RUN_ID] = version.run_id
        fit = fitted(params, tags, len(metrics))
        notices += fit.notices
        description = fit_text(version.description, MAX_DESCRIPTION)
        if description != version.description:
            notices.append("the description was shortened")
        self._report.notices += [f"{where}: {notice}" for notice in notices]
        identity = request_id("mlflow version", *_identity(version), build, sorted(fit.tags.items()))
        for once in (identity, None):
            try:
                return self._client.push(
                    folder,
                    str(name),
                    params=fit.params,
                    metrics=metrics,
                    tags=fit.tags,
                    description=description,
                    build=build,
                    record=record,
                    attachments=found.attachments,
                    capture=False,
                    request_id=once,
                )
            except errors.RequestIdReused:
                # Its files or tags changed since an attempt that made nothing; else it had been found.
                if once is None:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _tags(self, model: StoredModel, version: StoredVersion, earlier: str) -> dict[str, str]:
        known = dict(zip((MODEL, NUMBER, CREATED), _identity(version), strict=True))
        known["mlflow.stage"] = "" if version.stage == "None" else version.stage
        known["mlflow.build"] = earlier
        return {
            **values_of(model.tags, "mlflow.model."),
            **values_of(version.tags),
            **{key: value for key, value in known.items() if value},
        }


def _identity(version: StoredVersion) -> tuple[str, str, str]:
    return version.model, str(version.number), moment(version.created)
