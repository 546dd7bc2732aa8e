"""Makes real MLflow stores for tests, a folder or a database, and says what is in them."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import infer_signature

START = 1_750_000_000_000
COMMIT = "a" * 40


@dataclass
class MadeStore:
    """A store, and ids of what a test looks for."""

    uri: str
    folder: Path
    client: MlflowClient
    runs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files of a version by its `model:number`."""
    histories: dict[str, dict[str, list[tuple[int, int, float]]]] = field(default_factory=dict)
    """(step, milliseconds, value) by run and key; finite ones only."""


@contextlib.contextmanager
def used(uri: str) -> Iterator[None]:
    """MLflow's own default store for a while: even a client with another URI asks for it now and then."""
    names = (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
        "MLFLOW_ALLOW_FILE_STORE",
        "MLFLOW_DISABLE_TELEMETRY",
    )
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def make(folder: Path, kind: str, points: int = 300) -> MadeStore:
    """Three models with versions of four runs, one of which made two, and three runs that made none."""
    folder.mkdir(parents=True)
    uri = str(folder / "mlruns") if kind == "file" else f"sqlite:///{folder / 'mlflow.db'}"
    with used(uri):
        made = MadeStore(uri, folder, MlflowClient(uri, uri))
        location = None if kind == "file" else str(folder / "artifacts")
        experiment = made.client.create_experiment("Card Fraud/2026", artifact_location=location)
        _fraud(made, experiment, points)
        _others(made, experiment)
    return made


def add_run(
    made: MadeStore,
    experiment: str,
    name: str,
    *,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    metrics: dict[str, list[float]] | None = None,
    state: str = "FINISHED",
) -> str:
    """A run whose points have steps 0, 2, 4 ... and are a second apart."""
    run = made.client.create_run(experiment, start_time=START, run_name=name, tags=tags or {})
    run_id = made.runs[name] = run.info.run_id
    logged = [
        Metric(key, value, START + 1000 * place, 2 * place)
        for key, values in (metrics or {}).items()
        for place, value in enumerate(values)
    ]
    for start in range(0, len(logged), 1000):
        made.client.log_batch(run_id, metrics=logged[start : start + 1000])
    made.client.log_batch(run_id, params=[Param(key, value) for key, value in (params or {}).items()])
    history: dict[str, list[tuple[int, int, float]]] = {}
    for each in logged:
        if math.isfinite(each.value):
            history.setdefault(each.key, []).append((each.step, each.timestamp, each.value))
    made.histories[name] = history
    if state != "RUNNING":
        made.client.set_terminated(run_id, state, end_time=START + 60_000)
    return run_id


def add_version(made: MadeStore, model: str, run: str, files: dict[str, bytes], **options: Any) -> int:
    """A version from files that a run logs under `model-N`, as clients before MLflow 3 did."""
    place = f"model-{len(made.artifacts)}"
    source = made.folder / f"source-{place}"
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    made.client.log_artifacts(made.runs[run], str(source), place)
    version = made.client.create_model_version(
        model, f"runs:/{made.runs[run]}/{place}", made.runs[run], **options
    )
    made.artifacts[f"{model}:{version.version}"] = files
    return int(version.version)


def _fraud(made: MadeStore, experiment: str, points: int) -> None:
    tags = {
        "team": "risk",
        "mlflow.source.git.commit": COMMIT,
        "mlflow.source.git.repoURL": "https://someone:secret@git.example.com/fraud.git",
        "mlflow.note.content": "The **first** try",
    }
    curve = [1 / (place + 1) for place in range(points)]
    add_run(
        made,
        experiment,
        "first",
        params={
            "lr": "0.005",
            "epochs": "30",
            "amp": "True",
            "opt": "adam",
            "code": "007",
            "text": "x" * 6000,
        },
        tags=tags,
        metrics={"loss": curve, "eval/f1 score": [0.5, 0.75], "bad": [1.0, math.nan, math.inf, 2.0]},
    )
    made.client.log_text(made.runs["first"], "hello", "notes/read me.txt")
    _dataset(made, made.runs["first"])
    made.client.create_registered_model("Fraud Detector", {"owner": "risk"}, "Finds **fraud**")
    add_version(made, "Fraud Detector", "first", {"a.bin": b"a" * 3000, "deep/b.txt": b"b"}, tags={"q": "1"})
    add_run(made, experiment, "second", params={"lr": "0.5"}, metrics={"loss": curve[:3]}, state="FAILED")
    add_version(made, "Fraud Detector", "second", {"a.bin": b"a" * 3000, "c.bin": os.urandom(5000)})
    add_version(made, "Fraud Detector", "first", {"third.bin": b"third"}, description="again")
    made.client.set_registered_model_alias("Fraud Detector", "Champion", "2")
    made.client.create_registered_model("fraud-detector")  # has the other one's id
    add_version(made, "fraud-detector", "second", {"w": b"w"})


def _others(made: MadeStore, experiment: str) -> None:
    class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return model_input

    with mlflow.start_run(experiment_id=experiment, run_name="third") as run:
        made.runs["third"] = run.info.run_id
        table = pandas.DataFrame({"a": [1.5]})
        mlflow.pyfunc.log_model(
            name="model",
            python_model=Echo(),
            pip_requirements=["mlflow==3.17.2", "Some_Package==1.2"],
            signature=infer_signature(table, table),
            registered_model_name="new",
        )
    add_run(made, experiment, "killed", metrics={"loss": [3.0, 2.0]}, state="KILLED")
    add_run(made, experiment, "still", state="RUNNING")
    add_run(made, "0", "stray", params={"lr": "1e-3"})


def _dataset(made: MadeStore, run_id: str) -> None:
    table = pandas.DataFrame({"amount": [1.5, 2.5], "fraud": [0, 1]})
    dataset = mlflow.data.from_pandas(
        table, source="https://me:pw@data.example.com/t.csv", name="Transactions"
    )
    tag = InputTag("mlflow.data.context", "train")
    made.client.log_inputs(run_id, [DatasetInput(dataset._to_mlflow_entity(), [tag])])
    made.client.set_tag(run_id, "long", "y" * 4000)
    made.client.log_batch(run_id, tags=[RunTag("with space", "z")])
