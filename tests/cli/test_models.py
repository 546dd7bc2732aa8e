"""`regsvc ls`, `show`, `files` and `alias`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from support import Server

import regsvc


@pytest.fixture(scope="module")
def registry(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with two versions of team/fraud and one of default/spam."""
    root: Path = tmp_path_factory.mktemp("models")
    with regsvc.connect(shared_server.endpoint) as client:
        for number in (1, 2):
            (root / "a.txt").write_text(f"version {number}")
            client.push(
                root,
                "team/fraud",
                params={"lr": 0.1, "epochs": 3, "fast": True, "kind": "[bold]x"},
                metrics={"f1": 0.5 + number / 10},
                tags={"stage": "dev"},
                description="a [red]model[/red]",
            )
        client.push(root, "spam")
        client.set_alias("team/fraud:1", "prod")
    return shared_server


def test_ls_lists_models(registry: Server) -> None:
    models = json.loads(registry.cli("ls", "--json").stdout)
    assert [model["model"] for model in models] == ["default/spam", "team/fraud"]
    assert (models[1]["versions"], models[1]["latest"]) == (2, 2)
    assert models[1]["aliases"] == {"prod": "team/fraud:1"}
    text = registry.cli("ls").stdout
    assert "team/fraud" in text
    assert "prod:1" in text


def test_ls_of_a_model_lists_versions_newest_first(registry: Server) -> None:
    versions = json.loads(registry.cli("ls", "team/fraud", "--json").stdout)
    assert [version["reference"] for version in versions] == ["team/fraud:2", "team/fraud:1"]
    assert versions[1]["aliases"] == ["prod"]
    assert "team/fraud:2" in registry.cli("ls", "team/fraud").stdout


def test_show_holds_what_was_recorded(registry: Server) -> None:
    shown = json.loads(registry.cli("show", "team/fraud@prod", "--json").stdout)
    assert shown["reference"] == "team/fraud:1"
    assert shown["params"] == {"epochs": 3, "fast": True, "kind": "[bold]x", "lr": 0.1}
    assert shown["metrics"] == {"f1": 0.6}
    assert shown["tags"] == {"stage": "dev"}
    assert shown["aliases"] == ["prod"]
    assert shown["build"] is None
    assert shown["created"].endswith("Z")
    digest = blake3(b"version 1").hexdigest()
    assert shown["files"] == [{"path": "a.txt", "size": 9, "digest": digest}]
    assert shown["digest"] == blake3(f"{digest}  a.txt\n".encode()).hexdigest()


def test_text_from_users_is_not_markup(registry: Server) -> None:
    text = registry.cli("show", "team/fraud").stdout
    assert "a [red]model[/red]" in text
    assert "[bold]x" in text


def test_files_names_them_as_b3sum_does(registry: Server) -> None:
    listed = json.loads(registry.cli("files", "team/fraud:2", "--json").stdout)
    assert listed == [{"path": "a.txt", "size": 9, "digest": blake3(b"version 2").hexdigest()}]
    assert listed[0]["digest"] in registry.cli("files", "team/fraud").stdout


def test_alias_ls_lists_what_they_name(registry: Server) -> None:
    registry.cli("alias", "set", "spam:1", "stable")
    [listed] = json.loads(registry.cli("alias", "ls", "spam", "--json").stdout)
    assert (listed["alias"], listed["reference"]) == ("stable", "default/spam:1")
    assert listed["updated"].endswith("Z")
    assert registry.cli("alias", "ls", "spam").stdout.splitlines()[1].split()[:2] == [
        "stable",
        "default/spam:1",
    ]
    assert registry.cli("alias", "ls", "nothing", check=False).returncode == 1


def test_versions_and_builds_are_shown_where_they_belong(registry: Server) -> None:
    for command, named, shown in (
        (["show"], "team/fraud/builds/1", "regsvc build show team/fraud/builds/1"),
        (["build", "show"], "team/fraud:1", "regsvc show team/fraud:1"),
        (["build", "show"], "team/fraud@prod", "regsvc show team/fraud@prod"),
        (["build", "show"], "team/fraud", "regsvc build ls team/fraud"),
    ):
        done = registry.cli(*command, named, check=False)
        assert (done.returncode, shown in done.stderr) == (2, True), done.stderr


def test_an_alias_moves_and_its_history_stays(registry: Server) -> None:
    moved = json.loads(registry.cli("alias", "set", "team/fraud:1", "canary", "--json").stdout)
    assert (moved["alias"], moved["reference"]) == ("canary", "team/fraud:1")
    assert "team/fraud:2" in registry.cli("alias", "set", "team/fraud", "canary").stdout
    registry.cli("alias", "set", "team/fraud:2", "canary")
    history = json.loads(registry.cli("alias", "history", "team/fraud@canary", "--json").stdout)
    assert [(each["reference"], each["previous"]) for each in history] == [
        ("team/fraud:2", "team/fraud:1"),
        ("team/fraud:1", None),
    ]
    assert "team/fraud:1" in registry.cli("alias", "history", "team/fraud@canary").stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["show", "team/nope"], "team/nope"),
        (["show", "team/fraud:99"], "99"),
        (["show", "team/fraud@nope"], "nope"),
        (["files", "team/fraud:99"], "99"),
        (["ls", "team/nope"], "team/nope"),
        (["alias", "set", "team/fraud:99", "prod"], "99"),
        (["alias", "set", "team/fraud", "9lives"], "9lives"),
        (["alias", "set", "team/fraud", "latest"], "latest"),
        (["alias", "history", "team/fraud@never"], "never"),
        (["alias", "history", "team/fraud"], "team/fraud"),
    ],
)
def test_what_does_not_exist_is_named(registry: Server, arguments: list[str], named: str) -> None:
    done = registry.cli(*arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("regsvc: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_hears_no_complaint(registry: Server) -> None:
    command = f"{sys.executable} -m regsvc --server {registry.endpoint} show team/fraud --json | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
