"""`regsvc tensors`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import Server

import regsvc


@pytest.fixture(scope="module")
def registry(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with team/net, of two files, and team/odd, whose names are no text for a terminal."""
    root: Path = tmp_path_factory.mktemp("net")
    (root / "net").mkdir()
    save_file(
        {"layers.0.w": np.zeros((256, 1024), np.float32), "layers.0.b": np.zeros(256, np.float16)},
        root / "net" / "model-00001-of-00002.safetensors",
    )
    save_file(
        {"layers.1.w": np.zeros((2, 3), np.int8), "step": np.zeros((), np.int64)},
        root / "net" / "model-00002-of-00002.safetensors",
    )
    (root / "net" / "config.json").write_text("{}")
    (root / "odd").mkdir()
    save_file(
        {"\x1b[31mred": np.zeros(1, np.int8), "[bold]": np.zeros(1, np.int8)}, root / "odd" / "o.safetensors"
    )
    (root / "odd" / "other.bin").write_bytes((root / "odd" / "o.safetensors").read_bytes())
    with regsvc.connect(shared_server.endpoint) as client:
        client.push(root / "net", "team/net", aliases=["prod"])
        client.push(root / "odd", "team/odd")
    return shared_server


def test_tensors_lists_what_the_files_hold(registry: Server) -> None:
    lines = registry.cli("tensors", "team/net@prod").stdout.splitlines()
    rows = [line.split() for line in lines]
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    assert rows[0] == ["NAME", "TYPE", "SHAPE", "SIZE", "FILE"]
    assert sorted(rows[1:3]) == [
        ["layers.0.b", "F16", "256", "512", "B", first],
        ["layers.0.w", "F32", "256x1024", "1.0", "MiB", first],
    ]
    assert sorted(rows[3:5]) == [
        ["layers.1.w", "I8", "2x3", "6", "B", second],
        ["step", "I64", "scalar", "8", "B", second],
    ]
    assert lines[5:] == ["4 tensors, 262,407 parameters, 1.0 MiB"]


def test_json_is_one_document(registry: Server) -> None:
    document = json.loads(registry.cli("tensors", "team/net", "--json").stdout)
    assert (document["reference"], document["parameters"]) == ("team/net:1", 262_407)
    assert document["bytes"] == sum(each["bytes"] for each in document["tensors"]) == 1_049_102
    assert {
        "name": "layers.1.w",
        "dtype": "I8",
        "shape": [2, 3],
        "bytes": 6,
        "file": "model-00002-of-00002.safetensors",
    } in document["tensors"]


def names(registry: Server, *arguments: str) -> list[str]:
    document = json.loads(registry.cli("tensors", *arguments, "--json").stdout)
    return sorted(each["name"] for each in document["tensors"])


def test_names_patterns_and_files_choose(registry: Server) -> None:
    assert names(registry, "team/net", "step") == ["step"]
    assert names(registry, "team/net", "layers.0.*", "step") == ["layers.0.b", "layers.0.w", "step"]
    file = ["--file", "model-00002-of-00002.safetensors"]
    assert names(registry, "team/net", *file) == ["layers.1.w", "step"]
    assert names(registry, "team/net", "*.w", *file) == ["layers.1.w"]
    assert names(registry, "team/net", "model-00002-of-00002.safetensors:step") == ["step"]
    assert names(registry, "team/odd", "--file", "other.bin") == ["\x1b[31mred", "[bold]"]
    assert names(registry, "team/odd", "[bold]") == ["[bold]"]


def test_names_are_text_to_the_terminal(registry: Server) -> None:
    text = registry.cli("tensors", "team/odd").stdout
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text
    assert "[bold]" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["team/nope"], "team/nope"),
        (["team/net", "nope"], "nope"),
        (["team/net", "step", "layers.9.*"], "layers.9.*"),
        (["team/net", "--file", "nope"], "nope"),
        (["team/net", "--file", "config.json"], "config.json"),
    ],
)
def test_what_does_not_exist_is_named(registry: Server, arguments: list[str], named: str) -> None:
    done = registry.cli("tensors", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("regsvc: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
