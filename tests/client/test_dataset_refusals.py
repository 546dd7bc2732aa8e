"""Files that are not what they say: each has an answer, and none of them tells more than a profile would."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet
from support import Server

import regsvc
from regsvc.client.profiling import profile
from regsvc.content.profile import MAX_BYTES, to_json

ROWS = 100_000


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("lines.csv", b"\n\n", "empty CSV"),
        ("ragged.csv", b"a,b\n1,2\n1,2,secret\n", "more fields"),
        ("late.csv", b"a,b\n" + b"1,2\n" * 100_000 + b"1,2,secret\n", "more fields"),
        ("latin.csv", "a,b\nsecr\xe9t,2\n".encode("latin-1"), "utf-8"),
        ("late-latin.csv", b"a,b\n" + b"x,2\n" * 100_000 + b"secret\xe9,2\n", "utf-8"),
        ("header.csv", "caf\xe9,b\nx,2\n".encode("latin-1"), "utf-8"),
        ("marked.csv", "a,b\nsecret,2\n".encode("utf-16"), "utf-8"),
        ("plain16.csv", "a,b\nsecret,2\n".encode("utf-16-le"), "not UTF-8"),
        ("twice.csv", b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("nameless.csv", b",b,\n1,2,3\n", "two columns are called ''"),
        ("long.csv", b"n" * 1001 + b"\n1\n", "a column name of 1001 characters, at most 1000"),
        ("wide.csv", b",".join(b"c%d" % i for i in range(10_001)) + b"\n", "10001 columns, at most 5000"),
        (
            "cut.csv.gz",
            gzip.compress(np.random.default_rng(0).bytes(9999).hex().encode())[:-999],
            "end of file",
        ),
        ("lies.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1", "cannot be read"),
        ("short.parquet", b"PAR1", "cannot be read"),
        ("text.parquet", b"a,b\n1,2\n" * 9, "must end with PAR1"),
        ("text.arrow", b"a,b\n1,2\n", "cannot be read"),
        ("what.xlsx", b"PK", "of no known kind"),
    ],
)
def test_files_that_cannot_be_read_are_refused_and_say_why(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(regsvc.InvalidArgument, match=why) as refused:
        profile(tmp_path / name)
    assert str(tmp_path) not in refused.value.message
    assert "secr" not in refused.value.message
    assert len(refused.value.message.splitlines()) == 1


def test_what_is_no_file_or_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for source, why in ((42, "no dataset"), (tmp_path / "folder.parquet", "is a directory")):
        with pytest.raises(regsvc.InvalidArgument, match=why):
            profile(source)
    with pytest.raises(FileNotFoundError):
        profile(tmp_path / "none.csv")


@pytest.mark.parametrize("data", [b"a,b\n", b"a,b", b"\xef\xbb\xbfa,b\r\n"])
def test_a_header_alone_is_a_dataset_without_rows(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    found, _ = profile(tmp_path / "t.csv")
    assert (found.rows, [each.name for each in found.columns]) == (0, ["a", "b"])
    assert profile(pl.DataFrame(schema={"a": pl.String, "b": pl.String}))[0] == found


def test_rows_of_csv_that_are_too_short_end_with_nulls(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n3\n")
    assert [(each.count, each.nulls) for each in profile(tmp_path / "t.csv")[0].columns] == [(2, 0), (1, 1)]


def test_an_open_quote_is_no_way_to_read_a_cell(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'a,b\n"secret,2\n3,4\n')
    with pytest.raises(regsvc.InvalidArgument, match="a quote is not closed") as refused:
        profile(tmp_path / "t.csv")
    assert "secret" not in refused.value.message


def written(path: Path, **options: object) -> bytearray:
    found = pa.table({"a": np.arange(ROWS), "s": [f"v{place % 7}" for place in range(ROWS)]})
    parquet.write_table(found, path, **options)
    return bytearray(path.read_bytes())


def test_parquet_that_was_cut_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    whole = written(path, compression="snappy")
    pages, footer = bytearray(whole), bytearray(whole)
    pages[100:3000] = b"\xff" * 2900
    footer[-300:-20] = b"\xff" * 280
    for data in (whole[:-100], whole[: len(whole) // 2], pages, footer):
        path.write_bytes(data)
        with pytest.raises(regsvc.InvalidArgument, match=r"'t\.parquet' cannot be read"):
            profile(path)


def varint(value: int) -> bytes:
    """As Thrift's compact protocol writes whole numbers."""
    value, found = value << 1, b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


