"""Import of an MLflow store: registered models, their versions in order, and runs, each once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from regsvc import errors, refs
from regsvc.client.importing.mlflow_builds import Known, kept_alive, known_builds
from regsvc.client.importing.mlflow_datasets import DatasetWriter
from regsvc.client.importing.mlflow_open import opened
from regsvc.client.importing.mlflow_report import MlflowReport, Progress
from regsvc.client.importing.mlflow_runs import Building, RunWriter
from regsvc.client.importing.mlflow_store import MlflowStore, StoredModel, StoredRun, StoredVersion
from regsvc.client.importing.mlflow_values import model_ids
from regsvc.client.importing.mlflow_versions import VersionWriter

if TYPE_CHECKING:
    from regsvc.client.client import Client

RUNS = ("all", "registered", "none")


def import_mlflow(
    client: Client,
    uri: str,
    *,
    namespace: str = refs.DEFAULT_NAMESPACE,
    models: Sequence[str] = (),
    runs: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> MlflowReport:
    """Bring registered models, versions and runs of the MLflow store at `uri` into a namespace.

    `uri` is a folder (`./mlruns`, `file:///...`) or `sqlite:///FILE`; it is never written to. `models` are names of
    registered models, all by default. `runs` is `all` (also those that made no version, as builds of a model named
    after their experiment; the default), `registered` (the default with `models`) or `none`. Importing again adds
    what is new (docs/import.md). What fails by itself is in the report's `failures`, and the rest goes on.
    `progress` gets a line before each model, run and version.

    Raises `FailedPrecondition` (no mlflow, or no store that it can read), `NotFound` (no such store or model),
    `InvalidArgument`, `NameInvalid` (namespace), `Unavailable`.
    """
    runs = runs or ("registered" if models else "all")
    if runs not in RUNS:
        raise errors.InvalidArgument(f"'{runs[:40]}' is no choice of runs: {', '.join(RUNS)}")
    refs.parse_model(f"{namespace}/any")
    report = MlflowReport(dry_run)
    with opened(uri) as store:
        _Import(client, store, namespace, runs, report, progress or (lambda line: None)).carry_out(models)
    return report


class _Import:
    def __init__(
        self,
        client: Client,
        store: MlflowStore,
        namespace: str,
        runs: str,
        report: MlflowReport,
        progress: Progress,
    ) -> None:
        self._connection = client._connection(None)
        self._store = store
        self._namespace = namespace
        self._which = runs
        self._report = report
        self._progress = progress
        datasets = DatasetWriter(self._connection, namespace)
        self._runs = RunWriter(self._connection, store, datasets, report, progress)
        self._versions = VersionWriter(client, self._connection, store, report)
        self._experiments: Mapping[str, str] = {}

    def carry_out(self, wanted: Sequence[str]) -> None:
        found = self._store.models()
        self._experiments = self._store.experiments()
        ids = model_ids(model.name for model in found)
        missing = next((name for name in wanted if name not in ids), None)
        if missing is not None:
            raise errors.NotFound(f"the store has no registered model '{missing[:100]}'", model=missing[:100])
        for model in found:
            if not wanted or model.name in wanted:
                self._model(model, refs.ModelName(self._namespace, ids[model.name]))
        if self._which == "all":
            self._other_runs({version.run_id for model in found for version in model.versions})

    def _model(self, model: StoredModel, name: refs.ModelName) -> None:
        self._progress(f"model {model.name}")
        self._report.models[model.name] = str(name)
        if name.model != model.name:
            self._report.notices.append(f"model '{model.name}' is called {name}")
        if not self._report.dry_run:
            self._versions.make_model(name, model.description or model.name)
        known = None if self._which == "none" else known_builds(self._connection, name)
        present = self._versions.look(name, model)
        last = {version.run_id: version.number for version in model.versions}
        runs: dict[str, StoredRun | None] = {}
        building: dict[str, Building] = {}
        with contextlib.ExitStack() as alive:
            for version in model.versions:
                run_id = version.run_id
                if run_id and run_id not in runs:
                    runs[run_id] = run = self._run(name, run_id)
                    if run is not None and known is not None:
                        made = self._runs.begin(name, run, known, partial(self._folders, model, run_id))
                        if made is not None:
                            # Until the last version of the run is there; others may come between.
                            building[run_id] = made
                            alive.enter_context(kept_alive(self._connection, made.name))
                if version.number in present:
                    self._report.versions_present += 1
                else:
                    self._version(name, model, version, runs.get(run_id), building.get(run_id), known)
                if last[run_id] == version.number and run_id in building:
                    self._runs.end(building.pop(run_id))
        if not self._report.dry_run:
            self._versions.set_aliases(name, model)

    def _version(
        self,
        name: refs.ModelName,
        model: StoredModel,
        version: StoredVersion,
        run: StoredRun | None,
        building: Building | None,
        known: Known | None,
    ) -> None:
        self._progress(f"version {version.number} of {model.name}")
        earlier = None if known is None else known.ended.get(version.run_id)
        if earlier is not None:
            self._report.notices.append(
                f"{name}, MLflow version {version.number}: its run came as {earlier.name} before, which has ended;"
                " the tag mlflow.build names it"
            )
        self._versions.add(
            name,
            model,
            version,
            run,
            build=None if building is None else building.name,
            earlier="" if earlier is None else earlier.name,
        )

    def _run(self, name: refs.ModelName, run_id: str) -> StoredRun | None:
        run = self._store.run(run_id, self._experiments)
        if run is None:
            self._report.notices.append(f"{name}: run {run_id} is gone; its versions come without a build")
        return run

    def _folders(self, model: StoredModel, run_id: str) -> list[Path]:
        """Where the versions of a run lie on this machine."""
        found: list[Path] = []
        for version in model.versions:
            if version.run_id == run_id:
                with contextlib.suppress(errors.NotFound, self._store.failure):
                    place = self._store.version_place(version)
                    found += [] if place is None else [place]
        return found

    def _other_runs(self, made: set[str]) -> None:
        """Runs that made no version, as builds of a model named after their experiment."""
        ids = model_ids(self._experiments.values())
        known: dict[refs.ModelName, Known] = {}
        for run in self._store.runs(self._experiments):
            if run.id in made:
                continue
            name = refs.ModelName(self._namespace, ids[run.experiment])
            if name not in known:
                known[name] = known_builds(self._connection, name)
                if not self._report.dry_run:
                    self._versions.make_model(name, f"Runs of the MLflow experiment '{run.experiment}'")
            building = self._runs.begin(name, run, known[name], list)
            if building is not None:
                self._runs.end(building)
