"""Turn what was measured into tables, and into the JSON that is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from figures import Figure, Rounds
from moving import OPERATIONS, Sample
from place import file_system

_PACKAGES = ("grpcio", "protobuf", "blake3", "zstandard", "pyfastcdc", "google-crc32c", "numpy", "pysqlite3")
_COLUMNS = (
    ("", 32),
    ("seconds", 8),
    ("(min–max)", 14),
    ("GB/s", 6),
    ("x cp", 6),
    ("wall s", 7),
    ("client MiB", 11),
    ("server MiB", 11),
    ("cpu s/GB client", 16),
    ("server", 7),
    ("MB moved", 9),
    ("stored", 7),
)


def title() -> str:
    """The head of the table of operations."""
    return _line([name for name, _ in _COLUMNS])


def case_lines(case: str, size: int, rounds: Rounds) -> Iterator[str]:
    """The rows of one case: medians over the rounds."""
    yield f"{case}, {size / 1e6:,.0f} MB"
    for name in OPERATIONS:
        if name in rounds[0]:
            yield _line(_cells(name, size, rounds))


def figure_lines(found: Sequence[Figure]) -> Iterator[str]:
    """What was asked for, and what came of it."""
    yield ""
    yield f"{'figure':<56} {'asked':>9} {'measured':>10}  {'(min–max)':<21} verdict"
    for figure in found:
        measured, spread = "", ""
        if figure.value is not None:
            measured = _short(figure.value)
            if len(figure.values) > 1:
                spread = f"({_short(min(figure.values))}–{_short(max(figure.values))})"
        note = f"  [{figure.note}]" if figure.note else ""
        yield f"{figure.name:<56} {figure.asked:>9} {measured:>10}  {spread:<21} {figure.verdict}{note}"


def case_json(case: str, size: int, rounds: Rounds) -> dict[str, Any]:
    """Every sample of a case."""
    return {
        "case": case,
        "bytes": size,
        "rounds": [{name: sample.to_json() for name, sample in each.items()} for each in rounds],
    }


def machine(folder: Path) -> dict[str, Any]:
    """What figures depend on; neither names nor paths of this machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _after_colon("/proc/cpuinfo", "model name"),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cells(name: str, size: int, rounds: Rounds) -> list[str]:
    samples = [each[name] for each in rounds]
    times = [sample.seconds for sample in samples]
    cp = median(each["cp"].seconds / each[name].seconds for each in rounds)
    return [
        f"  {OPERATIONS[name]}",
        f"{median(times):.3f}",
        f"({min(times):.2f}–{max(times):.2f})",
        f"{size / median(times) / 1e9:.2f}",
        f"{cp:.2f}",
        _number(_median(samples, "wall"), "{:.2f}"),
        _number(_largest(samples, "client_peak"), "{:.0f}", 1 << 20),
        _number(_largest(samples, "server_peak"), "{:.0f}", 1 << 20),
        _number(_median(samples, "client_cpu"), "{:.2f}", size / 1e9),
        _number(_median(samples, "server_cpu"), "{:.2f}", size / 1e9),
        _number(_median(samples, "moved"), "{:.1f}", 1e6),
        _number(_median(samples, "stored") if name == "push" else None, "{:.1%}", size),
    ]


def _median(samples: Sequence[Sample], name: str) -> float | None:
    values = [getattr(sample, name) for sample in samples]
    return None if None in values else median(values)


def _largest(samples: Sequence[Sample], name: str) -> int | None:
    values = [getattr(sample, name) for sample in samples]
    return None if None in values else max(values)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"


def _number(value: float | None, form: str, unit: float = 1) -> str:
    return "" if value is None else form.format(value / unit)


def _line(cells: Sequence[str]) -> str:
    padded = [cells[0].ljust(_COLUMNS[0][1])]
    padded += [
        cell.rjust(width) for cell, (_, width) in zip(cells[1:], _COLUMNS[1 : len(cells)], strict=True)
    ]
    return " ".join(padded).rstrip()


def _after_colon(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""
