"""`make bench`: every figure that is promised, measured in one run beside cp, a raw gRPC stream and what others use."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import build_logs
import crowd
import profiling
import ranges
import rates
import report
from figures import Measured, figures
from moving import RAW_STREAM, Files, Round, written_back
from processes import Failed, Server
from rivals import rivals
from sources import SMALL_FILES_PER_GIB

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MEMORY = Path("/dev/shm")
GROUPS = ("bytes", "small", "crowd", "rates", "log")
_NEEDED = 4
"""Times the size of the largest case that a run holds at once, at most."""


def main() -> int:
    """Measure, print the tables, and keep them when asked."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers and files of a run end with it
    with tempfile.TemporaryDirectory(prefix="regsvc-bench-", dir=asked.dir or _place(asked.size)) as name:
        folder = Path(name)
        try:
            document = _Run(asked, folder).document()
        except Failed as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    target = asked.json or (_result_name(asked.size) if asked.save else None)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")
    return 0


class _Run:
    """One run, group by group."""

    def __init__(self, asked: argparse.Namespace, folder: Path):
        self._asked = asked
        self._folder = folder
        self._on_memory = report.file_system(folder) == "tmpfs"
        self._groups = asked.group or GROUPS
        found, absent = rivals(asked.mlflow, asked.s3)
        self._rivals = found
        self._measured = Measured(asked.size, absent=absent)
        self._cases: list[dict[str, Any]] = []

    def document(self) -> dict[str, Any]:
        """Everything measured, as it is kept."""
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        run, share = self._measured, min(1.0, self._asked.size / 1024)
        profiles: dict[str, Any] = {}
        print(report.title(), flush=True)
        if "bytes" in self._groups or "small" in self._groups:
            with Server([sys.executable, RAW_STREAM, "serve"], self._folder / "raw.log") as raw:
                if "bytes" in self._groups:
                    self._bytes(raw)
                if "small" in self._groups:
                    small = int(1024 * share)
                    run.small = self._case(raw, "small-files", small)
                    run.shards = self._case(raw, "shards", int(640 * share))
                    run.small_count = SMALL_FILES_PER_GIB * small // 1024
        if "crowd" in self._groups:
            _say("crowd: 16 clients at once")
            self._settled(8 * run.mib // 4 << 20)
            run.crowd = crowd.measure(self._folder / "crowd", max(4, run.mib // 8), max(4, run.mib // 16))
        if "log" in self._groups:
            _say("build log")
            published, tailed = max(10_000, int(200_000 * share)), max(400, int(2000 * share))
            run.build_log = build_logs.measure(self._folder / "logs", published=published, tailed=tailed)
        if "rates" in self._groups:
            run.rates = self._rates()
        if self._asked.profile:
            _say("profiles")
            profiles = profiling.measure(self._folder / "profile", max(64, run.mib // 4))
            _print(profiling.lines(profiles))
        found = figures(run)
        _print(report.figure_lines(found))
        for name, why in run.absent.items():
            print(f"not measured, {name}: {why}")
        return {
            "format": 2,
            "started": started,
            "mib": run.mib,
            "runs": self._asked.runs,
            "machine": report.machine(self._folder),
            "against": [rival.name for rival in self._rivals.values()],
            "figures": [figure.to_json() for figure in found],
            "cases": self._cases,
            "crowd": run.crowd,
            "ranges": run.ranges,
            "tensors": run.tensors,
            "rates": run.rates,
            "build_log": run.build_log,
            "profiles": profiles,
        }

    def _bytes(self, raw: Server) -> None:
        """Random bytes and weights by turns, so that a slow minute hits both."""
        run = self._measured
        big: list[dict[str, Any]] = []
        weights: list[dict[str, Any]] = []
        for number in range(1, self._asked.runs + 1):
            last = number == self._asked.runs
            for name, mib, rounds, others in (
                ("incompressible", run.mib, big, self._rivals),
                ("bf16", max(16, run.mib // 4), weights, {}),
            ):
                _say(f"{name}: round {number} of {self._asked.runs}")
                files = Files(name, mib, self._folder / name)
                run.sizes[name] = files.size

                def after(server: Server, name: str = name) -> None:
                    found = ranges.measure(server, f"bench/{name}")
                    if name == "bf16":
                        run.tensors = found
                    else:
                        run.ranges = found

                one = Round(files, raw, others, self._settled_for(files))
                rounds.append(one.run(check=last, after=after if last else None))
                files.remove()
        run.incompressible, run.bf16 = big, weights
        for name, rounds in (("incompressible", big), ("bf16", weights)):
            self._show(name, run.sizes[name], rounds)

    def _case(self, raw: Server, name: str, mib: int) -> list[dict[str, Any]]:
        rounds = []
        files = Files(name, max(4, mib), self._folder / name)
        for number in range(1, self._asked.runs + 1):
            _say(f"{name}: round {number} of {self._asked.runs}")
            one = Round(files, raw, {}, self._settled_for(files))
            rounds.append(one.run(check=number == self._asked.runs))
        self._show(name, files.size, rounds)
        files.remove()
        return rounds

    def _rates(self) -> dict[str, Any]:
        _say("rates of calls and tails")
        if self._measured.mib >= 1024:
            return rates.measure(self._folder / "rates")
        return rates.measure(
            self._folder / "rates", calls=1000, followed_lines=2000, idle=100, index_chunks=50_000, rounds=1
        )

    def _show(self, name: str, size: int, rounds: list[dict[str, Any]]) -> None:
        _print(report.case_lines(name, size, rounds))
        self._cases.append(report.case_json(name, size, rounds))

    def _settled_for(self, files: Files) -> Callable[[Path], None]:
        return lambda folder: self._settled(files.size + (256 << 20))

    def _settled(self, size: int) -> None:
        """Before an operation: nothing to write back, and memory at hand for what it will write."""
        if self._on_memory:
            subprocess.run([sys.executable, str(HERE / "memory.py"), str(size)], check=True)
        else:
            written_back(self._folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB", help="of random bytes  [4096]")
    parser.add_argument(
        "--runs", type=int, default=5, metavar="N", help="rounds; the tables have medians  [5]"
    )
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where to work  [memory if there is room]")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only this one; repeatable")
    parser.add_argument(
        "--mlflow", default=".cache/rivals/bin/python", metavar="PYTHON", help="that has mlflow"
    )
    parser.add_argument("--s3", metavar="URL", help="an S3 endpoint to compare with, by boto3")
    parser.add_argument("--profile", action="store_true", help="also tell where the time goes, by perf")
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    keep.add_argument("--save", action="store_true", help="write the figures to bench/results")
    asked = parser.parse_args()
    if asked.size < 16 or asked.runs < 1:
        parser.error("--size is at least 16, --runs at least 1")
    return asked


def _place(mib: int) -> Path | None:
    """Memory, if it has room for a run, else the disk."""
    room = shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0
    return MEMORY if room > (_NEEDED * mib << 20) else None


def _result_name(mib: int) -> Path:
    return RESULTS / f"{time.strftime('%Y-%m-%dT%H%MZ', time.gmtime())}-{mib}mib.json"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
