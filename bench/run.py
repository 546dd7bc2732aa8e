"""`make bench`: cp, a raw gRPC stream, push and pull of the same bytes, in one run and one table."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import build_logs
import report
from processes import Failed, Server
from sources import CASES
from transfers import RAW_STREAM, Case

RESULTS = Path(__file__).with_name("results")


def main() -> int:
    """Measure, print the table, and keep it when asked."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers and files of a run end with it
    with tempfile.TemporaryDirectory(prefix="regsvc-bench-", dir=asked.dir) as name:
        folder = Path(name)
        try:
            document = _measure(asked, folder)
        except Failed as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    target = asked.json or (_result_name(asked.size) if asked.save else None)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    table: list[report.Row] = []
    raw_command = [sys.executable, RAW_STREAM, "serve"]
    print(report.title(), flush=True)
    with Server(raw_command, folder / "raw.log") as raw:
        for name in asked.case or CASES:
            _say(f"{name}: making the files")
            case = Case(name, asked.size, folder / name)
            rounds = []
            for number in range(1, asked.runs + 1):
                _say(f"{name}: round {number} of {asked.runs}")
                rounds.append(case.round(raw, check=number == asked.runs))
            made = report.rows(name, case.size, rounds)
            _print(report.case_lines(made))
            table += made
            case.remove()
    logs = None
    if not asked.case:
        _say("build log")
        share = min(1.0, asked.size / 1024)
        logs = build_logs.measure(
            folder / "logs", published=max(10_000, int(200_000 * share)), tailed=max(400, int(2000 * share))
        )
        _print(report.log_lines(logs))
    held = report.targets(table)
    _print(report.target_lines(held))
    return {
        "format": 1,
        "started": started,
        "mib": asked.size,
        "runs": asked.runs,
        "machine": report.machine(folder),
        "targets": [vars(target) for target in held],
        "transfers": [row.to_json() for row in table],
        "build_log": logs,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of each case  [1024]")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="rounds; the table has medians  [3]")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where to work: /dev/shm leaves the disk out")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; repeatable")
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    keep.add_argument("--save", action="store_true", help="write the figures to bench/results")
    asked = parser.parse_args()
    if asked.size < 4 or asked.runs < 1:
        parser.error("--size is at least 4, --runs at least 1")
    return asked


def _result_name(mib: int) -> Path:
    return RESULTS / f"{time.strftime('%Y-%m-%dT%H%MZ', time.gmtime())}-{mib}mib.json"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
