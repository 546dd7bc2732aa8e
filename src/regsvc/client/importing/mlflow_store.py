"""What an open MLflow store holds, as plain values. It is opened by `mlflow_open`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from regsvc import errors

_PAGE = 1000


@dataclass(frozen=True)
class StoredVersion:
    """One version of a registered model."""

    model: str
    number: int
    description: str
    tags: Mapping[str, str]
    stage: str
    run_id: str
    status: str
    created: int
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class StoredModel:
    """One registered model, with its versions in ascending order."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    created: int
    versions: tuple[StoredVersion, ...]


@dataclass(frozen=True)
class StoredDataset:
    """One input of a run."""

    name: str
    digest: str
    source: str
    source_type: str
    schema: str
    profile: str
    context: str


@dataclass(frozen=True)
class StoredRun:
    """One run, without its metric histories."""

    id: str
    experiment_id: str
    experiment: str
    name: str
    status: str
    started: int | None
    """Milliseconds since 1970."""
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[str, ...]
    """Keys."""
    artifacts: str
    """URI of its artifacts."""
    datasets: tuple[StoredDataset, ...]
    models: tuple[str, ...]
    """Ids of the models that it logged (MLflow 3)."""


@dataclass(frozen=True)
class StoredPoint:
    """One value of a metric, perhaps not finite."""

    value: float
    step: int
    time: int
    """Milliseconds since 1970."""


