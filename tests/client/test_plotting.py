"""Pictures of metrics, looked at as SVG, whose texts matplotlib writes as comments."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc import errors
from regsvc.client.client import Client
from regsvc.client.plotting import MAX_LINES, MAX_POINTS, plot

VERSIONS = 10


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What versions are made of."""
    file = tmp_path_factory.mktemp("weights") / "w"
    file.write_bytes(b"w")
    return file


@pytest.fixture(scope="module")
def client(shared_server: Server, weights: Path) -> Iterator[Client]:
    """Versions of a model: ten with a loss by step, one with a sealed loss; some with evaluations."""
    with regsvc.connect(shared_server.endpoint) as client:
        for number in range(1, VERSIONS + 1):
            with client.build("draw/m", capture=False) as build:
                for step in range(1, 41):
                    build.log_metrics({"loss": number / step, "depth": step}, step=step)
                build.publish(weights)
        client.push(weights, "draw/m", metrics={"loss": 0.4}, aliases=["sealed"], capture=False)
        for number in (1, 2):
            client.evaluate(f"draw/m:{number}", "nightly", {"loss": {1: 0.5, 2: 0.25}, "auc": number / 4})
        yield client


def texts(picture: Path) -> list[str]:
    """All that is written in an SVG."""
    return re.findall(r"<!-- (.*?) -->", picture.read_text())


def names(count: int) -> list[str]:
    """References of the first versions."""
    return [f"draw/m:{number}" for number in range(1, count + 1)]


def lines(picture: Path) -> list[tuple[str, str]]:
    """(color, dash) of the thick lines, which are those of series."""
    styles = re.findall(r'style="fill: none; ([^"]*stroke-width: 1\.4[^"]*)"', picture.read_text())
    found = []
    for style in styles:
        fields = dict(field.split(": ", 1) for field in style.split("; "))
        found.append((fields["stroke"], fields.get("stroke-dasharray", "")))
    return found


def test_each_line_of_many_has_its_own_look_and_name(client: Client, tmp_path: Path) -> None:
    out = tmp_path / "p.svg"
    assert plot(client, names(VERSIONS), ["loss", "depth"], out) == []
    assert set(names(VERSIONS)) <= set(texts(out))
    assert texts(out).count("draw/m:1") == 1, "one legend for both panels"
    assert {"draw/m", "loss (lower is better)", "depth", "step"} <= set(texts(out))
    looks = set(lines(out))
    assert len(looks) == VERSIONS


def test_sources_are_told_apart(client: Client, tmp_path: Path) -> None:
    out = tmp_path / "p.svg"
    plot(client, ["draw/m:1", "draw/m:2", "draw/m@sealed"], "loss", out, sources=["", "nightly"])
    assert {
        "draw/m:1 (build)",
        "draw/m:1 (nightly)",
        "draw/m:2 (build)",
        "draw/m:2 (nightly)",
        "draw/m@sealed (sealed)",
        "loss of draw/m",
    } <= set(texts(out))
    plot(client, ["draw/m:1"], "loss", out, sources="nightly")
    assert {"draw/m:1", "loss of draw/m by nightly"} <= set(texts(out))


def test_a_value_without_a_step_is_a_level_not_a_point_at_step_0(client: Client, tmp_path: Path) -> None:
    out = tmp_path / "p.svg"
    plot(client, ["draw/m:1", "draw/m@sealed"], "loss", out)
    levels = re.findall(
        r'd="M ([\d.]+) ([\d.]+) \nL ([\d.]+) ([\d.]+) \n"[^>]*stroke-width: 1\.2', out.read_text()
    )
    [(left, begin, right, end)] = levels
    assert begin == end
    assert float(right) - float(left) > 400, "as wide as the panel"


def test_where_all_have_one_value_they_are_bars_with_names_and_values(client: Client, tmp_path: Path) -> None:
    out = tmp_path / "p.svg"
    assert plot(client, names(3), "auc", out, sources="nightly") == ["draw/m:3"]
    assert {"draw/m:1", "draw/m:2", "0.25", "0.5"} <= set(texts(out))
    assert 'id="legend_1"' not in out.read_text()
    plot(client, names(2), "auc", out, sources="nightly", by="time")
    assert "time (UTC)" in texts(out), "by time they are points"


def test_the_direction_is_told_of_what_has_no_series_too(
    client: Client, tmp_path: Path, weights: Path
) -> None:
    client.push(weights, "draw/sealed", metrics={"loss": 0.5, "cost_saved": 2.0}, capture=False)
    client.define_metric("draw/sealed", "cost_saved", "higher")
    out = tmp_path / "p.svg"
    plot(client, ["draw/sealed"], ["loss", "cost_saved"], out)
    assert {"loss (lower is better)", "cost_saved (higher is better)"} <= set(texts(out))


def test_by_time_a_line_never_goes_back(client: Client, tmp_path: Path) -> None:
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    for step, day in enumerate(days):
        client.evaluate("draw/m:5", "days", {"f1": step / 4}, step=step, time=day)
    out = tmp_path / "p.svg"
    plot(client, ["draw/m:5"], "f1", out, sources="days", by="time")
    drawn = re.search(r'<path d="([^"]*)"[^>]*stroke-width: 1\.4', out.read_text())
    assert drawn is not None
    across = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", drawn[1])]
    assert len(across) == 3
    assert across == sorted(across)


