"""`regsvc import mlflow` as people run it."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow_stores
from support import Server


def test_import_by_command(tmp_path: Path, server: Server) -> None:
    made = mlflow_stores.make(tmp_path / "store", "file", points=3)
    dry = json.loads(server.cli("import", "mlflow", made.uri, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert (len(dry["versions"]), dry["dry_run"]) == (5, True)
    done = server.cli("import", "mlflow", made.uri, "--namespace", "team", cwd=tmp_path)
    assert "5 versions and 6 builds added" in done.stdout
    assert "version 2 of Fraud Detector" in done.stderr
    assert "secret" not in done.stdout + done.stderr
    again = json.loads(
        server.cli("import", "mlflow", "store/mlruns", "--namespace", "team", "--json", cwd=tmp_path).stdout
    )
    assert (again["versions"], again["versions_present"], again["builds"]) == ([], 5, [])
    shown = server.cli("search", "params.lr < 0.01", "--in", "team/", "--json", cwd=tmp_path).stdout
    assert "team/fraud-detector:1" in shown
    assert list(tmp_path.glob("mlflow.db*")) == [], "MLflow made a database of its own"


def test_mlflow_is_an_extra(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mlflow.py").write_text("raise ImportError('not here')")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "meta.yaml").touch()
    done = server.cli("import", "mlflow", str(tmp_path), check=False, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.strip() == "regsvc: importing from MLflow needs mlflow: pip install 'regsvc[mlflow]'"


def test_a_password_is_never_shown(server: Server) -> None:
    done = server.cli("import", "mlflow", "mysql://me:hidden@db/mlflow", check=False)
    assert done.returncode == 1
    assert "stores of kind 'mysql' cannot be imported" in done.stderr
    assert "hidden" not in done.stderr
