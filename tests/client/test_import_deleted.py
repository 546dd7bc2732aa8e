"""Importing again what was imported and deleted since."""

from __future__ import annotations

from pathlib import Path

import hf_folders as hf
import mlflow_stores
import pytest
from support import Server

from regsvc.client.client import Client
from regsvc.client.importing.hf import import_hf
from regsvc.client.importing.mlflow_import import import_mlflow


def live(client: Client, model: str) -> list[int]:
    return sorted(each.number for each in client.versions(model))


@pytest.mark.parametrize("twice", [1, 2])
def test_a_folder_that_was_deleted_comes_again(server: Server, tmp_path: Path, twice: int) -> None:
    folder = hf.plain(tmp_path / "m", {"config.json": b"{}", "model.safetensors": b"x" * 5000})
    with Client(server.endpoint) as client:
        import_hf(client, folder, model="team/m")
        for number in range(1, twice + 1):
            client.delete(f"team/m:{number}")
            report = import_hf(client, folder, model="team/m")
            assert [each.outcome for each in report.snapshots] == ["imported"], report
            assert live(client, "team/m") == [number + 1]


def test_a_version_of_mlflow_that_was_deleted_comes_again(server: Server, tmp_path: Path) -> None:
    made = mlflow_stores.make(tmp_path / "mlflow", "sqlite")
    with Client(server.endpoint) as client:
        model = import_mlflow(client, made.uri, namespace="risk").models["Fraud Detector"]
        before = live(client, model)
        client.delete(f"{model}:{before[0]}", force=True)
        report = import_mlflow(client, made.uri, namespace="risk")
        assert report.failures == []
        assert len(live(client, model)) == len(before)
