"""Turn samples into one table, and into the JSON that is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from transfers import OPERATIONS, Sample, as_json

Rounds = Sequence[dict[str, Sample]]
"""Of one case: by operation, what each round took."""

_PACKAGES = ("grpcio", "protobuf", "blake3", "zstandard", "pyfastcdc", "google-crc32c", "numpy", "pysqlite3")
_LIMIT = 512 << 20


@dataclass(frozen=True)
class Row:
    """One operation of one case: medians over the rounds."""

    case: str
    operation: str
    size: int
    """Raw bytes of the case."""
    samples: tuple[Sample, ...]
    cp: float
    """Median of the rounds' `cp` seconds divided by this operation's, round by round; 1 is as fast as cp."""
    raw: float | None
    """The same for the raw stream in the same direction."""

    @property
    def seconds(self) -> float:
        """Median."""
        return median(sample.seconds for sample in self.samples)

    def median_of(self, name: str) -> float | None:
        """Median of one figure, or None when it does not apply."""
        values = [getattr(sample, name) for sample in self.samples]
        return None if None in values else median(values)

    def largest(self, name: str) -> int | None:
        """Largest of one figure, or None when it does not apply."""
        values = [getattr(sample, name) for sample in self.samples]
        return None if None in values else max(values)

    def to_json(self) -> dict[str, Any]:
        """Medians, and every sample."""
        return {
            "case": self.case,
            "operation": self.operation,
            "bytes": self.size,
            "seconds": self.seconds,
            "ratio_to_cp": self.cp,
            "ratio_to_raw_stream": self.raw,
            "samples": [as_json(sample) for sample in self.samples],
        }


@dataclass(frozen=True)
class Target:
    """A figure that issue and design promise, and what this run says about it."""

    name: str
    wanted: str
    got: float
    held: bool


def rows(case: str, size: int, rounds: Rounds) -> list[Row]:
    """The case's part of the table. A ratio is taken within its round, so that a slow minute hits both sides."""
    made = []
    for operation in OPERATIONS:
        raw_name = {"push": "raw-up", "pull": "raw-down"}.get(operation.partition("-")[0])
        made.append(
            Row(
                case,
                operation,
                size,
                tuple(each[operation] for each in rounds),
                median(each["cp"].seconds / each[operation].seconds for each in rounds),
                median(each[raw_name].seconds / each[operation].seconds for each in rounds)
                if raw_name
                else None,
            )
        )
    return made


def targets(table: Sequence[Row]) -> list[Target]:
    """What has to hold: for 1 GiB of random bytes only, smaller sizes are dominated by what is fixed."""
    found = {row.operation: row for row in table if row.case == "incompressible"}
    if not found or found["cp"].size < 1 << 30:
        return []
    made = []
    for operation, least in (("push-cold", 0.35), ("pull-cold", 0.45)):
        ratio = found[operation].cp
        made.append(Target(f"{OPERATIONS[operation]}, of cp", f">= {least}", ratio, ratio >= least))
    for side in ("client_peak", "server_peak"):
        sizes = [row.largest(side) or 0 for row in table if row.operation.startswith(("push", "pull"))]
        name = f"largest memory of the {side.partition('_')[0]}, MiB"
        made.append(Target(name, "< 512", max(sizes) / (1 << 20), max(sizes) < _LIMIT))
    return made


_COLUMNS = (
    ("", 19),
    ("seconds", 8),
    ("(min–max)", 13),
    ("GB/s", 6),
    ("x cp", 6),
    ("x raw", 6),
    ("wall s", 7),
    ("client MiB", 11),
    ("server MiB", 11),
    ("cpu s/GB client", 16),
    ("server", 7),
    ("MB moved", 9),
    ("stored", 7),
)


def title() -> str:
    """The head of the table."""
    return _line([name for name, _ in _COLUMNS])


def case_lines(table: Sequence[Row]) -> Iterator[str]:
    """The rows of one case."""
    yield f"{table[0].case}, {table[0].size / 1e6:.0f} MB"
    for row in table:
        yield _line(_cells(row))


def log_lines(logs: dict[str, Any]) -> Iterator[str]:
    """The rows of the build log."""
    yield "build log"
    yield _line(["  publish, durable", f"{logs['publish_seconds']:.3f}"]) + (
        f" {logs['lines_per_second']:,.0f} lines/s of 100 bytes, one publisher"
    )
    yield _line(["  tail", ""]) + (
        f" p50 {logs['tail_p50_ms']:.1f} ms, p99 {logs['tail_p99_ms']:.1f} ms, max {logs['tail_max_ms']:.1f} ms"
        f" at {logs['tailed_lines_per_second']} lines/s"
    )


def target_lines(held: Sequence[Target]) -> Iterator[str]:
    """What was promised, and what came of it."""
    for target in held:
        outcome = "held" if target.held else "MISSED"
        yield f"target {target.name}: {target.got:.2f} {target.wanted}: {outcome}"


def machine(folder: Path) -> dict[str, Any]:
    """What figures depend on; neither names nor paths of this machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _after_colon("/proc/cpuinfo", "model name"),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cells(row: Row) -> list[str]:
    times = [sample.seconds for sample in row.samples]
    first_push = row.operation == "push-cold"
    moved, stored = row.median_of("moved"), row.median_of("stored")
    return [
        f"  {OPERATIONS[row.operation]}",
        f"{row.seconds:.3f}",
        f"({min(times):.2f}–{max(times):.2f})",
        f"{row.size / row.seconds / 1e9:.2f}",
        f"{row.cp:.2f}",
        _number(row.raw, "{:.2f}"),
        _number(row.median_of("wall"), "{:.2f}"),
        _number(row.largest("client_peak"), "{:.0f}", 1 << 20),
        _number(row.largest("server_peak"), "{:.0f}", 1 << 20),
        _number(row.median_of("client_cpu"), "{:.2f}", row.size / 1e9),
        _number(row.median_of("server_cpu"), "{:.2f}", row.size / 1e9),
        _number(moved, "{:.1f}", 1e6),
        _number(stored if first_push else None, "{:.1%}", row.size),
    ]


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


def _file_system(folder: Path) -> str:
    """Type of the file system that holds the folder: of its longest mount point."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, mounted, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, mounted
    return kind
