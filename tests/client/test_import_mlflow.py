"""Importing real MLflow stores into a real server."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow_stores
import pytest
from mlflow_stores import COMMIT, MadeStore
from support import Server, wait_until

from regsvc import errors
from regsvc.client.client import Client
from regsvc.client.importing.mlflow_import import import_mlflow
from regsvc.client.importing.mlflow_values import alias_id, fitted, model_ids, typed


@pytest.fixture(scope="module", params=["file", "sqlite"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MadeStore:
    return mlflow_stores.make(tmp_path_factory.mktemp("mlflow") / request.param, request.param)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.endpoint) as client:
        yield client


def test_every_number_is_found_again(made: MadeStore, client: Client) -> None:
    before = _fingerprints(made.folder)
    report = import_mlflow(client, made.uri, namespace="risk")
    assert report.failures == []
    assert _fingerprints(made.folder) == before, "the store was written to"
    fraud = report.models["Fraud Detector"]
    assert fraud == "risk/fraud-detector"

    first = client.version(f"{fraud}:1")
    assert first.params["lr"] == 0.005
    assert first.params["epochs"] == 30
    assert first.params["amp"] is True
    assert (first.params["opt"], first.params["code"]) == ("adam", "007")
    assert first.params["text"] == "x" * 6000
    assert first.tags["team"] == "risk"
    assert first.tags["mlflow.run_id"] == made.runs["first"]
    assert (first.tags["mlflow.version"], first.tags["q"], first.tags["mlflow.model.owner"]) == (
        "1",
        "1",
        "risk",
    )
    assert first.tags["mlflow.start_time"] == "2025-06-15T15:06:40.000Z"
    assert first.build is not None
    assert client.get_build(first.build).state == "SUCCEEDED"
    assert client.get_build(first.build).description == "The **first** try"
    assert client.model(fraud).description == "Finds **fraud**"
    for run, ref in (("first", first.reference), ("second", f"{fraud}:2")):
        for key, history in made.histories[run].items():
            found = [
                (each.step, round(each.time.timestamp() * 1000), each.value)
                for each in client.series(ref, key)
            ]
            assert found == history, (run, key)
            assert client.version(ref).metrics[key] == history[-1][2]
            filter = f'metrics["{key}"] == {history[-1][2]!r}'
            assert ref in {each.reference for each in client.search(filter, within="risk/")}
    few = {each.reference for each in client.search("params.lr < 0.01", within="risk/")}
    assert few == {f"{fraud}:1", f"{fraud}:3"}
    assert any("'bad': 2 points are NaN or infinite" in notice for notice in report.notices)
    assert client.version(f"{fraud}@champion").number == 2
    second = client.get_build(client.version(f"{fraud}:2").build or "")
    assert second.state == "FAILED"
    assert client.version(f"{fraud}:3").build == first.build, "both were made by one run"


def test_files_are_those_of_mlflow(made: MadeStore, client: Client, tmp_path: Path) -> None:
    report = import_mlflow(client, made.uri)
    for name, files in made.artifacts.items():
        model, _, number = name.rpartition(":")
        folder = tmp_path / hashlib.sha256(name.encode()).hexdigest()
        client.pull(f"{report.models[model]}:{number}", folder)
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and not path.relative_to(folder).parts[0].startswith(".regsvc")
        }
        assert found == files


def test_the_record_tells_how_it_was_made(made: MadeStore, client: Client) -> None:
    report = import_mlflow(client, made.uri)
    new = client.record("new:1").record
    assert (new.framework, new.environment.packages["some-package"]) == ("python_function", "1.2")
    assert new.environment.python.startswith("3.")
    assert [(spec.name, spec.dtype) for spec in new.signature.inputs] == [("a", "double")]
    assert b"Some_Package==1.2" in client.attachment("new:1", "requirements.txt")
    assert "MLmodel" in {file.path for file in client.files("new:1")}

    fraud = report.models["Fraud Detector"]
    first = client.record(f"{fraud}:1")
    assert first.record.code.commit == COMMIT
    assert first.record.code.remote == "https://git.example.com/fraud.git"
    assert client.attachment(f"{fraud}:1", "notes_read_me.txt") == b"hello"
    assert {each.name for each in first.attachments} == {"notes_read_me.txt"}, "files of versions are none"
    dataset = client.dataset("transactions")
    assert (dataset.rows, dataset.columns) == (2, 2)
    assert [use.split for use in first.record.datasets] == ["train"]
    assert "secret" not in first.sealed_text.decode()
    assert "pw@" not in dataset.uri


def test_runs_without_a_version_are_builds_of_their_experiment(made: MadeStore, client: Client) -> None:
    report = import_mlflow(client, made.uri)
    (killed,) = client.builds("card-fraud-2026")
    assert (killed.state, killed.tags["mlflow.run_id"]) == ("CANCELLED", made.runs["killed"])
    assert killed.metrics == {"loss": 2.0}
    (stray,) = client.builds("default")
    assert stray.params == {"lr": 0.001}
    assert any(f"run {made.runs['still']}" in notice and "RUNNING" in notice for notice in report.notices)


def test_two_names_with_one_id_stay_apart(made: MadeStore, client: Client) -> None:
    report = import_mlflow(client, made.uri)
    assert report.models["Fraud Detector"] == "default/fraud-detector"
    other = report.models["fraud-detector"]
    assert other.startswith("default/fraud-detector-")
    assert client.model(other).versions == 1


def test_a_second_import_adds_nothing_and_later_what_is_new(
    tmp_path: Path, client: Client, made: MadeStore
) -> None:
    kind = "file" if "sqlite" not in made.uri else "sqlite"
    store = mlflow_stores.make(tmp_path / "store", kind, points=3)
    import_mlflow(client, store.uri)
    before = _content(client)
    again = import_mlflow(client, store.uri)
    assert (again.versions, again.builds, again.aliases, again.points) == ([], [], [], 0)
    assert _content(client) == before

    with mlflow_stores.used(store.uri):
        experiment = store.client.get_experiment_by_name("Card Fraud/2026")
        mlflow_stores.add_run(store, experiment.experiment_id, "late", metrics={"loss": [0.25]})
        mlflow_stores.add_version(store, "new", "late", {"late": b"late"})
        mlflow_stores.add_version(store, "new", "first", {"later": b"later"})
        store.client.set_terminated(store.runs["still"], "FINISHED")
        store.client.set_registered_model_alias("Fraud Detector", "Champion", "3")
    third = import_mlflow(client, store.uri)
    assert third.versions == ["default/new:2", "default/new:3"]
    assert len(third.builds) == 3
    assert client.version("fraud-detector@champion").number == 3
    with mlflow_stores.used(store.uri):
        mlflow_stores.add_version(store, "new", "first", {"last": b"last"})
    fourth = import_mlflow(client, store.uri)
    assert (fourth.versions, fourth.builds) == (["default/new:4"], [])
    last = client.version("new:4")
    assert (last.build, last.tags["mlflow.build"]) == (None, client.version("new:3").build)
    assert (last.params["lr"], last.metrics["eval/f1 score"]) == (0.005, 0.75)


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_import_goes_on(
    after: int, tmp_path: Path, client: Client, server: Server, made: MadeStore
) -> None:
    """SIGKILL within the points of a run, or later; run again it ends like one that was not disturbed."""
    import_mlflow(client, made.uri, namespace="whole")
    killed = _kill_when(server, made, client, after)
    assert killed != 0
    report = import_mlflow(client, made.uri, namespace="cut")
    assert report.failures == []
    assert _content(client, "cut") == _content(client, "whole")


def test_points_that_a_killed_import_left_are_not_doubled(client: Client, made: MadeStore) -> None:
    """A build that holds some batches is taken up, whatever request ids the server remembers."""
    from regsvc.client.importing import mlflow_builds as written
    from regsvc.client.importing.mlflow_open import opened
    from regsvc.refs import ModelName

    connection = client._connection(None)
    with opened(made.uri) as store:
        run = store.run(made.runs["first"], store.experiments())
        assert run is not None
        text = written.text_of(run)
        points = written.points_of(store, run, text, [])
        name = ModelName("default", "fraud-detector")
        build = written.begin(connection, name, text, run.id, 7)
        assert written.send_points(connection, build, points[:123]) == 123
    import_mlflow(client, made.uri)
    assert len(list(client.builds("fraud-detector"))) == 2
    found = client.series("fraud-detector:1", "loss")
    assert [each.value for each in found] == [value for _, _, value in made.histories["first"]["loss"]]


def test_missing_files_are_told_and_the_rest_comes(tmp_path: Path, server: Server, client: Client) -> None:
    store = mlflow_stores.make(tmp_path / "store", "file", points=3)
    (place,) = (store.folder / "mlruns").glob("*/*/artifacts/model-1")
    place.rename(tmp_path / "away")
    done = server.cli("import", "mlflow", store.uri, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "MLflow version 2: its artifacts are not where MLflow says" in done.stdout
    assert client.model("fraud-detector").versions == 2
    assert client.version("fraud-detector:2").tags["mlflow.version"] == "3"
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "away").rename(place)
    assert import_mlflow(client, store.uri).versions == ["default/fraud-detector:3"]


def test_a_store_that_was_moved_gives_no_doubles(tmp_path: Path, client: Client) -> None:
    store = mlflow_stores.make(tmp_path / "store", "file", points=3)
    store.folder.rename(tmp_path / "moved")
    first = import_mlflow(client, f"file://{tmp_path}/moved/mlruns")
    assert (first.failures, len(first.versions)) == ([], 5)
    (tmp_path / "moved").rename(tmp_path / "again")
    assert import_mlflow(client, str(tmp_path / "again" / "mlruns")).versions == []


def test_choices(made: MadeStore, client: Client) -> None:
    dry = import_mlflow(client, made.uri, dry_run=True)
    assert (len(dry.versions), len(dry.builds)) == (5, 6)
    assert list(client.models()) == []
    alone = import_mlflow(client, made.uri, namespace="one", models=["new"])
    assert (alone.versions, len(alone.builds)) == (["one/new:1"], 1)
    none = import_mlflow(client, made.uri, namespace="none", runs="none")
    assert (len(none.versions), none.builds) == (5, [])
    assert client.version("none/fraud-detector:1").metrics["eval/f1 score"] == 0.75
    with pytest.raises(errors.NotFound, match="no registered model 'nothing'"):
        import_mlflow(client, made.uri, models=["nothing"])
    with pytest.raises(errors.InvalidArgument, match="no choice of runs"):
        import_mlflow(client, made.uri, runs="some")
    with pytest.raises(errors.NameInvalid):
        import_mlflow(client, made.uri, namespace="No/Space")


def test_an_old_database_is_upgraded_as_a_copy(tmp_path: Path, client: Client) -> None:
    import sqlalchemy
    from mlflow.store.db.utils import InitialBase

    first, path = tmp_path / "first.db", tmp_path / "old 100%20.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{first}")
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    first.rename(path)
    before = _fingerprints(tmp_path)
    report = import_mlflow(client, f"sqlite:///{path}")
    assert report.failures == []
    assert _fingerprints(tmp_path) == before


def test_a_database_in_use_is_read_with_its_log(tmp_path: Path, client: Client) -> None:
    """In WAL mode, with what is only in the log; and in WAL mode at rest, where a reader would make files."""
    import sqlite3

    store = mlflow_stores.make(tmp_path / "store", "sqlite", points=3)
    path = store.folder / "mlflow.db"
    writer = sqlite3.connect(path)
    assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    writer.execute("UPDATE registered_models SET description = 'from the log' WHERE name = 'new'")
    writer.commit()
    import_mlflow(client, store.uri, models=["new"])
    assert client.model("new").description == "from the log"
    writer.close()
    before = _fingerprints(store.folder)
    import_mlflow(client, store.uri, namespace="rest")
    assert _fingerprints(store.folder) == before


def test_an_alias_that_was_moved_here_stays(tmp_path: Path, client: Client) -> None:
    store = mlflow_stores.make(tmp_path / "store", "file", points=3)
    import_mlflow(client, store.uri)
    (tmp_path / "own").write_text("own")
    own = client.push(tmp_path / "own", "fraud-detector", aliases=["champion"])
    report = import_mlflow(client, store.uri)
    assert client.version("fraud-detector@champion").reference == own.reference
    assert any("not of MLflow: not moved" in notice for notice in report.notices)


def test_an_import_after_the_lease_begins_the_run_anew(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    store = mlflow_stores.make(tmp_path / "store", "file", points=3)
    with Client(start_server("--build-lease", "1").endpoint) as client:
        tags = {"mlflow.run_id": store.runs["killed"]}
        session = client.build("card-fraud-2026", tags=tags)
        session.close()
        wait_until(lambda: client.get_build(session.name).state == "LOST", what="the end of the lease")
        report = import_mlflow(client, store.uri)
        assert report.failures == []
        new, lost = client.builds("card-fraud-2026")
        assert (lost.state, new.state, new.metrics) == ("LOST", "CANCELLED", {"loss": 2.0})


def test_what_is_no_store_is_refused_and_nothing_is_made(tmp_path: Path, client: Client) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.db").write_text("no database")
    (tmp_path / "zero.db").touch()
    before = _fingerprints(tmp_path)
    for uri, kind, says in (
        (f"{tmp_path}/missing", errors.NotFound, "no folder"),
        (f"sqlite:///{tmp_path}/missing.db", errors.NotFound, "no database"),
        (f"{tmp_path}/empty", errors.FailedPrecondition, "no MLflow file store"),
        (f"sqlite:///{tmp_path}/text.db", errors.FailedPrecondition, "no SQLite database"),
        (f"sqlite:///{tmp_path}/zero.db", errors.FailedPrecondition, "no SQLite database"),
        ("postgresql://me:secret@db/mlflow", errors.InvalidArgument, "stores of kind 'postgresql'"),
        ("https://me:secret@host", errors.InvalidArgument, "stores of kind 'https'"),
    ):
        with pytest.raises(kind, match=says) as caught:
            import_mlflow(client, uri)
        assert "secret" not in str(caught.value)
    assert _fingerprints(tmp_path) == before


def test_params_are_typed_by_what_they_spell() -> None:
    known: dict[str, Any] = {
        "1": 1,
        "-3": -3,
        "0.5": 0.5,
        "1e-05": 1e-05,
        ".5": 0.5,
        "False": False,
        "true": True,
    }
    assert {text: typed(text) for text in known} == known
    assert [type(typed(text)) for text in known] == [type(value) for value in known.values()]
    for text in ("007", "+1", "nan", "inf", "1e999", "1_000", " 1", "", "-", ".", "[1, 2]", "1" * 19 + "x"):
        assert typed(text) == text


def test_names_become_ids() -> None:
    ids = model_ids(["Fraud Model", "fraud model", "ß", "x" * 200, "ok.name_1"])
    assert ids["Fraud Model"] == "fraud-model"
    assert ids["fraud model"].startswith("fraud-model-")
    assert ids["ok.name_1"] == "ok.name_1"
    assert len(set(ids.values())) == 5
    assert all(1 <= len(each) <= 63 for each in ids.values())
    assert [alias_id(each) for each in ("Champion", "1st", "latest")] == ["champion", "a1st", "latest-alias"]


def test_what_is_too_long_is_kept_beside() -> None:
    found = fitted({"é" * 250: "v", "long": "ü" * 9000, "ok": "1"}, {}, 0)
    assert found.params["ok"] == 1
    assert all(len(key.encode()) <= 250 for key in found.params)
    assert len(str(found.params["long"]).encode()) <= 16 << 10
    assert found.over["params"] == {"é" * 250: "v", "long": "ü" * 9000}
    many = fitted({f"p{place}": "v" for place in range(2100)}, {}, 0)
    assert (len(many.params), len(many.over["params"])) == (2000, 100)


def _content(client: Client, namespace: str = "default") -> dict[str, Any]:
    """All that an import made, without what depends on the time and the namespace."""
    content: dict[str, Any] = {}
    for model in client.models(namespace):
        name = model.name.partition("/")[2]
        for version in client.versions(model.name):
            record = client.record(version.reference)
            content[f"{name}:{version.number}"] = (
                version.digest,
                version.params,
                version.metrics,
                version.tags,
                version.aliases,
                (version.build or "").partition("/")[2],
                [(each.name, each.digest) for each in record.attachments],
            )
        for build in client.builds(model.name):
            curves = {
                each.key: [(p.step, p.time, p.value) for p in client.series(build.name, each.key)]
                for each in client.metrics(build.name)
            }
            content[f"{name}/builds/{build.number}"] = (build.state, build.params, build.tags, curves)
    return content


def _kill_when(server: Server, made: MadeStore, client: Client, events: int) -> int:
    """Kill a `regsvc import` with SIGKILL when it has made so many changes."""

    def changes() -> int:
        count = 0
        for model in client.models("cut"):
            for build in client.builds(model.name):
                count += 1 + len(build.versions) + len(build.metrics)
        return count

    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc", "import", "mlflow", made.uri, "--namespace", "cut"],
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: changes() >= events or process.poll() is not None, what="the import's beginning")
    finally:
        process.kill()
    return process.wait()


def _fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "-"
        for path in sorted(folder.rglob("*"))
    }
