"""What many tests use: a real server process, the real command line, and waiting for conditions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

START_LIMIT = 60.0
"""Seconds that a server may take to say that it listens, on the slowest machine."""


class Server:
    """A real `regsvc serve` process on one data directory; it can be killed and started again."""

    def __init__(
        self, data: Path, *flags: str, listen: str = "127.0.0.1:0", env: dict[str, str] | None = None
    ):
        self.data = data
        self.flags = flags
        self.listen = listen
        self.env = env or {}
        self.endpoint = ""
        self.process: subprocess.Popen[str] | None = None
        self.stderr: list[str] = []
        self._reader: threading.Thread | None = None

    def start(self) -> Server:
        command = [sys.executable, "-m", "regsvc", "serve", "--data", str(self.data), "--listen", self.listen]
        self.process = subprocess.Popen(
            [*command, *self.flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env},
        )
        self._reader = threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("regsvc listening on "):
            self.process.wait(timeout=START_LIMIT)
            raise AssertionError(f"server did not start: {line!r} {''.join(self.stderr)}")
        self.endpoint = line.removeprefix("regsvc listening on ").strip()
        self.listen = self.endpoint  # a restart takes the same address
        return self

    def _drain(self, pipe: object) -> None:
        for line in pipe:  # type: ignore[attr-defined]
            self.stderr.append(line)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as a power cut would to the process."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, then the exit status."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            code = self._reap()
        return code

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait()
        if self._reader is not None:
            self._reader.join(timeout=10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process = None
        return code

    def restart(self) -> Server:
        if self.process is not None:
            self.stop()
        return self.start()

    def cli(self, *args: str, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Run `regsvc ARGS` against this server and capture its output."""
        return run_cli(*args, endpoint=self.endpoint, check=check, **kwargs)


def run_cli(
    *args: str, endpoint: str, check: bool = True, **kwargs: object
) -> subprocess.CompletedProcess[str]:
    """Run `regsvc ARGS` with REGSVC_ENDPOINT set; raises with its stderr when `check` and it fails."""
    env = {**os.environ, "REGSVC_ENDPOINT": endpoint, **kwargs.pop("env", {})}  # type: ignore[dict-item]
    timeout = kwargs.pop("timeout", 120)
    done = subprocess.run(  # noqa: PLW1510 - the caller decides with `check`
        [sys.executable, "-m", "regsvc", *args],
        capture_output=True,
        text=True,
        env=env,
        timeout=timeout,
        **kwargs,
    )  # type: ignore[call-overload]
    if check and done.returncode != 0:
        raise AssertionError(f"regsvc {' '.join(args)} exited {done.returncode}: {done.stderr}")
    return done


def wait_until(condition: Callable[[], object], limit: float = 60.0, what: str = "condition") -> None:
    """Wait for a condition, never for a time; fails after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {limit} s")
        time.sleep(0.01)
