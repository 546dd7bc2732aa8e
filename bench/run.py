"""`make bench`: every figure that is promised, measured in one run beside cp, a raw gRPC stream and what others use."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from place import Place, choose
from session import GROUPS, Session

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure, print the tables, and keep them when asked; 1 if a part of it broke."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers and files of a run end with it
    os.environ["REGSVC_CACHE"] = os.environ["REGSVC_STATE"] = "off"  # what measures them says where
    with tempfile.TemporaryDirectory(prefix="regsvc-bench-", dir=asked.dir or choose(asked.size)) as folder:
        with Place(Path(folder)) as place:
            session = Session(asked, place)
            document = session.run()
    target = asked.json or (_result_name(asked.size) if asked.save else None)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if session.broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--size", type=int, default=4096, metavar="MIB", help="of random bytes  [4096]")
    parser.add_argument(
        "--runs", type=int, default=5, metavar="N", help="rounds; the tables have medians  [5]"
    )
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where to work  [memory if there is room]")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only this one; repeatable")
    parser.add_argument(
        "--mlflow", default=".cache/rivals/bin/python", metavar="PYTHON", help="that has mlflow and boto3"
    )
    parser.add_argument("--s3", metavar="URL", help="an S3 endpoint to compare with, by boto3")
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    keep.add_argument("--save", action="store_true", help="write the figures to bench/results")
    asked = parser.parse_args()
    if asked.size < 16 or asked.runs < 1:
        parser.error("--size is at least 16, --runs at least 1")
    return asked


def _result_name(mib: int) -> Path:
    return RESULTS / f"{time.strftime('%Y-%m-%dT%H%MZ', time.gmtime())}-{mib}mib.json"


if __name__ == "__main__":
    sys.exit(main())
