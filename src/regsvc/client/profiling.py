"""Profiles of datasets by polars, which `pip install regsvc[data]` brings; files are streamed, not loaded.

Numbers and times are counted into 1,024 bins between the smallest and the largest value, in a second pass; quantiles
are read from these. Text is ranked by frequency while it has at most a million distinct values.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from regsvc import errors
from regsvc.content.profile import MAX_COLUMNS, Column, Profile

TOP = 20
BINS = 64
_FINE = 1024
_EXACT = 100_000
"""Distinct values up to which they are counted exactly."""
_RANKED = 1_000_000
"""Distinct values up to which text is ranked."""
_TOGETHER = 16
"""Columns of one pass."""
_BLOCK = 8 << 20
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SUFFIXES = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}


def profile(source: Any) -> tuple[Profile, bytes]:
    """The profile of a CSV, Parquet or Arrow file, or of a polars, pandas or Arrow table, and its digest.

    The digest of a file is that of its bytes (`b3sum`); of a table that of its Arrow IPC stream, as polars writes it.
    Raises `InvalidArgument` for what cannot be read, saying why, `FailedPrecondition` without polars, `OSError`.
    """
    polars = _polars()
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        frame = _scan(polars, path)
        digest = _file_digest(path)
    else:
        table = _table(polars, source)
        frame, digest = table.lazy(), _digest(table)
    try:
        return _profile(polars, frame), digest
    except polars.exceptions.PolarsError as error:
        what = f"'{Path(source).name}'" if isinstance(source, str | os.PathLike) else "the table"
        raise errors.InvalidArgument(f"{what} cannot be read: {_first_line(error)}") from None


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise errors.FailedPrecondition(
            "datasets need polars: pip install 'regsvc[data]'", extra="data"
        ) from None
    return polars


def _scan(polars: Any, path: Path) -> Any:
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(_SUFFIXES)
        raise errors.InvalidArgument(f"'{path.name}' is of no known kind: {known}")
    if not path.stat().st_size:
        raise errors.InvalidArgument(f"'{path.name}' is empty")
    try:
        if kind == "Parquet":
            return polars.scan_parquet(path)
        if kind == "Arrow":
            return polars.scan_ipc(path)
        return polars.scan_csv(path, separator="\t" if path.suffix.lower() == ".tsv" else ",")
    except polars.exceptions.PolarsError as error:
        raise errors.InvalidArgument(f"'{path.name}' cannot be read: {_first_line(error)}") from None


def _table(polars: Any, source: Any) -> Any:
    if isinstance(source, polars.LazyFrame):
        return source.collect()
    if isinstance(source, polars.DataFrame):
        return source
    module = type(source).__module__.partition(".")[0]
    if module == "pandas":
        return polars.from_pandas(source)
    if module == "pyarrow":
        return polars.from_arrow(source)
    raise errors.InvalidArgument(f"a {type(source).__name__} is no dataset: a path or a table is expected")


def _file_digest(path: Path) -> bytes:
    """As `b3sum` gives it. Read in blocks: a mapping of the whole would count as memory of this process."""
    hasher = blake3(max_threads=blake3.AUTO)
    block = bytearray(_BLOCK)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            hasher.update(memoryview(block)[:size])
    return hasher.digest()


def _digest(table: Any) -> bytes:
    hasher = blake3()

    class Sink:
        def write(self, data: bytes) -> int:
            hasher.update(data)
            return len(data)

        def flush(self) -> None: ...

    table.write_ipc_stream(Sink())
    return hasher.digest()


def _profile(polars: Any, frame: Any) -> Profile:
    schema = frame.collect_schema()
    if len(schema) > MAX_COLUMNS:
        raise errors.InvalidArgument(f"{len(schema)} columns, at most {MAX_COLUMNS}", limit=MAX_COLUMNS)
    rows = int(_collect(frame.select(polars.len())).item())
    names = list(schema)
    found: list[Column] = []
    for start in range(0, len(names), _TOGETHER):
        part = names[start : start + _TOGETHER]
        basics = _basics(polars, frame, {name: schema[name] for name in part})
        found += [
            _column(polars, frame, name, schema[name], basics[place], rows) for place, name in enumerate(part)
        ]
    return Profile(rows, found)


def _basics(polars: Any, frame: Any, types: dict[str, Any]) -> list[dict[str, Any]]:
    """One pass over some columns: counts, extremes, moments, distinct values."""
    expressions = []
    for place, (name, kind) in enumerate(types.items()):
        column = polars.col(name)
        wanted = {"nulls": column.null_count()}
        if _numeric(kind):
            value = _value(polars, name, kind)
            wanted |= {
                "finite": value.count(),
                "min": value.min(),
                "max": value.max(),
                "mean": value.mean(),
                "std": value.std(),
                "distinct": value.approx_n_unique(),
            }
        elif _ranked(polars, kind):
            wanted["distinct"] = column.cast(polars.String).approx_n_unique()
            lengths = column.cast(polars.String).str.len_chars()
            wanted |= {"min": lengths.min(), "max": lengths.max()}
        expressions += [expression.alias(f"{place}:{key}") for key, expression in wanted.items()]
    row = _collect(frame.select(expressions)).row(0, named=True)
    return [
        {key.partition(":")[2]: value for key, value in row.items() if key.partition(":")[0] == str(place)}
        for place in range(len(types))
    ]


def _column(polars: Any, frame: Any, name: str, kind: Any, basics: dict[str, Any], rows: int) -> Column:
    nulls, shown = int(basics["nulls"]), str(kind)[:1000]
    plain = Column(name[:1000], shown, rows - nulls, nulls)
    if _numeric(kind):
        finite = int(basics["finite"])
        if not finite:
            return Column(plain.name, shown, plain.count, nulls, not_finite=plain.count)
        low, high = float(basics["min"]), float(basics["max"])
        fine = _histogram(polars, frame, _value(polars, name, kind), low, high)
        distinct, approximate = _distinct(polars, frame, _value(polars, name, kind), int(basics["distinct"]))
        return Column(
            plain.name,
            shown,
            plain.count,
            nulls,
            plain.count - finite,
            distinct,
            approximate,
            low,
            high,
            float(basics["mean"]),
            None if basics["std"] is None else float(basics["std"]),
            {str(share): _quantile(fine, low, high, share) for share in _SHARES},
            (*(low + (high - low) * place / BINS for place in range(BINS)), high),
            tuple(sum(fine[place : place + _FINE // BINS]) for place in range(0, _FINE, _FINE // BINS)),
        )
    if _ranked(polars, kind):
        value = polars.col(name).cast(polars.String)
        distinct, approximate = _distinct(polars, frame, value, int(basics["distinct"]) - bool(nulls))
        return Column(
            plain.name,
            shown,
            plain.count,
            nulls,
            distinct=distinct,
            approximate=approximate,
            min=basics["min"] if kind == polars.String else None,
            max=basics["max"] if kind == polars.String else None,
            top=_top(polars, frame, value) if distinct <= _RANKED else (),
        )
    return plain


def _distinct(polars: Any, frame: Any, value: Any, estimate: int) -> tuple[int, bool]:
    if estimate > _EXACT:
        return estimate, True
    return int(_collect(frame.select(value.drop_nulls().n_unique())).item()), False


def _histogram(polars: Any, frame: Any, value: Any, low: float, high: float) -> list[int]:
    if high <= low:
        counts = [0] * _FINE
        counts[0] = int(_collect(frame.select(value.count())).item())
        return counts
    # Halves, since the whole span may not fit a double.
    place = (value / 2 - low / 2) / (high / 2 - low / 2) * _FINE
    bins = place.floor().clip(0, _FINE - 1).cast(polars.UInt32).alias("bin")
    found = _collect(frame.select(bins).drop_nulls().group_by("bin").len())
    counts = [0] * _FINE
    for number, count in found.iter_rows():
        counts[number] = count
    return counts


def _quantile(bins: Sequence[int], low: float, high: float, share: float) -> float:
    wanted, seen = share * sum(bins), 0.0
    for place, count in enumerate(bins):
        if count and seen + count >= wanted:
            return low + (high - low) * (place + (wanted - seen) / count) / len(bins)
        seen += count
    return high


def _top(polars: Any, frame: Any, value: Any) -> tuple[tuple[str, int], ...]:
    counted = frame.select(value.alias("value")).drop_nulls().group_by("value").len("count")
    found = _collect(counted.top_k(TOP, by=["count", "value"]))
    ranked = ((text[:200], count) for text, count in found.iter_rows())
    return tuple(sorted(ranked, key=lambda each: (-each[1], each[0])))


def _value(polars: Any, name: str, kind: Any) -> Any:
    """Numbers that are finite; times in the unit of their type."""
    column = polars.col(name)
    if kind.is_temporal():
        return column.to_physical().cast(polars.Float64)
    if kind.is_float():
        return polars.when(column.is_finite()).then(column).cast(polars.Float64)
    return column.cast(polars.Float64)


def _numeric(kind: Any) -> bool:
    return bool(kind.is_numeric() or kind.is_temporal())


def _ranked(polars: Any, kind: Any) -> bool:
    return kind in (polars.String, polars.Boolean, polars.Categorical) or kind == polars.Enum


def _collect(frame: Any) -> Any:
    return frame.collect(engine="streaming")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