def test_a_logarithmic_scale_keeps_what_is_not_positive(client: Client, tmp_path: Path) -> None:
    with client.build("draw/log", capture=False) as build:
        for step in range(9):
            build.log_metrics({"positive": 10.0**-step, "signed": step - 4}, step=step)
    out = tmp_path / "p.svg"
    plot(client, [build.name], "positive", out, log=True)
    assert any("10^{-6}" in text for text in texts(out))
    plot(client, [build.name], "signed", out, log=True)
    drawn = re.search(r'<path d="([^"]*)"[^>]*stroke-width: 1\.4', out.read_text())
    assert drawn is not None
    assert drawn[1].count("\n") == 9


def test_a_long_series_is_thinned_by_the_server(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.build("draw/long", capture=False) as build:
        for step in range(50_000):
            build.log_metric("m", math.sin(step / 900) + 9 * (step == 12_345), step=step)
    came = []
    whole = client.series

    def series(*args: object, **options: object) -> object:
        points = whole(*args, **options)  # type: ignore[arg-type]
        came.append(points)
        return points

    monkeypatch.setattr(client, "series", series)
    plot(client, [build.name], "m", tmp_path / "p.png")
    [points] = came
    assert len(points) == MAX_POINTS
    assert 12_345 in {point.step for point in points}


def test_numbers_and_names_that_are_odd_are_drawn(client: Client, tmp_path: Path) -> None:
    odd = r"a$b$c_{\frac <&>"
    with client.build("draw/odd", capture=False) as build:
        for place, step in enumerate((-(1 << 63), 0, (1 << 63) - 1)):
            sign = (-1) ** place
            build.log_metrics({"huge": sign * 1.7e308, "tiny": 5e-324, odd: 1.0, "zero": 0.0}, step=step)
        build.log_metric("one", -1.7e308)
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    client.evaluate("draw/m:3", "far", {"huge": 1.0}, time=last)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for log in (False, True):
            for by in ("step", "time"):
                keys = ["huge", "tiny", odd, "zero", "one"]
                plot(client, [build.name], keys, tmp_path / "p.png", log=log, by=by)
        plot(client, ["draw/m:3"], "huge", tmp_path / "p.png", sources="far", by="time")
        plot(client, [build.name], odd, tmp_path / "p.svg")
    assert r"a$b$c_{\frac &lt;&amp;&gt;" in (tmp_path / "p.svg").read_text().replace(r"\$", "$")


@pytest.mark.parametrize(
    ("references", "keys", "options", "error", "told"),
    [
        (["draw/m:1"], "lss", {}, errors.NotFound, "draw/m:1 has no metric 'lss'"),
        (["draw/m:1"], "lss", {}, errors.NotFound, "auc of source nightly, depth, loss"),
        (["draw/m:1", "draw/m:2"], ["loss", "auc"], {}, errors.NotFound, "none of the 2 has metric 'auc'"),
        (["draw/m:99"], "loss", {}, errors.NotFound, "draw/m:99"),
        (["draw/m:1", "draw/m:1"], "loss", {}, errors.SameTwice, "draw/m:1 is given twice"),
        (["draw/m:11", "draw/m@sealed"], "loss", {}, errors.SameTwice, "draw/m:11 is given twice"),
        (["draw/m:1"], ["loss", "loss"], {}, errors.SameTwice, "metric 'loss' is given twice"),
        (["draw/m:1"], "loss", {"sources": ["a", "a"]}, errors.SameTwice, "source 'a' is given twice"),
        (["draw/m:1"], [str(n) for n in range(13)], {}, errors.InvalidArgument, "13 metrics, at most 12"),
        (["draw/m:1"] * (MAX_LINES + 1), "loss", {}, errors.InvalidArgument, "33 versions and builds"),
        (["draw/m:1"], "", {}, errors.InvalidArgument, "bad metric name"),
        (["draw/m:1"], "loss", {"by": "epoch"}, errors.InvalidArgument, "'epoch' is none of step, time"),
        ([], "loss", {}, errors.InvalidArgument, "a picture has references"),
        (["Bad name"], "loss", {}, errors.NameInvalid, "Bad name"),
    ],
)
def test_what_cannot_be_drawn_is_told_and_nothing_is_written(
    client: Client,
    tmp_path: Path,
    references: list[str],
    keys: str | list[str],
    options: dict[str, str],
    error: type[errors.RegsvcError],
    told: str,
) -> None:
    with pytest.raises(error) as refused:
        plot(client, references, keys, tmp_path / "p.png", **options)  # type: ignore[arg-type]
    assert told in refused.value.message
    assert not list(tmp_path.iterdir())


def test_the_ending_says_the_format(client: Client, tmp_path: Path) -> None:
    plot(client, names(1), "loss", tmp_path / "P.PNG")
    assert (tmp_path / "P.PNG").read_bytes().startswith(b"\x89PNG")
    for name in ("p.txt", "png", "p"):
        with pytest.raises(errors.InvalidArgument, match=r"\.png, \.svg, \.pdf"):
            plot(client, names(1), "loss", tmp_path / name)
    with pytest.raises(FileNotFoundError):
        plot(client, names(1), "loss", tmp_path / "none" / "p.png")
