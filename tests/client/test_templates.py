"""Templates by the SDK: files and mappings, folders as sources, runs and reruns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import Server

import regsvc
from regsvc.client import template_files
from regsvc.content.template import Missed, Overlap, Source, Step, Template
from regsvc.errors import EtagMismatch, InvalidArgument, NotFound, NotRun, RegsvcError

STEPS = [{"name": "train", "command": ["python", "train.py"]}]


@pytest.fixture
def client(shared_server: Server) -> regsvc.Client:  # type: ignore[misc]
    with regsvc.connect(shared_server.endpoint) as made:
        yield made


def test_a_mapping_and_a_template_are_the_same(client: regsvc.Client) -> None:
    made = client.set_template("sdk/same/t", {"steps": STEPS}, author="ann")
    assert made.template == Template(steps=(Step("train", ("python", "train.py")),))
    assert (made.name, made.revision, made.author, made.next_run) == ("sdk/same/t", 1, "ann", None)
    assert client.set_template("sdk/same/t", made.template) == made
    assert client.get_template("sdk/same/t") == made
    assert [each.name for each in client.templates("sdk/same")] == ["sdk/same/t"]
    assert "sdk/same/t" in [each.name for each in client.templates()]
    with pytest.raises(EtagMismatch):
        client.set_template("sdk/same/t", {"steps": STEPS, "description": "x"}, expect_revision=0)


def test_a_folder_becomes_a_version_once(client: regsvc.Client, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    first = client.set_template("sdk/folder/t", {"steps": STEPS}, folder=tmp_path)
    assert first.template.source == Source("namespaces/sdk/models/folder.source/versions/1")
    assert client.set_template("sdk/folder/t", {"steps": STEPS}, folder=tmp_path) == first
    (tmp_path / "train.py").write_text("print('other')\n")
    second = client.set_template("sdk/folder/t", {"steps": STEPS}, folder=tmp_path)
    assert second.template.source == Source("namespaces/sdk/models/folder.source/versions/2")
    build = client.run_template("sdk/folder/t")
    assert build.run is not None
    assert build.run.source == "sdk/folder.source:2"
    client.pull("sdk/folder.source:2", tmp_path / "out")
    assert (tmp_path / "out/train.py").read_text() == "print('other')\n"


@pytest.mark.parametrize(
    "given",
    [{"folder": "x", "git": "u", "commit": "c"}, {"git": "u"}, {"commit": "c"}, {"folder": "/nowhere"}],
)
def test_sources_that_contradict_each_other_are_refused(client: regsvc.Client, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        client.set_template("sdk/bad/t", {"steps": STEPS}, **given)
    with pytest.raises(NotFound):
        client.get_template("sdk/bad/t")


def test_runs_reruns_and_cancels(client: regsvc.Client) -> None:
    client.set_template("sdk/run/t", {"steps": STEPS, "params": {"rate": 0.5, "n": 3}, "labels": ["gpu"]})
    build = client.run_template("sdk/run/t", params={"rate": 1}, author="bob")
    assert (build.state, dict(build.params)) == ("QUEUED", {"n": 3, "rate": 1})
    assert build.run is not None
    assert (build.run.template, build.run.author, build.run.labels) == ("sdk/run/t", "bob", ("gpu",))
    assert client.cancel_build(build.name).state == "CANCELLED"
    again = client.rerun(build.name, params={"n": 4})
    assert dict(again.params) == {"n": 4, "rate": 1}
    assert again.run is not None
    assert again.run.rerun_of == build.name
    followed = client.get_build(build.name).run
    assert followed is not None
    assert followed.followed_by == (again.name,)
    with client.build("sdk/run", capture=False) as own:
        pass
    with pytest.raises(NotRun):
        client.rerun(own.name)
    assert client.get_build(own.name).run is None


def test_pause_resume_and_delete(client: regsvc.Client) -> None:
    client.set_template("sdk/pause/t", {"steps": STEPS, "schedule": {"cron": "0 3 * * *"}})
    paused = client.pause_template("sdk/pause/t")
    assert (paused.template.paused, paused.next_run) == (True, None)
    assert client.pause_template("sdk/pause/t", paused=False).next_run is not None
    for _ in range(2):
        client.delete_template("sdk/pause/t")
    with pytest.raises(NotFound):
        client.pause_template("sdk/pause/t")


def test_a_server_in_the_name_is_the_one_that_is_asked(shared_server: Server) -> None:
    with regsvc.connect("127.0.0.1:1") as client:
        name = f"regsvc://{shared_server.endpoint}/sdk/there/t"
        assert client.set_template(name, {"steps": STEPS}).name == "sdk/there/t"
        assert client.run_template(name).state == "QUEUED"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"stepps": STEPS}, "no member 'stepps'"),
    ({"steps": [{**STEPS[0], "shell": True}]}, "steps 1 has no member 'shell'"),
    ({"steps": [{"name": "x", "command": "python train.py"}]}, "command of steps 1 must be a list"),
    ({"steps": [{"command": ["x"]}]}, "steps 1 has no name"),
    ({"steps": STEPS, "timeout_seconds": True}, "timeout_seconds of the template must be a whole number"),
    ({"steps": STEPS, "timeout_seconds": -1}, "timeout_seconds of the template is not"),
    ({"steps": STEPS, "params": {"x": [1]}}, "param 'x'"),
    ({"steps": STEPS, "params": {"x": 1 << 70}}, "64 bits"),
    ({"steps": STEPS, "environment": {"X": 1}}, "variable 'X' is no text"),
    ({"steps": STEPS, "source": {"git": "u"}}, "a source is git and commit, or a version"),
    ({"steps": STEPS, "inputs": [{"version": "a/b/c/d", "folder": "x"}]}, "reference"),
    ({"steps": STEPS, "inputs": [{"version": "regsvc://h:1/a/b", "folder": "x"}]}, "its own registry"),
    ({"steps": STEPS, "schedule": {"cron": "0 3 * * *", "missed": "later"}}, "cannot be 'later'"),
    ({"steps": STEPS, "triggers": [{"filter": ""}]}, "triggers 1 has no filter"),
    ({"steps": STEPS, "labels": ["\udcff"]}, "not UTF-8"),
    ({}, "1 to 100 steps"),
]


@pytest.mark.parametrize(("document", "said"), BAD)
def test_a_document_that_cannot_be_names_what_is_wrong(
    client: regsvc.Client, document: dict[str, Any], said: str
) -> None:
    with pytest.raises(RegsvcError, match=said):
        client.set_template("sdk/docs/t", document)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = ", b"x = [" * 10_000, b"#" * (1 << 20) + b"#"])
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.toml").write_bytes(data)
    with pytest.raises(InvalidArgument):
        template_files.read(tmp_path / "t.toml")


def test_every_member_is_read_and_written() -> None:
    document = {
        "description": "d",
        "steps": STEPS,
        "source": {"version": "a/b:3"},
        "params": {"s": "x", "i": 1, "f": 1.0, "b": True},
        "environment": {"A": "1"},
        "inputs": [{"version": "a/data@latest", "folder": "in"}],
        "outputs": [{"path": "out", "promote": "prod"}],
        "timeout_seconds": 5,
        "retries": {"lost": 1, "failed": 2, "backoff_seconds": 3},
        "labels": ["gpu"],
        "schedule": {
            "cron": "0 3 * * *",
            "time_zone": "Asia/Tokyo",
            "missed": "run_once",
            "overlap": "queue",
        },
        "triggers": [{"filter": 'kind == "x"'}],
        "paused": True,
    }
    made = template_files.from_document(document)
    assert made.schedule is not None
    assert (made.schedule.missed, made.schedule.overlap) == (Missed.RUN_ONCE, Overlap.QUEUE)
    written = template_files.to_document(made)
    written["inputs"][0]["version"] += "@latest"  # the same
    assert written == document
    assert type(written["params"]["f"]) is float
