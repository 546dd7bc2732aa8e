"""Datasets from real files and tables, on a real server: profiles, drift, users, and what cannot be read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from blake3 import blake3
from support import Server

import regsvc
from regsvc.client.client import Client
from regsvc.client.profiling import profile
from regsvc.content.profile import Column, Profile


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as connected:
        yield connected


def frame(rows: int = 1000, mean: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "amount": rng.normal(mean, 1, rows),
            "count": rng.integers(0, 10, rows),
            "country": rng.choice(["de", "fr", "us"], rows, p=[0.5, 0.3, 0.2]),
            "when": pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * rows),
            "flag": rng.random(rows) > 0.5,
        }
    )


def rounded(found: Profile | None) -> list[Column]:
    """Columns without the last digits of sums, which depend on how the rows were split."""
    assert found is not None
    return [
        replace(each, mean=each.mean and round(each.mean, 9), std=each.std and round(each.std, 9))
        for each in found.columns
    ]


def test_a_column_says_what_it_holds() -> None:
    table = pl.DataFrame(
        {
            "number": [1.0, 2.0, 3.0, 4.0, None, float("nan"), float("inf"), float("-inf")],
            "text": ["a", "a", "bb", None, "a", "bb", "ccc", "a"],
            "nested": [[1], [2, 3], None, [], [1], [1], [1], [1]],
            "nothing": [None] * 8,
        }
    )
    found, _ = profile(table)
    number, text, nested, nothing = found.columns
    assert found.rows == 8
    assert (number.count, number.nulls, number.not_finite, number.distinct) == (7, 1, 3, 4)
    assert (number.min, number.max, number.mean) == (1.0, 4.0, 2.5)
    assert number.std == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert sum(number.bins) == 4
    assert (text.count, text.nulls, text.distinct) == (7, 1, 3)
    assert list(text.top) == [("a", 4), ("bb", 2), ("ccc", 1)]
    assert (text.min, text.max) == (1, 3)
    assert (nested.type, nested.count, nested.nulls) == ("List(Int64)", 7, 1)
    assert (nothing.count, nothing.nulls) == (0, 8)


def test_quantiles_are_close_and_many_distinct_values_are_estimated() -> None:
    values = np.random.default_rng(1).normal(50, 10, 300_000)
    [column] = profile(pl.DataFrame({"v": values}))[0].columns
    for share, quantile in column.quantiles.items():
        assert quantile == pytest.approx(np.quantile(values, float(share)), abs=0.2)
    assert column.approximate
    assert column.distinct == pytest.approx(300_000, rel=0.05)


def test_csv_parquet_and_arrow_of_one_table_have_one_profile(tmp_path: Path) -> None:
    table = frame().select("amount", "count", "country")
    table.write_csv(tmp_path / "t.csv")
    table.write_parquet(tmp_path / "t.parquet")
    table.write_ipc(tmp_path / "t.arrow")
    expected, _ = profile(table)
    for name in ("t.csv", "t.parquet", "t.arrow"):
        found, digest = profile(tmp_path / name)
        assert rounded(found) == rounded(expected)
        assert digest == blake3((tmp_path / name).read_bytes()).digest()


def test_the_same_data_is_the_same_version_and_other_data_the_next(client: Client) -> None:
    first = client.log_dataset(frame(), "data/tx", uri="https://user:secret@host/tx")
    again = client.log_dataset(frame(), "data/tx", uri="https://user:secret@host/tx")
    second = client.log_dataset(frame(mean=2.0), "data/tx")
    assert (first.reference, again.reference, second.reference) == ("data/tx:1", "data/tx:1", "data/tx:2")
    assert first.uri == "https://host/tx"
    assert client.dataset("data/tx").reference == "data/tx:2"
    whole = client.dataset("data/tx:1")
    assert rounded(whole.profile) == rounded(profile(frame())[0])
    assert [each.reference for each in client.datasets("data")][-1:] == ["data/tx:2"]
    with pytest.raises(regsvc.NotFound):
        client.dataset("data/tx:9")


def test_drift_is_ranked(client: Client) -> None:
    client.log_dataset(frame(), "data/drift")
    client.log_dataset(frame(mean=1.0).drop("flag"), "data/drift")
    found = client.compare_datasets("data/drift:1", "data/drift:2")
    assert found.columns[0].column == "amount"
    psi, ks, js = found.columns[0].psi, found.columns[0].ks, found.columns[0].js
    assert psi is not None
    assert psi > 0.25
    assert ks == pytest.approx(0.38, abs=0.05), "of two normals a standard deviation apart"
    assert js is not None
    assert 0.2 < js < 0.5
    assert found.removed == ["flag"]
    assert found.columns[1].js == pytest.approx(0, abs=1e-6)
    with pytest.raises(regsvc.InvalidArgument):
        client.compare_datasets("data/drift:2", "data/drift")


def test_who_used_a_dataset_is_one_call_and_is_sealed(client: Client, tmp_path: Path) -> None:
    used = client.log_dataset(frame(), "data/used")
    (tmp_path / "w").write_bytes(b"w")
    version = client.push(
        tmp_path / "w", "data/model", datasets={"data/used": "train", "data/used:1": "test"}
    )
    record = client.record(version.reference)
    kept = [(each.split, each.digest) for each in record.record.datasets]
    assert kept == [("train", used.digest), ("test", used.digest)]
    assert used.digest.encode() in record.sealed_text
    users = client.dataset_users("data/used")
    assert {(each.reference, each.split) for each in users} == {
        (version.reference, "train"),
        (version.reference, "test"),
    }
    found = list(client.search('datasets.exists(d, d.name == "used" && d.split == "train")'))
    assert [each.reference for each in found] == [version.reference]  # type: ignore[union-attr]
    with pytest.raises(regsvc.NotFound):
        client.push(tmp_path / "w", "data/model", datasets={"data/nowhere": ""})
    other = client.push(tmp_path / "w", "data/model")
    facts = {(row.section, row.key) for row in client.compare(version.reference, other.reference).facts}
    assert ("datasets", "data/used (train)") in facts


def test_the_command_line_logs_shows_and_compares(shared_server: Server, tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "a.parquet")
    frame(mean=1.0).write_parquet(tmp_path / "b.parquet")
    for name in ("a", "b"):
        shared_server.cli("dataset", "log", str(tmp_path / f"{name}.parquet"), "cli/tx")
    (tmp_path / "w").write_bytes(b"w")
    shared_server.cli("push", str(tmp_path / "w"), "cli/m", "--dataset", "train=cli/tx:1")
    shown = shared_server.cli("dataset", "show", "cli/tx:1").stdout
    assert "used by cli/m:1 (train)" in shown
    assert "█" in shown
    assert "cli/tx:2" in shared_server.cli("dataset", "ls").stdout
    compared = shared_server.cli("dataset", "compare", "cli/tx:1", ":2").stdout.splitlines()
    assert compared[0] == "cli/tx:1 -> cli/tx:2: 1,000 -> 1,000 rows"
    assert compared[2].split()[:2] == ["amount", "large"]
    document = json.loads(shared_server.cli("dataset", "compare", "cli/tx:1", "cli/tx:2", "--json").stdout)
    assert (document["columns"][0]["column"], document["columns"][0]["verdict"]) == ("amount", "large")
    assert "cli/tx:1 (train)" in shared_server.cli("show", "cli/m").stdout


def test_without_polars_the_extra_is_named() -> None:
    program = (
        "import sys\n"
        "sys.modules['polars'] = None\n"
        "from regsvc.client.profiling import profile\n"
        "profile('x.csv')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'regsvc[data]'" in done.stderr


def times(shift: float) -> pl.DataFrame:
    rng = np.random.default_rng(9)
    days = pl.Series(18_000 + rng.integers(0, 365, 500) + round(100 * shift))
    return pl.DataFrame(
        {
            "steady": rng.normal(size=500),
            "born": days.cast(pl.Date),
            "made": (days * 86_400_000_000).cast(pl.Datetime("us", "UTC")),
            "country $x$": rng.choice(["de", "fr"], 500, p=[0.5 - shift / 10, 0.5 + shift / 10]),
            "at": pl.Series(rng.integers(0, 86_400, 500) * 1_000_000_000).cast(pl.Time),
            "took": pl.Series(rng.integers(0, 9_999, 500) * 1_000_000).cast(pl.Duration("us")),
            "ends": rng.choice([-1.7e308, 1.7e308], 500),
            "one": pl.Series([7] * 500),
            "far": pl.Series([1 << 61] * 500).cast(pl.Datetime("us")),
        }
    )


def test_drift_is_drawn_with_dates_and_both_names(shared_server: Server, tmp_path: Path) -> None:
    with regsvc.connect(shared_server.endpoint) as client:
        client.log_dataset(times(0), "drawn/tx")
        client.log_dataset(times(1), "drawn/tx")
    for name, start in (("d.png", b"\x89PNG"), ("d.svg", b"<?xml")):
        out = tmp_path / name
        done = shared_server.cli("dataset", "compare", "drawn/tx:1", "drawn/tx:2", "-o", str(out))
        assert f"wrote {out}" in done.stdout.replace("\n", "")
        assert out.read_bytes().startswith(start)
    texts = re.findall(r"<!-- (.*?) -->", (tmp_path / "d.svg").read_text(), re.DOTALL)
    assert {"drawn/tx:1 (500 rows)", "drawn/tx:2 (500 rows)"} <= set(texts)
    assert any(re.fullmatch(r"2019-\w+|2020|2020-\w+", text) for text in texts), "dates, not numbers"
    measured = [place for place, text in enumerate(texts) if text.startswith("PSI")]
    assert {texts[place - 1] for place in measured} == set(times(0).columns)
    psi = [float(texts[place].split()[1]) for place in measured]
    assert psi == sorted(psi, reverse=True)
    refused = shared_server.cli("dataset", "compare", "drawn/tx:1", "drawn/tx:2", "-o", "x.txt", check=False)
    assert refused.returncode == 2


def test_the_same_file_again_is_the_same_version_whatever_the_threads_did(
    client: Client, tmp_path: Path
) -> None:
    """Sums depend on how the rows were shared out."""
    frame(500_000, mean=0.1).write_parquet(tmp_path / "t.parquet", row_group_size=10_000)
    found = {client.log_dataset(tmp_path / "t.parquet", "data/again").reference for _ in range(5)}
    assert found == {"data/again:1"}