@pytest.mark.parametrize("claimed", [ROWS - 1, ROWS + 1, 10 * ROWS])
@pytest.mark.parametrize("place", [0, -1], ids=["file", "row group"])
def test_parquet_that_lies_about_its_rows_is_refused(tmp_path: Path, claimed: int, place: int) -> None:
    """polars panics at some of these, which is not even an `Exception`."""
    path = tmp_path / "t.parquet"
    data = written(path)
    start, places = len(data) - 8 - int.from_bytes(data[-8:-4], "little"), []
    while (start := data.find(varint(ROWS), start + 1)) >= 0:
        places.append(start)
    assert len(places) > 2, "of the file, of column chunks, and of the row group"
    data[places[place] : places[place] + 3] = varint(claimed)
    path.write_bytes(data)
    with pytest.raises(regsvc.InvalidArgument, match=r"it says \d+ rows, but|polars failed on it"):
        profile(path)


@pytest.mark.parametrize("kind", [ipc.new_file, ipc.new_stream])
def test_arrow_that_was_cut_or_damaged_is_refused(tmp_path: Path, kind: Callable[..., object]) -> None:
    path, found = tmp_path / "t.arrow", pa.table({"s": [f"value {place}" for place in range(ROWS)]})
    with kind(path, found.schema) as sink:  # type: ignore[attr-defined]
        sink.write_table(found)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[8:200] = b"\xff" * 192
    for data in (whole[:-50_000], damaged):
        path.write_bytes(data)
        with pytest.raises(regsvc.InvalidArgument, match=r"'t\.arrow' cannot be read"):
            profile(path)


def test_types_that_polars_has_not_are_refused(tmp_path: Path) -> None:
    odd = pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with ipc.new_file(tmp_path / "t.arrow", odd.schema) as sink:
        sink.write_table(odd)
    with pytest.raises(regsvc.InvalidArgument, match="polars failed on it"):
        profile(tmp_path / "t.arrow")


def test_a_huge_cell_is_cut_and_values_that_begin_alike_are_one() -> None:
    long = "x" * (10 << 20)
    [column] = profile(pl.DataFrame({"s": [long, long + "y", "z"]}))[0].columns
    assert list(column.top) == [("x" * 200, 2), ("z", 1)]
    assert (column.distinct, column.max) == (3, len(long) + 1)


def test_the_profile_of_many_columns_has_fewer_bins_and_travels() -> None:
    wide = pl.DataFrame({f"column {place}": np.arange(3.0) + place / 7 for place in range(3_000)})
    found, _ = profile(wide)
    assert len(to_json(found)) <= MAX_BYTES
    assert len(found.columns) == 3_000
    assert all(1 <= len(each.bins) < 64 and sum(each.bins) == 3 for each in found.columns)
    assert all(each.edges[0] == each.min and each.edges[-1] == each.max for each in found.columns)


def test_large_row_groups_are_read_by_pages_with_the_same_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regsvc.client import tables

    path = tmp_path / "t.parquet"
    written(path)
    expected = profile(path)
    monkeypatch.setattr(tables, "_MOST_CHUNK", 1000)
    with tables.opened(path) as (rows, _):
        assert rows.of(["s"]).collect_schema().names() == ["s"], "only what a pass needs"
    assert profile(path) == expected


def test_the_command_line_refuses_in_one_line(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'a,b\n"secret,2\n3,4\n')
    done = shared_server.cli("dataset", "log", str(tmp_path / "t.csv"), "cli/bad", check=False)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert shared_server.cli("dataset", "show", "cli/bad", check=False).returncode == 1
