"""One table by many routes: files, frames, streams and lazy queries have one profile; tables have one digest."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import ipc

import regsvc
from regsvc.client.profiling import profile
from regsvc.content.profile import Column

ROWS = 20_000


def table() -> pl.DataFrame:
    """More than two blocks of a digest, with nulls."""
    rng = np.random.default_rng(5)
    whole = pl.Series("whole", rng.integers(-1000, 1000, ROWS))
    return pl.DataFrame(
        {
            "number": rng.normal(size=ROWS),
            "whole": whole.set(whole < -900, None),
            "text": [None if i % 11 == 0 else f"né {i % 37}" for i in range(ROWS)],
            "flag": rng.random(ROWS) > 0.3,
        }
    )


def columns(source: Any) -> list[Column]:
    """Without types: a route may know `String` where another knows `Categorical`."""
    return [replace(each, type="") for each in profile(source)[0].columns]


def stream(found: pl.DataFrame, rows: int = 777) -> pa.RecordBatchReader:
    arrow = found.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches(max_chunksize=rows))


def write_stream(found: pl.DataFrame, path: Path) -> None:
    arrow = found.to_arrow(compat_level=pl.CompatLevel.oldest())
    with ipc.new_stream(path, arrow.schema) as sink:
        sink.write_table(arrow, max_chunksize=777)


def write_csv(compress: Callable[[bytes], bytes]) -> Callable[[pl.DataFrame, Path], object]:
    return lambda found, path: path.write_bytes(compress(found.write_csv().encode()))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", write_csv(bytes)),
        ("day[1]=*.csv", write_csv(bytes)),
        ("t.CSV", write_csv(lambda data: b"\xef\xbb\xbf" + data)),
        ("t.csv.gz", write_csv(gzip.compress)),
        ("t.csv.zst", write_csv(zstandard.compress)),
        ("t.tsv", lambda found, path: found.write_csv(path, separator="\t")),
        ("t.parquet", lambda found, path: found.write_parquet(path, row_group_size=999)),
        ("t.arrow", lambda found, path: found.write_ipc(path, compression="zstd")),
        ("t.feather", write_stream),
        ("t.arrows", write_stream),
    ],
)
def test_files_of_one_table_have_one_profile(
    tmp_path: Path, name: str, write: Callable[[pl.DataFrame, Path], object]
) -> None:
    write(table(), tmp_path / name)
    assert columns(tmp_path / name) == columns(table())


@pytest.mark.parametrize(
    "route",
    [
        lambda found: pl.concat([found[:777], found[777:9000], found[9000:]], rechunk=False),
        lambda found: pl.concat([found, found])[ROWS:],
        lambda found: found.lazy(),
        lambda found: found.lazy().with_columns(pl.col("whole") + 0),
        lambda found: found.to_arrow(),
        stream,
        lambda found: stream(found, rows=ROWS),
    ],
    ids=["chunks", "slice", "lazy", "query", "arrow", "stream", "whole"],
)
def test_tables_of_one_content_have_one_profile_and_one_digest(route: Callable[[pl.DataFrame], Any]) -> None:
    expected, digest = profile(table())
    found, found_digest = profile(route(table()))
    assert found == expected
    assert found_digest == digest
    assert profile(table().with_columns(pl.col("number") + 1))[1] != digest
    assert profile(table().rename({"number": "n"}))[1] != digest
    assert profile(table()[:-1])[1] != digest


def test_what_stands_under_a_null_is_no_part_of_a_digest() -> None:
    numbers = pl.DataFrame({"a": [1, 2, 3, 4]})
    hidden = numbers.select(pl.when(pl.col("a") % 2 == 0).then("a"))
    assert profile(hidden) == profile(pl.DataFrame({"a": [None, 2, None, 4]}))
    assert profile(hidden)[1] != profile(pl.DataFrame({"a": [2, None, None, 4]}))[1]


def test_a_lazy_query_is_run_once() -> None:
    """A query may be a sample, or dear; every pass sees the same rows."""
    runs = []

    def noted(found: pl.DataFrame) -> pl.DataFrame:
        runs.append(found.height)
        return found

    profile(table().lazy().map_batches(noted))
    assert runs == [ROWS]


def test_a_table_of_pandas_is_taken_as_its_parquet_file_would_be(tmp_path: Path) -> None:
    zone = pd.date_range("1969-12-31", periods=4, freq="D", tz="Europe/Paris")
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["a", "b", "a", None]),
            "when": zone,
            "whole": pd.array([1, None, 3, 4], dtype="Int64"),
            "yes": pd.array([True, None, False, True], dtype="boolean"),
            "words": pd.array(["x", None, "y", "x"], dtype="string"),
            "number": [1.5, float("nan"), float("inf"), 2.5],
            7: [1, 2, 3, 4],
        },
        index=pd.Index([10, 20, 30, 40], name="row"),
    )
    frame.rename(columns=str).to_parquet(tmp_path / "t.parquet")
    found = columns(frame)
    assert found == columns(tmp_path / "t.parquet")
    by_name = {each.name: each for each in found}
    assert list(by_name) == ["kind", "when", "whole", "yes", "words", "number", "7", "row"]
    assert (by_name["number"].nulls, by_name["number"].not_finite) == (1, 1)
    assert list(by_name["kind"].top) == [("a", 2), ("b", 1)]
    assert by_name["when"].min == datetime(1969, 12, 30, 23, tzinfo=UTC).timestamp() * by_unit(frame)
    assert [each.name for each in profile(frame.reset_index(drop=True))[0].columns][-1] == "7"


def by_unit(frame: pd.DataFrame) -> float:
    return {"s": 1e3, "ms": 1e3, "us": 1e6, "ns": 1e9}[frame["when"].dt.unit]


def test_values_of_several_types_in_a_column_of_pandas_are_refused_without_telling_them() -> None:
    frame = pd.DataFrame({"fine": [1, 2], "mixed": pd.Series([1, "secret"], dtype=object)})
    with pytest.raises(regsvc.InvalidArgument, match=r"'mixed' of type object") as refused:
        profile(frame)
    assert "secret" not in refused.value.message
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    for source in (twice, pa.table([[1], [2]], names=["a", "a"])):
        with pytest.raises(regsvc.InvalidArgument, match="two columns are called 'a'"):
            profile(source)


def test_values_at_the_ends_of_their_types() -> None:
    largest = 1.7e308
    found = {
        each.name: each
        for each in profile(
            pa.table(
                {
                    "signed": [-(2**63), 2**63 - 1, None],
                    "unsigned": pa.array([0, 2**64 - 1, None], pa.uint64()),
                    "wide": [-largest, largest, largest],
                    "wild": [float("nan"), float("inf"), float("-inf")],
                    "money": [Decimal("1.25"), Decimal("-99999999.75"), None],
                    "born": [date(1900, 1, 1), date(2020, 1, 1), None],
                    "at": [time(1, 2, 3), time(23), None],
                    "took": [timedelta(days=1), timedelta(days=-5), None],
                    "raw": [b"\xff\x00", b"", None],
                    "nothing": pa.nulls(3),
                    "no number": pa.nulls(3, pa.float64()),
                    "list": [[1], [], None],
                    "struct": [{"a": 1}, {"a": None}, None],
                    "": [1, 2, 3],
                    "bell\x07\x1b[31m": [1, 2, 3],
                }
            )
        )[0].columns
    }
    ends = {
        name: (found[name].min, found[name].max) for name in ("signed", "unsigned", "wide", "money", "born")
    }
    assert ends == {
        "signed": (-(2.0**63), 2.0**63),
        "unsigned": (0.0, 2.0**64),
        "wide": (-largest, largest),
        "money": (-99999999.75, 1.25),
        "born": (-25567.0, 18262.0),
    }
    assert (sum(found["wide"].bins), found["wide"].std) == (3, None), "the deviation is beyond a double"
    assert (found["wild"].count, found["wild"].not_finite, found["wild"].min) == (3, 3, None)
    for name in ("raw", "list", "struct"):
        assert (found[name].count, found[name].nulls, found[name].distinct) == (2, 1, None)
    assert [found[name].count for name in ("nothing", "no number", "", "bell\x07\x1b[31m")] == [0, 0, 3, 3]
    assert found["took"].min == -5 * 86_400e6


def test_numbers_of_a_csv_file_may_begin_as_whole_ones_and_end_as_text(tmp_path: Path) -> None:
    rows = 20_000
    head, body = "late,text,huge,flag,none\n", "1,2,3,true,\n" * rows
    (tmp_path / "t.csv").write_text(head + body + '1.5,"two\nlines",99999999999999999999,false,\n')
    late, text, huge, flag, none = profile(tmp_path / "t.csv")[0].columns
    assert (late.type, late.max) == ("Float64", 1.5)
    assert list(text.top) == [("2", rows), ("two\nlines", 1)]
    assert (huge.type, huge.max) == ("Int128", 1e20)
    assert (flag.type, none.type, none.nulls) == ("Boolean", "String", rows + 1)


def test_without_pyarrow_tables_of_pandas_name_it() -> None:
    program = (
        "import sys\n"
        "import pandas\n"
        "from regsvc.client.profiling import profile\n"
        "frame = pandas.DataFrame({'a': [1]})\n"
        "sys.modules['pyarrow'] = None\n"
        "profile(frame)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install pyarrow" in done.stderr