class MlflowStore:
    """An open store. What MLflow raises goes through, but where a docstring says otherwise."""

    def __init__(self, client: Any, address: str, root: Path | None, folder: Path) -> None:
        self._client = client
        self._address = address
        self._root = root
        self._folder = folder
        self._fetched = 0
        self.failure: type[Exception] = mlflow_module("mlflow.exceptions").MlflowException
        """What MLflow raises."""

    def models(self) -> list[StoredModel]:
        """Registered models in the order in which they were made, without prompts."""
        models = [
            StoredModel(
                each.name,
                each.description or "",
                dict(each.tags),
                {alias: int(number) for alias, number in dict(each.aliases).items()},
                each.creation_timestamp or 0,
                tuple(self._versions(each.name)),
            )
            for each in _paged(self._client.search_registered_models)
            if str(each.tags.get("mlflow.prompt.is_prompt", "")).lower() != "true"
        ]
        return sorted(models, key=lambda model: (model.created, model.name))

    def experiments(self) -> dict[str, str]:
        """Names of experiments by id, in the order in which they were made."""
        found = sorted(
            _paged(self._client.search_experiments),
            key=lambda each: (each.creation_time or 0, each.experiment_id),
        )
        return {each.experiment_id: each.name for each in found}

    def runs(self, experiments: Mapping[str, str]) -> Iterator[StoredRun]:
        """All runs of some experiments that were not deleted, oldest first."""
        for experiment in experiments:
            found = list(_paged(self._client.search_runs, experiment_ids=[experiment]))
            for run in sorted(found, key=lambda run: (run.info.start_time or 0, run.info.run_id)):
                yield self._run(run, experiments)

    def run(self, run_id: str, experiments: Mapping[str, str]) -> StoredRun | None:
        """One run, also a deleted one; None when it is gone."""
        try:
            return self._run(self._client.get_run(run_id), experiments)
        except mlflow_module("mlflow.exceptions").MlflowException:
            return None

    def history(self, run_id: str, key: str) -> list[StoredPoint]:
        """All points of a metric, in the order that makes the last one MLflow's own last value."""
        # A file store holds a point twice that was logged for the run and again for its model; a database does not.
        points = dict.fromkeys(
            StoredPoint(float(each.value), int(each.step), int(each.timestamp))
            for each in self._client.get_metric_history(run_id, key)
        )
        # NaN compares with nothing, so it takes no part in the order.
        return sorted(
            points, key=lambda each: (each.step, each.time, each.value if each.value == each.value else 0.0)
        )

    def version_folder(self, version: StoredVersion) -> Path:
        """The artifact files of a version, fetched if they are not on this machine. Raises `NotFound`."""
        return self._local(self._version_uri(version))

    def version_place(self, version: StoredVersion) -> Path | None:
        """Where they are on this machine; None when they have to be fetched."""
        return self._path(self._version_uri(version))

    def release(self, folder: Path) -> None:
        """Remove what was fetched into `folder`; files of the store itself stay."""
        if folder.is_relative_to(self._folder / "fetched"):
            shutil.rmtree(folder, ignore_errors=True)

    def run_folder(self, run: StoredRun) -> Path | None:
        """The artifacts of a run, or None when it has none. Raises `NotFound` when they cannot be fetched."""
        path = self._path(run.artifacts)
        if path is not None:
            return path if path.is_dir() else None
        return self._local(run.artifacts)

    def _version_uri(self, version: StoredVersion) -> str:
        uri = self._client.get_model_version_download_uri(version.model, str(version.number))
        return self._resolved(uri, 0)

    def _versions(self, name: str) -> list[StoredVersion]:
        quoted = '"' if "'" in name else "'"
        found = _paged(self._client.search_model_versions, filter_string=f"name={quoted}{name}{quoted}")
        versions = [
            StoredVersion(
                name,
                int(each.version),
                each.description or "",
                dict(each.tags),
                each.current_stage or "",
                each.run_id or "",
                each.status or "READY",
                each.creation_timestamp or 0,
            )
            for each in found
        ]
        return sorted(versions, key=lambda version: version.number)

    def _run(self, run: Any, experiments: Mapping[str, str]) -> StoredRun:
        inputs = run.inputs.dataset_inputs if run.inputs is not None else ()
        outputs = run.outputs.model_outputs if getattr(run, "outputs", None) is not None else ()
        return StoredRun(
            run.info.run_id,
            run.info.experiment_id,
            experiments.get(run.info.experiment_id, run.info.experiment_id),
            run.info.run_name or "",
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            dict(run.data.params),
            dict(run.data.tags),
            tuple(sorted(run.data.metrics)),
            run.info.artifact_uri or "",
            tuple(_dataset(each) for each in inputs),
            tuple(each.model_id for each in outputs),
        )

    def _resolved(self, uri: str, depth: int) -> str:
        """A URI without `runs:` and `models:`."""
        scheme, _, rest = uri.partition(":/")
        parts = rest.strip("/").split("/")
        if depth > 10 or scheme not in ("runs", "models"):
            return uri
        if scheme == "models":
            if len(parts) == 1:
                return str(self._client.get_logged_model(parts[0]).artifact_location)
            return self._resolved(self._client.get_model_version_download_uri(parts[0], parts[1]), depth + 1)
        run, inside = self._client.get_run(parts[0]), "/".join(parts[1:])
        whole = f"{run.info.artifact_uri.rstrip('/')}/{inside}"
        path = self._path(whole)
        if path is None or path.exists() or getattr(run, "outputs", None) is None:
            return whole
        # Since MLflow 3 a run's models lie elsewhere, and are still called by the run.
        for output in run.outputs.model_outputs:
            model = self._client.get_logged_model(output.model_id)
            if model.name == inside:
                return str(model.artifact_location)
        return whole

    def _local(self, uri: str) -> Path:
        path = self._path(uri)
        if path is not None:
            if not path.exists():
                raise errors.NotFound("its artifacts are not where MLflow says they are")
            return path
        self._fetched += 1
        place = self._folder / "fetched" / str(self._fetched)
        place.mkdir(parents=True)
        try:
            fetched = mlflow_module("mlflow.artifacts").download_artifacts(
                artifact_uri=uri, dst_path=str(place), tracking_uri=self._address
            )
        # Every kind of artifact store raises what its own library does.
        except Exception as error:  # noqa: BLE001
            raise errors.NotFound(
                f"its artifacts cannot be fetched from {urlsplit(uri).scheme}: {type(error).__name__}"
            ) from None
        return Path(fetched)

    def _path(self, uri: str) -> Path | None:
        """Where it is on this machine, or None. A file store may have been moved since it wrote down its paths."""
        parts = urlsplit(uri)
        if parts.scheme not in ("", "file"):
            return None
        path = Path(unquote(parts.path) if parts.scheme else uri)
        if path.exists() or self._root is None:
            return path
        for first in range(1, len(path.parts) - 2):
            moved = self._root.joinpath(*path.parts[first:])
            if ".." not in path.parts and moved.exists():
                return moved
        return path


def first_line(error: Exception) -> str:
    """What an error of MLflow says, shortly."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _paged(method: Any, **options: Any) -> Iterator[Any]:
    token = None
    while True:
        page = method(max_results=_PAGE, page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return


def _dataset(given: Any) -> StoredDataset:
    dataset = given.dataset
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
    return StoredDataset(
        dataset.name or "",
        dataset.digest or "",
        dataset.source or "",
        dataset.source_type or "",
        dataset.schema or "",
        dataset.profile or "",
        context,
    )


def mlflow_module(module: str) -> Any:
    """A module of mlflow, or of what comes with it. Raises `FailedPrecondition` without mlflow."""
    try:
        return import_module(module)
    except ImportError:
        raise errors.FailedPrecondition(
            "importing from MLflow needs mlflow: pip install 'regsvc[mlflow]'", extra="mlflow"
        ) from None
