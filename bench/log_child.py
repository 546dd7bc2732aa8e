"""What the log benchmarks run: `log_child.py tail COUNT RATE FILE` or `log_child.py publish COUNT`.

`tail` is the child of `regsvc build run`: it prints COUNT lines, RATE a second, each the time at which it was
printed, once FILE exists. `publish` gives COUNT lines to the SDK at once, waits until all of them are durable,
and prints {"seconds": ...}.
"""

from __future__ import annotations

import json
import os
import sys
import time

LINE_BYTES = 100


def tail(count: int, rate: float, go: str) -> None:
    """Print times, at a steady pace."""
    print("waiting", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        print(time.monotonic_ns(), flush=True)  # CLOCK_MONOTONIC is the same for all processes


def publish(count: int) -> None:
    """One publisher, as fast as it goes, to the last acknowledgement."""
    import regsvc

    client = regsvc.connect()
    with client.build("bench/publish") as build:
        build.log("ready")
        build.flush()
        started = time.monotonic()
        for number in range(count):
            build.log(f"{number:>{LINE_BYTES}}")
        build.flush()
        seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    if sys.argv[1] == "tail":
        tail(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    else:
        publish(int(sys.argv[2]))
