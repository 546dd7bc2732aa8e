"""`metrics`, `evaluate` and `plot` on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc.client.plotting import plot as draw


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
    title, row = trained.cli("metrics", "curve/m:1").stdout.splitlines()
    assert dict(zip(title.split()[:8], row.split(), strict=False)) == {
        "METRIC": "loss",
        "SOURCE": "-",
        "POINTS": "100",
        "LAST": "0.0196078",
        "STEP": "100",
        "BEST": "0.0196078",
        "BETTER": "lower",
    }
    [summary] = json.loads(trained.cli("metrics", "curve/m:1", "--json").stdout)
    assert (summary["first"], summary["first_step"]) == (1 / 1.5, 1)
    assert (summary["best"], summary["best_step"], summary["direction"]) == (1 / 51, 100, "LOWER")
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


def test_a_metric_is_defined_listed_and_taken_back(trained: Server) -> None:
    def best(key: str) -> float | None:
        found = json.loads(trained.cli("metrics", "curve/m:3", "--json").stdout)
        [series] = [each for each in found if each["key"] == key]
        return series["best"]  # type: ignore[no-any-return]

    trained.cli("evaluate", "curve/m:3", "money", "--metric", "cost_saved=7", "--step", "1")
    trained.cli("evaluate", "curve/m:3", "money", "--metric", "cost_saved=5", "--step", "2")
    assert best("cost_saved") == 5
    trained.cli("define-metric", "curve/m", "cost_saved", "higher")
    assert best("cost_saved") == 7
    assert trained.cli("define-metric", "curve/m").stdout.splitlines()[1].split() == ["cost_saved", "higher"]
    assert json.loads(trained.cli("define-metric", "curve/m", "--json").stdout) == {"cost_saved": "HIGHER"}
    trained.cli("define-metric", "curve/m", "cost_saved", "unknown")
    assert best("cost_saved") == 5
    assert trained.cli("define-metric", "curve/m", "cost_saved", "up", check=False).returncode == 2
    assert trained.cli("define-metric", "curve/m", "cost_saved", check=False).returncode == 2


CSV = 'key,value,step,time\nf1,0.5,1,2025-01-31T12:00:00Z\n\nf1,0.75,2,2025-02-01\n"a,b",1e-3,,\n'
JSON_LINES = (
    '{"key": "f1", "step": 1, "value": 0.5, "time": "2025-01-31T13:00:00+01:00"}\n'
    '{"key": "f1", "step": 2, "value": 0.75, "time": "2025-02-01"}\n'
    '{"key": "a,b", "value": 1e-3}'
)


@pytest.mark.parametrize(
    ("name", "text"), [("p.csv", CSV), ("bom.csv", "\ufeff" + CSV), ("p.jsonl", JSON_LINES)]
)
def test_a_file_of_points_is_added(trained: Server, tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    trained.cli("evaluate", "curve/m:1", name, "--file", str(file))
    points = json.loads(trained.cli("metrics", "curve/m:1", "f1", "--source", name, "--json").stdout)
    assert points == [
        {"step": 1, "value": 0.5, "time": "2025-01-31T12:00:00Z"},
        {"step": 2, "value": 0.75, "time": "2025-02-01T00:00:00Z"},
    ]
    [other] = json.loads(trained.cli("metrics", "curve/m:1", "a,b", "--source", name, "--json").stdout)
    assert (other["step"], other["value"]) == (0, 1e-3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key,step\nf1,1\n", "line 1: the columns are"),
        ("key,value,value\n", "line 1: the columns are"),
        ("f1,1,0.5\n", "line 1: the columns are"),
        ("key,value\nf1,1\n\nf1\n", "line 4: 1 cells"),
        ("key,value\nf1,1\nf1,much\n", "line 3: metric 'f1' is not a number"),
        ("key,value\nf1,1\nf1,nan\n", "line 3: metric 'f1' is nan"),
        ("key,value\nf1,1\n,1\n", "line 3: bad metric name"),
        ("key,value,step\nf1,1,1\nf1,1,1.5\n", "line 3: step '1.5'"),
        (f"key,value,step\nf1,1,{1 << 63}\n", "line 2: step '9223372036854775808'"),
        ("key,value,time\nf1,1,yesterday\n", "line 2: 'yesterday' is no time"),
        ("key,value,time\nf1,1,1969-12-31\n", "line 2: 1969-12-31 is before 1970"),
        ('key,value\n"f1,1\n', "line 2: no CSV"),
        ('{"key": "f1", "value": 1}\n{"key": "f1"\n', "line 2: no JSON"),
        ('{"key": "f1", "value": 1}\n[1]\n', "line 2: not an object of"),
        ('{"key": "f1", "value": 1}\n{"key": "f1", "value": 1, "stp": 1}\n', "line 2: not an object of"),
        ('{"key": "f1", "value": 1}\n{"key": "f1", "value": null}\n', "line 2: metric 'f1' is not a number"),
        ('{"key": "f1", "value": 1}\n{"key": "f1", "value": 1, "step": 1.5}\n', "line 2: step '1.5'"),
        ("key,value\n", "an evaluation has points"),
        ("", "an evaluation has points"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_nothing_is_added(
    trained: Server, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "points"
    file.write_text(text)
    with regsvc.connect(trained.endpoint) as client:
        with pytest.raises(regsvc.InvalidArgument) as refused:
            client.evaluate_file("curve/m:2", "bad-lines", file)
        assert told in refused.value.message
        assert not [each for each in client.metrics("curve/m:2") if each.source == "bad-lines"]


def test_bytes_that_are_no_text_are_told_by_their_line(trained: Server, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_bytes(b"key,value\nf1,1\nf\xff,1\n")
    done = trained.cli("evaluate", "curve/m:2", "latin", "--file", str(file), check=False)
    assert done.returncode == 1
    assert "points.csv, line 3: bad metric name" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_values_by_step_go_in_as_many_calls_as_it_takes(trained: Server) -> None:
    with regsvc.connect(trained.endpoint) as client:
        client.evaluate("curve/m:2", "steps", {"f1": {2: 0.75, 1: 0.5}, "auc": 0.25}, step=7)
        client.evaluate("curve/m:2", "steps", {"many": {step: step / 2 for step in range(2_500)}})
        points = {key: client.series("curve/m:2", key, source="steps") for key in ("f1", "auc", "many")}
        with pytest.raises(regsvc.InvalidArgument):
            client.evaluate("curve/m:2", "steps", {"f1": {}})
        with pytest.raises(regsvc.InvalidArgument):
            client.evaluate("curve/m:2", "refused", {"f1": {1: 0.5, 2: float("nan")}})
        with pytest.raises(regsvc.RegsvcError, match="after 1000 of 2001 points had been added"):
            client.evaluate("curve/m:2", "wide", {f"m{number}": 1.0 for number in range(2_001)})
        assert "refused" not in {each.source for each in client.metrics("curve/m:2")}
    assert [(each.step, each.value) for each in points["f1"]] == [(1, 0.5), (2, 0.75)]
    assert [(each.step, each.value) for each in points["auc"]] == [(7, 0.25)]
    assert [(each.step, each.value) for each in points["many"]] == [(step, step / 2) for step in range(2_500)]


def test_an_evaluation_has_metrics_or_a_file(trained: Server, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("key,value\nf1,1\n")
    for arguments in (
        ["--file", str(file), "--metric", "f1=1"],
        ["--file", str(file), "--step", "3"],
        ["--file", str(tmp_path / "none")],
        [],
    ):
        assert trained.cli("evaluate", "curve/m:2", "none", *arguments, check=False).returncode == 2


@pytest.mark.parametrize(("name", "magic"), [("p.png", b"\x89PNG"), ("p.svg", b"<?xml"), ("p.pdf", b"%PDF")])
def test_plots_are_pictures(trained: Server, tmp_path: Path, name: str, magic: bytes) -> None:
    out = tmp_path / name
    trained.cli("plot", "curve/m:1", "/builds/2", ":3", "loss", "-o", str(out))
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


def test_the_command_draws_what_the_sdk_draws(trained: Server, tmp_path: Path) -> None:
    trained.cli("evaluate", "curve/m:1", "drawn", "--metric", "loss=0.5", "--step", "50")
    done = trained.cli(
        *("plot", "curve/m:1", "curve/m:3", "curve/m:2", "loss", "-m", "drawn_only", "--log", "--by", "time"),
        *("--source", "", "--source", "drawn", "--title", "All", "-o", str(tmp_path / "none.png")),
        check=False,
    )
    assert done.returncode == 1
    assert "none of the 3 has metric 'drawn_only'" in done.stderr
    trained.cli(
        *("plot", "curve/m:1", "curve/m:3", "curve/m:2", "loss", "--log", "--by", "time"),
        *("--source", "", "--source", "drawn", "--title", "All", "-o", str(tmp_path / "cli.png")),
    )
    with regsvc.connect(trained.endpoint) as client:
        plotted = tmp_path / "sdk.png"
        references = ["curve/m:1", "curve/m:3", "curve/m:2"]
        draw(client, references, "loss", plotted, sources=["", "drawn"], by="time", log=True, title="All")
    assert (tmp_path / "cli.png").read_bytes() == plotted.read_bytes()
    done = trained.cli("plot", "curve/m:1", "curve/m:2", "loss", "--source", "drawn", "-o", str(plotted))
    assert done.stderr == "regsvc: curve/m:2 has none of the metrics and is left out\n"


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
        "from regsvc.client.plotting import plot\n"
        f"plot(connect({trained.endpoint!r}), ['curve/m:1'], 'loss', {str(tmp_path / 'p.png')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'regsvc[plot]'" in done.stderr


def test_metrics_that_a_push_said_stand_beside_the_series(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"1")
    shared_server.cli("push", str(tmp_path / "w"), "sealed/m", "--metric", "f1=0.81")
    shared_server.cli("evaluate", "sealed/m:1", "nightly", "--metric", "f1=0.7")
    lines = [line.split() for line in shared_server.cli("metrics", "sealed/m").stdout.splitlines()]
    assert [line[:4] for line in lines[1:]] == [["f1", "nightly", "1", "0.7"], ["f1", "sealed", "-", "0.81"]]
    [point] = json.loads(shared_server.cli("metrics", "sealed/m", "f1", "--json").stdout)
    assert point["value"] == 0.81
    listed = json.loads(shared_server.cli("metrics", "sealed/m", "--json").stdout)
    assert {each["source"]: each["last"] for each in listed} == {"nightly": 0.7, "sealed": 0.81}
    refused = shared_server.cli("metrics", "sealed/m", "f2", check=False).stderr
    assert "has no metric 'f2'; there are f1 of nightly, f1 (sealed)" in refused
