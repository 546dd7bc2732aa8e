"""A registry is copied to another server: what comes there is what was here, and comes once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from registries import difference, everything, fill
from support import Server

import regsvc


def test_a_copy_is_equal_and_a_second_one_adds_nothing(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path)
    with regsvc.connect(source.endpoint) as client:
        first = client.export_to(target.endpoint)
        assert first.failed == []
        assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
        again = client.export_to(target.endpoint)
    assert (again.failed, again.created, again.bytes_sent) == ([], [], 0)
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_an_archive_is_equal_and_importing_it_twice_adds_nothing(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path)
    archive = tmp_path / "all.regsvc"
    source.cli("export", "--all", str(archive))
    told = target.cli("import", "archive", str(archive)).stdout
    assert "did not come in" not in told
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
    again = json.loads(target.cli("import", "archive", str(archive), "--json").stdout)
    assert (again["created"], again["failed"], again["bytes_sent"]) == ([], [], 0)
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_an_archive_goes_through_pipes(start_server: Callable[..., Server], tmp_path: Path) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path)
    regsvc_ = f"{sys.executable} -m regsvc"
    line = (
        f"{regsvc_} --server {source.endpoint} export --all - | cat |"
        f" {regsvc_} --server {target.endpoint} import archive -"
    )
    subprocess.run(["/bin/sh", "-c", line], check=True, timeout=120)
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_a_mirror_on_a_second_server_ends_equal(start_server: Callable[..., Server], tmp_path: Path) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path / "one")
    target.cli("mirror", "--from", source.endpoint, "--once")
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
    fill(source.endpoint, tmp_path / "two", "other/model")
    target.cli("mirror", "--from", source.endpoint, "--once")
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
