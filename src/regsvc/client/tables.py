"""What datasets are read from: files and tables of many kinds, all as one polars frame that streams, with a digest.

What can be read only once (a stream, a lazy query), or is slow to read (CSV), is first written to a temporary Parquet
file, so that profiling may pass over it many times and each pass sees the same rows.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from regsvc import errors

BLOCK_ROWS = 8_192
"""Rows that the digest of a table takes at a time."""
_BLOCK = 8 << 20
_KINDS = {
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".csv.zst": "CSV",
    ".tsv": "CSV",
    ".tsv.gz": "CSV",
    ".tsv.zst": "CSV",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".arrows": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}
_FILE_MAGIC = b"ARROW1"
"""Begins the file format of Arrow IPC, which the stream format lacks."""


_MOST_CHUNK = 16 << 20
"""Bytes of a column in one row group of Parquet. polars decodes some whole row groups at once: larger ones are read by
pyarrow, page by page, if it is there."""
_BATCH_BYTES = 8 << 20
_CSV_EXPRESSIONS = 500
"""Of one pass."""


@dataclass(frozen=True)
class Rows:
    """Rows that can be passed over many times."""

    schema: Any
    """Of polars."""
    of: Callable[[Sequence[str]], Any]
    """A polars LazyFrame, for one pass, that has at least these columns."""


@contextmanager
def opened(source: Any) -> Iterator[tuple[Rows, bytes]]:
    """The rows of a path or table, and the digest.

    Raises `InvalidArgument` for what cannot be read, also from the body, saying why but no values; `OSError`.
    """
    polars = _polars()
    try:
        with tempfile.TemporaryDirectory(prefix="regsvc-") as folder:
            yield _open(polars, source, Path(folder) / "rows.parquet")
    except polars.exceptions.PanicException:
        # Not an `Exception`. Its text is of polars' inside, and Rust has already printed it.
        raise errors.InvalidArgument(f"{_shown(source)} cannot be read: polars failed on it") from None
    except polars.exceptions.PolarsError as error:
        raise errors.InvalidArgument(f"{_shown(source)} cannot be read: {_why(error)}") from None
    except OSError as error:
        # Not the system's: so polars and pyarrow call data that ends too early.
        if error.errno is not None or "(os error" in str(error):
            raise
        raise errors.InvalidArgument(f"{_shown(source)} cannot be read: {_why(error)}") from None


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise errors.FailedPrecondition(
            "datasets need polars: pip install 'regsvc[data]'", extra="data"
        ) from None
    return polars


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise errors.FailedPrecondition(f"{what} need pyarrow: pip install pyarrow") from None
    return pyarrow


def _open(polars: Any, source: Any, spool: Path) -> tuple[Rows, bytes]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        frame = _scan(polars, path, spool)
        found = (_by_pages(polars, path, frame) if path.name.lower().endswith(".parquet") else None) or _rows(
            frame
        )
        return found, _file_digest(path)
    module = type(source).__module__.partition(".")[0]
    if isinstance(source, polars.DataFrame):
        table = source
    elif module == "pandas" and hasattr(source, "columns"):
        table = _from_arrow(polars, _from_pandas(source))
    elif module == "pyarrow" and hasattr(source, "num_rows"):
        table = _from_arrow(polars, source)
    elif isinstance(source, polars.LazyFrame) or hasattr(source, "read_next_batch"):
        frame = source if isinstance(source, polars.LazyFrame) else _stream(polars, source)
        spooled = _spooled(polars, frame, spool)
        return _rows(spooled), _digest(polars, _in_order(polars, spooled))
    else:
        raise errors.InvalidArgument(
            f"a {type(source).__name__} is no dataset: a path or a table is expected"
        )
    return _rows(table.lazy()), _digest(polars, iter((table,)))


def _rows(frame: Any) -> Rows:
    return Rows(frame.collect_schema(), lambda names: frame)


def _by_pages(polars: Any, path: Path, frame: Any) -> Rows | None:
    """A Parquet file with row groups too large to be decoded whole, if pyarrow is there to read its pages."""
    with suppress(ImportError):
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(path) as file:
                rows = _batch_rows(file.metadata)
        except (pyarrow.ArrowException, OSError):
            return None  # polars says what is wrong with it
        if rows is None:
            return None

        def of(names: Sequence[str]) -> Any:
            file = parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            wanted = [field for field in file.schema_arrow if field.name in set(names)]
            batches = file.iter_batches(rows, columns=[field.name for field in wanted], use_threads=False)
            reader = pyarrow.RecordBatchReader.from_batches(pyarrow.schema(wanted), batches)
            return polars.scan_arrow_c_stream(reader)

        return Rows(frame.collect_schema(), of)
    return None


def _batch_rows(metadata: Any) -> int | None:
    """Rows to read at a time if a row group is large, else None."""
    found = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.total_byte_size <= _MOST_CHUNK:
            continue
        for place in range(group.num_columns):
            size = group.column(place).total_uncompressed_size
            if size > _MOST_CHUNK:
                rows = max(1, min(BLOCK_ROWS * 2, group.num_rows * _BATCH_BYTES // size))
                found = min(found or rows, rows)
    return found


def _scan(polars: Any, path: Path, spool: Path) -> Any:
    suffix = next((each for each in _KINDS if path.name.lower().endswith(each)), None)
    if suffix is None:
        raise errors.InvalidArgument(f"'{path.name}' is of no known kind: {', '.join(_KINDS)}")
    if path.is_dir():
        raise errors.InvalidArgument(f"'{path.name}' is a directory; a dataset is one file")
    if not path.stat().st_size:
        raise errors.InvalidArgument(f"'{path.name}' is empty")
    # A name is a name: without `glob=False`, "day[1].csv" would be a pattern.
    if _KINDS[suffix] == "Parquet":
        return polars.scan_parquet(path, glob=False, hive_partitioning=False)
    if _KINDS[suffix] == "CSV":
        return _scan_csv(polars, path, "\t" if suffix.startswith(".tsv") else ",", spool)
    with path.open("rb") as file:
        if file.read(len(_FILE_MAGIC)) == _FILE_MAGIC:
            return polars.scan_ipc(path, glob=False, hive_partitioning=False)
        file.seek(0)
        pyarrow = _pyarrow("files in Arrow's stream format")
        try:
            reader = pyarrow.ipc.open_stream(file)
        except pyarrow.ArrowException:
            raise errors.InvalidArgument(f"'{path.name}' cannot be read: it is no Arrow data") from None
        return _spooled(polars, _stream(polars, reader), spool)


def _scan_csv(polars: Any, path: Path, separator: str, spool: Path) -> Any:
    """With types that all rows have: numbers may begin as whole ones, or end as text.

    Not by polars' own inference: over a whole file it takes as much memory as the file, and again in every pass.
    """
    head = polars.scan_csv(path, separator=separator, glob=False, has_header=False, infer_schema=False)
    names = [name or "" for name in head.head(1).collect(engine="streaming").row(0)]
    if any("\ufffd" in name or "\0" in name for name in names):
        raise errors.InvalidArgument(f"'{path.name}' cannot be read: its header is not UTF-8")
    _check_names(names)
    frame = polars.scan_csv(path, separator=separator, glob=False, infer_schema=False)
    names = frame.collect_schema().names()
    kinds = (polars.Int64, polars.UInt64, polars.Int128, polars.Float64, polars.Boolean)
    fits = []
    for place, name in enumerate(names):
        column = polars.col(name)
        fits.append(column.count().alias(f"{place}:"))
        fits += [
            _parsed(polars, name, kind).count().alias(f"{place}:{number}")
            for number, kind in enumerate(kinds)
        ]
    row: dict[str, int] = {}
    for start in range(0, len(fits), _CSV_EXPRESSIONS):
        row |= (
            frame.select(fits[start : start + _CSV_EXPRESSIONS])
            .collect(engine="streaming")
            .row(0, named=True)
        )
    types: dict[str, Any] = {}
    for place, name in enumerate(names):
        values = row[f"{place}:"]
        fitting = [kind for number, kind in enumerate(kinds) if row[f"{place}:{number}"] == values]
        if values and fitting:
            types[name] = fitting[0]
    typed = frame.with_columns(_parsed(polars, name, kind).alias(name) for name, kind in types.items())
    return _spooled(polars, typed, spool)


def _parsed(polars: Any, name: str, kind: Any) -> Any:
    """Text as this type; null where it is none."""
    column = polars.col(name)
    if kind == polars.Boolean:
        return polars.when(column == "true").then(True).when(column == "false").then(False)
    return column.cast(kind, strict=False)


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise errors.InvalidArgument(f"two columns are called '{name[:100]}'")
        seen.add(name)


def _from_arrow(polars: Any, source: Any) -> Any:
    names = source.schema.names
    _check_names(names)
    table = polars.DataFrame(polars.from_arrow(source))
    table.columns = names  # polars invents one for ""
    return table


def _from_pandas(frame: Any) -> Any:
    """As `DataFrame.to_parquet` takes it: an index that is more than row numbers is a column, NaN is null."""
    pyarrow = _pyarrow("tables of pandas")
    names = [str(name) for name in frame.columns]
    _check_names(names)
    try:
        return pyarrow.Table.from_pandas(frame)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        # pyarrow quotes the value; the last of its arguments names the column.
        column = re.fullmatch(r"Conversion failed for column (.*) with type (\w+)", str(error.args[-1]))
        where = f"column '{column[1][:100]}' of type {column[2]}" if column else "a column"
        raise errors.InvalidArgument(
            f"the table cannot be read: {where} holds values of several types"
        ) from None


def _stream(polars: Any, reader: Any) -> Any:
    _check_names(reader.schema.names)
    return polars.scan_arrow_c_stream(reader)


def _spooled(polars: Any, frame: Any, spool: Path) -> Any:
    """As Parquet, which is read in parts; of an Arrow file all that is read is mapped and counts as memory."""
    frame.sink_parquet(spool, compression="lz4", row_group_size=2 * BLOCK_ROWS, engine="streaming")
    return polars.scan_parquet(spool, glob=False, hive_partitioning=False)


def _file_digest(path: Path) -> bytes:
    """As `b3sum` gives it. Read in blocks: a mapping of the whole would count as memory of this process."""
    hasher = blake3(max_threads=blake3.AUTO)
    block = bytearray(_BLOCK)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            hasher.update(memoryview(block)[:size])
    return hasher.digest()


def _digest(polars: Any, tables: Iterator[Any]) -> bytes:
    """Of the rows, however they were split, sliced or kept; docs/datasets.md says how."""
    hasher = blake3()

    class Sink:
        def write(self, data: bytes) -> int:
            hasher.update(data)
            return len(data)

        def flush(self) -> None: ...

    layout = polars.CompatLevel.oldest()
    for block in _blocks(polars, tables):
        for series in block.iter_columns():
            column = series.rechunk()
            if column.dtype in (polars.Categorical, polars.Enum):
                column = column.cast(polars.String)  # codes depend on what the process saw before
            present = column.is_not_null()
            # What stands where a null is does not count. The second filter drops a bitmap that says "all present".
            values = column.filter(present).rechunk()
            values = values.filter(values.is_not_null())
            for part in (present, values):
                polars.DataFrame([part]).write_ipc_stream(Sink(), compat_level=layout)
    return hasher.digest()


def _blocks(polars: Any, tables: Iterator[Any]) -> Iterator[Any]:
    """The same rows in blocks of 8,192, at least one."""
    rest = None
    for table in tables:
        rest = table if rest is None else polars.concat([rest, table], rechunk=False)
        while rest.height > BLOCK_ROWS:
            yield rest[:BLOCK_ROWS]
            rest = rest[BLOCK_ROWS:]
    if rest is not None:
        yield rest


def _in_order(polars: Any, frame: Any) -> Iterator[Any]:
    """Slices, read one after the other: `collect_batches` reads on while the digest is behind, up to all rows."""
    rows = int(frame.select(polars.len()).collect().item())
    for start in range(0, max(rows, 1), 2 * BLOCK_ROWS):
        yield frame.slice(start, 2 * BLOCK_ROWS).collect(engine="streaming")


def _shown(source: Any) -> str:
    return f"'{Path(source).name}'" if isinstance(source, str | os.PathLike) else "the table"


def _why(error: Exception) -> str:
    """The first line of what polars says, without the cell that it quotes."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    if lines[0].startswith("could not parse") or "conversion from" in lines[0]:
        return "a value does not fit the type of its column, or a quote is not closed"
    return lines[0][:300]
