"""Every language's client pulls what every other one pushed: the same bytes under the same digest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clients.test_typescript import (  # noqa: F401 - node_client is a fixture
    NodeClient,
    assert_same_tree,
    make_model,
    node_client,
    version_digest,
)
from support import Server

LANGUAGES = ("python", "go", "node")

Command = Callable[..., Any]
"""Runs one command of a client and returns the JSON document that it prints."""


@pytest.fixture(scope="module")
def commands(shared_server: Server, node_client: NodeClient, go_client: Path) -> dict[str, Command]:  # noqa: F811
    endpoint = shared_server.endpoint

    def python(*args: str) -> Any:
        return json.loads(shared_server.cli(*args, "--json").stdout)

    def go(*args: str) -> Any:
        env = {**os.environ, "REGSVC_ENDPOINT": endpoint}
        command = [str(go_client), *args]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def node(*args: str) -> Any:
        return node_client.json(*args, endpoint=endpoint)

    return {"python": python, "go": go, "node": node}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("crossing") / "model")


@pytest.fixture(scope="module")
def pushed(commands: dict[str, Command], source: Path) -> dict[str, Any]:
    """What each language said when it pushed the same folder, each into a model of its own."""
    return {name: command("push", str(source), f"team/from-{name}") for name, command in commands.items()}


def test_every_language_computes_the_same_version_digest(pushed: dict[str, Any], source: Path) -> None:
    assert {name: said["digest"] for name, said in pushed.items()} == dict.fromkeys(
        LANGUAGES, version_digest(source)
    )


@pytest.mark.parametrize("puller", LANGUAGES)
@pytest.mark.parametrize("pusher", LANGUAGES)
def test_pushed_by_one_pulled_by_another(
    commands: dict[str, Command],
    pushed: dict[str, Any],
    source: Path,
    tmp_path: Path,
    pusher: str,
    puller: str,
) -> None:
    pulled = commands[puller]("pull", pushed[pusher]["reference"], str(tmp_path / "out"))
    assert pulled["digest"] == pushed[pusher]["digest"]
    assert pulled["reference"] == pushed[pusher]["reference"] == f"team/from-{pusher}:1"
    # What a client keeps to know its own pulls by is no part of the version.
    assert_same_tree(source, tmp_path / "out")
