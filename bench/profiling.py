"""Where the time of a push and of a pull goes, per GB: samples of perf, summed by what the code is for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import Failed, registry, regsvc, run

SOURCES = str(Path(__file__).with_name("sources.py"))
_HERTZ = 499
_LINE = re.compile(r"^\s*(\S.*?)\s+(-?\d+)/-?\d+\s+[0-9a-f]+ (.*) \((.*)\)$")
_NOTING_ITS_ID = ["sh", "-c", 'echo $$ > "$0"; exec "$@"']
"""What follows runs as the process whose id is written to the file named first."""
_WORKERS = ("kworker", "ksoftirqd", "jbd2")
"""Threads of the kernel that write back and deliver for others."""
_KERNEL = (
    ("network", re.compile(r"tcp|_copy_(to|from)_iter|skb|ip_|softirq|sock|bbr|net_|loopback")),
    ("pages of memory", re.compile(r"clear_page|fault|anon|mmap|munmap|unmap|pte|rmap")),
    ("files", re.compile(r"shmem|folio|page_cache|filemap|ext4|iomap|jbd2|vfs|xas_|copy_mc|generic_perform")),
    ("thread switches", re.compile(r"futex|sched|switch|wake|_raw_spin_unlock|epoll|eventfd|rwsem")),
)
_LIBRARIES = (
    ("hash", "blake3"),
    ("cut", "fastcdc"),
    ("encode, decode", "backend_c"),
    ("encode, decode", "_multiarray"),
    ("checksum", "crc32c"),
    ("gRPC", "cygrpc"),
    ("protobuf", "_message"),
    ("Python", "libpython"),
    ("Python", "python3"),
    ("SQLite", "sqlite"),
    ("copies", "libc.so"),
)


def measure(folder: Path, mib: int) -> dict[str, Any]:
    """CPU seconds per GB by kind of work, for a push and a pull of random bytes. Raises `Failed`."""
    if shutil.which("perf") is None:
        raise Failed("perf is not installed")
    folder.mkdir()
    run([sys.executable, SOURCES, "incompressible", str(mib), str(folder)])
    size = (mib << 20) / 1e9
    found = {}
    try:
        with registry(folder / "data") as server:
            environment = {"REGSVC_ENDPOINT": server.endpoint, "REGSVC_CACHE": "off", "REGSVC_STATE": "off"}
            for verb, arguments in (
                ("push", (str(folder / "base"), "bench/profile")),
                ("pull", ("bench/profile", str(folder / "out"))),
            ):
                samples = folder / f"{verb}.perf"
                client = folder / f"{verb}.pid"
                perf = ["perf", "record", "-q", "-a", "-F", str(_HERTZ), "-o", str(samples), "--"]
                command = regsvc(verb, *arguments, "--json")
                run([*perf, *_NOTING_ITS_ID, str(client), *command], environment)
                kinds = _kinds(samples, {server.pid, int(client.read_text())})
                found[verb] = {kind: count / _HERTZ / size for kind, count in kinds.most_common()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def lines(profiles: dict[str, Any]) -> Iterator[str]:
    """The table, largest first."""
    for verb, kinds in profiles.items():
        yield f"{verb}, CPU s/GB: " + ", ".join(f"{kind} {value:.2f}" for kind, value in kinds.items())


def _kinds(samples: Path, processes: set[int]) -> Counter[str]:
    """Samples by kind of work, of these processes and of the kernel's own threads."""
    command = ["perf", "script", "-i", str(samples), "-F", "comm,pid,tid,ip,sym,dso"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("perf script could not read what perf recorded")
    found: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        match = _LINE.match(line)
        if match and (int(match[2]) in processes or match[1].startswith(_WORKERS)):
            found[_kind(match[3], match[4])] += 1
    return found


def _kind(symbol: str, library: str) -> str:
    if "kernel" in library:
        return next((kind for kind, pattern in _KERNEL if pattern.search(symbol)), "other kernel")
    return next((kind for kind, part in _LIBRARIES if part in library.rpartition("/")[2]), "other")
