"""One run: its groups in order, and all that came of them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import build_logs
import crowd
import profiling
import ranges
import rates
import report
import search
from figures import Measured, Rounds, figures
from moving import RAW_STREAM, Files, Round
from place import DISK, Place
from processes import Failed, Server
from rivals import Rival, rivals
from sources import SMALL_FILES_PER_GIB

GROUPS = ("bytes", "small", "ranges", "crowd", "log", "rates", "search", "profile")
_CLIENT = 150
"""MiB that a client of the crowd may take, besides what it pulls."""
_GIB = 1024


class Session:
    """What is measured, with the arguments of the command line."""

    def __init__(self, asked: argparse.Namespace, place: Place):
        self.broken = False
        """Whether a group ended before its end; the others are measured all the same."""
        self._asked = asked
        self._place = place
        self._folder = place.folder
        self._share = min(1.0, asked.size / _GIB)
        self._rivals, absent = rivals(asked.mlflow, asked.s3)
        self._measured = Measured(asked.size, absent=absent)
        self._cases: list[dict[str, Any]] = []
        self._profiles: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Measure and print; gives what is kept."""
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        run = self._measured
        _print([report.title()])
        groups: dict[str, Callable[[], None]] = {
            "bytes": self._bytes,
            "small": self._small,
            "ranges": self._ranges,
            "crowd": self._crowd,
            "log": self._log,
            "rates": self._rates,
            "search": self._search,
            "profile": self._profile,
        }
        for name in self._asked.group or GROUPS:
            with self._kept(name):
                groups[name]()
        found = figures(run)
        _print(profiling.lines(self._profiles))
        _print(report.figure_lines(found))
        return {
            "format": 4,
            "started": started,
            "mib": run.mib,
            "runs": self._asked.runs,
            "machine": report.machine(self._folder),
            "against": [rival.name for rival in self._rivals.values()],
            "seconds": self._seconds,
            "figures": [figure.to_json() for figure in found],
            "absent": run.absent,
            "cases": self._cases,
            "crowd_pulls": run.crowd_pulls,
            "crowd_pushes": run.crowd_pushes,
            "ranges": run.ranges,
            "rates": run.rates,
            "search": run.search,
            "build_log": run.build_log,
            "profiles": self._profiles,
        }

    @contextmanager
    def _kept(self, group: str) -> Iterator[None]:
        """What a group found before it broke is kept, and so is why it broke."""
        began = time.monotonic()
        try:
            yield
        except (Failed, OSError, subprocess.CalledProcessError) as error:
            self.broken = True
            self._measured.absent[group] = f"broke: {error}"
            _say(f"{group} broke: {error}")
        self._seconds[group] = round(time.monotonic() - began, 1)

    def _bytes(self) -> None:
        """Random bytes and weights by turns, so that a slow minute hits both."""
        run, folder = self._measured, self._folder
        plan: tuple[tuple[str, int, list[Any], dict[str, Rival]], ...] = (
            ("incompressible", run.mib, run.incompressible, self._rivals),
            ("bf16", max(16, run.mib // 4), run.bf16, {}),
        )
        with self._raw_stream() as raw:
            for number, check in self._rounds():
                for name, mib, rounds, others in plan:
                    _say(f"{name}: round {number} of {self._asked.runs}")
                    files = Files(name, mib, folder / name)
                    run.sizes[name] = files.size
                    rounds.append(Round(files, raw, others, self._place.settle).run(check=check))
                    files.remove()
        for name, _, rounds, _ in plan:
            self._show(name, run.sizes[name], rounds)

    def _small(self) -> None:
        run = self._measured
        small, shards = max(4, int(_GIB * self._share)), max(4, int(640 * self._share))
        run.small_count = SMALL_FILES_PER_GIB * small // _GIB
        with self._raw_stream() as raw:
            for name, mib, rounds in (("small-files", small, run.small), ("shards", shards, run.shards)):
                files = Files(name, mib, self._folder / name)
                for number, check in self._rounds():
                    _say(f"{name}: round {number} of {self._asked.runs}")
                    rounds.append(Round(files, raw, {}, self._place.settle).run(check=check))
                self._show(name, files.size, rounds)
                files.remove()

    def _ranges(self) -> None:
        _say("ranges of a large file")
        run = self._measured
        run.ranges += ranges.measure(self._folder / "ranges", max(64, run.mib), self._asked.runs)

    def _crowd(self) -> None:
        """As large as asked for where memory holds sixteen copies, else as large as it holds."""
        run, folder = self._measured, self._folder
        fits = ((self._place.room >> 20) - crowd.CLIENTS * _CLIENT) // (crowd.CLIENTS + 1)
        mib = max(4, min(_GIB, fits // 64 * 64, run.mib // 4))
        _say(f"crowd: {crowd.CLIENTS} clients pull {mib} MiB")
        run.crowd_pulls += crowd.measure_pulls(folder / "crowd", mib, self._asked.runs, self._place.settle)
        mib = max(4, min(512, fits // 64 * 64, run.mib // 8))
        _say(f"crowd: {crowd.CLIENTS} clients push {mib} MiB")
        waiting = DISK if self._place.in_memory else folder  # memory is for what they write
        with tempfile.TemporaryDirectory(prefix="regsvc-bench-", dir=waiting) as sources:
            run.crowd_pushes += crowd.measure_pushes(
                folder / "crowd", Path(sources), mib, self._asked.runs, self._place.settle
            )

    def _log(self) -> None:
        _say("build log")
        published, tailed = max(10_000, int(200_000 * self._share)), max(400, int(2000 * self._share))
        self._measured.build_log = build_logs.measure(
            self._folder / "logs", published=published, tailed=tailed, rounds=self._asked.runs
        )

    def _rates(self) -> None:
        """Calls, tails and a large index."""
        small: dict[str, Any] = {}
        if self._share < 1:
            small = {"calls": 1000, "followed_lines": 2000, "idle": 100, "index_chunks": 50_000}
        for number, _ in self._rounds():
            _say(f"rates of calls and tails: round {number} of {self._asked.runs}")
            self._measured.rates.append(rates.measure(self._folder / "rates", rounds=1, **small))

    def _search(self) -> None:
        versions = 1_000_000 if self._share >= 1 else 20_000
        _say(f"searches among {versions:,} versions")
        self._measured.search = search.measure(
            self._folder / "search", versions=versions, rounds=self._asked.runs
        )

    def _profile(self) -> None:
        _say("profiles")
        self._profiles = profiling.measure(self._folder / "profile", max(64, self._measured.mib // 4))

    def _raw_stream(self) -> Server:
        return Server([sys.executable, RAW_STREAM, "serve"], self._folder / "raw.log")

    def _rounds(self) -> Iterator[tuple[int, bool]]:
        """The number of each round, and whether it is the last, which compares what came back."""
        last = self._asked.runs
        return ((number, number == last) for number in range(1, last + 1))

    def _show(self, name: str, size: int, rounds: Rounds) -> None:
        _print(report.case_lines(name, size, rounds))
        self._cases.append(report.case_json(name, size, rounds))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
