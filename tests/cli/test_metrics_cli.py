"""`metrics`, `evaluate` and `plot` on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Server

import regsvc


@pytest.fixture(scope="module")
def trained(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Two builds of a model with a loss each, and a version with a sealed metric only."""
    weights = tmp_path_factory.mktemp("weights") / "w"
    weights.write_bytes(b"w")
    with regsvc.connect(shared_server.endpoint) as client:
        for rate in (0.5, 0.25):
            with client.build("curve/m") as build:
                for step in range(1, 101):
                    build.log_metric("loss", 1 / (1 + rate * step), step=step)
                build.publish(weights)
        client.push(weights, "curve/m", metrics={"loss": 0.4})
    return shared_server


def test_series_are_listed_and_printed(trained: Server) -> None:
    text = trained.cli("metrics", "curve/m:1").stdout.splitlines()
    assert text[1].split()[:4] == ["loss", "-", "100", "0.0196078"]
    found = json.loads(trained.cli("metrics", "curve/m/builds/2", "loss", "--json").stdout)
    assert [point["step"] for point in found] == list(range(1, 101))
    few = json.loads(trained.cli("metrics", "curve/m:1", "loss", "--max-points", "10", "--json").stdout)
    assert len(few) == 10


def test_an_evaluation_is_added_under_its_source(trained: Server) -> None:
    trained.cli(
        "evaluate", "curve/m:2", "nightly", "--metric", "f1=0.81", "--metric", "loss=0.3", "--step", "5"
    )
    found = json.loads(trained.cli("metrics", "curve/m:2", "--json").stdout)
    assert [(each["source"], each["key"], each["last"]) for each in found] == [
        ("", "loss", pytest.approx(1 / 26)),
        ("nightly", "f1", 0.81),
        ("nightly", "loss", 0.3),
    ]
    assert trained.cli("evaluate", "curve/m:2", "nightly", check=False).returncode == 2


@pytest.mark.parametrize(("name", "magic"), [("p.png", b"\x89PNG"), ("p.svg", b"<?xml"), ("p.pdf", b"%PDF")])
def test_plots_are_pictures(trained: Server, tmp_path: Path, name: str, magic: bytes) -> None:
    out = tmp_path / name
    trained.cli("plot", "curve/m:1", "curve/m/builds/2", "curve/m:3", "loss", "-o", str(out))
    data = out.read_bytes()
    assert data.startswith(magic)
    if name.endswith("svg"):
        assert data.count(b'<g id="line2d_') > 3
        assert b'id="legend_1"' in data


def test_versions_of_one_value_each_are_bars_beside_each_other(trained: Server, tmp_path: Path) -> None:
    out = tmp_path / "bars.svg"
    trained.cli("evaluate", "curve/m:1", "bars", "--metric", "auc=0.5")
    trained.cli("evaluate", "curve/m:3", "bars", "--metric", "auc=0.75")
    trained.cli("plot", "curve/m:1", "curve/m:3", "auc", "--source", "bars", "-o", str(out))
    data = out.read_text()
    assert 'id="legend_1"' not in data
    assert "<!-- curve/m:1 -->" in data
    assert "<!-- curve/m:3 -->" in data


def test_plots_that_cannot_be_drawn_are_refused_in_one_line(trained: Server, tmp_path: Path) -> None:
    missing = trained.cli("plot", "curve/m:1", "nothing", "-o", str(tmp_path / "p.png"), check=False)
    assert missing.returncode == 1
    assert len(missing.stderr.strip().splitlines()) == 1
    assert (
        trained.cli("plot", "curve/m:1", "loss", "-o", str(tmp_path / "p.txt"), check=False).returncode == 2
    )
    assert trained.cli("plot", "loss", check=False).returncode == 2
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named(trained: Server, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from regsvc.client.client import connect\n"
        "from regsvc.client.plotting import plot_metric\n"
        f"plot_metric(connect({trained.endpoint!r}), ['curve/m:1'], 'loss', {str(tmp_path / 'p.png')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'regsvc[plot]'" in done.stderr
