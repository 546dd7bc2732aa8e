"""Git as a program that may be slow, refuse, print without end, or leave children that hold its output open."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

SECONDS = 10.0
"""For one question; a repository on a dead network drive must not hold up a push."""


class Git:
    """Questions to git about the repository that a folder lies in."""

    def __init__(self, program: str, folder: Path) -> None:
        self.slow = False
        """Whether it did not answer in time."""
        # Never a question to a user, nor a helper that a repository's own settings name. By arguments: settings in the
        # environment (GIT_CONFIG_COUNT) may be what makes the repository safe to read.
        settings = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=true")
        self._command = [program, "-C", str(folder), "--no-optional-locks", *settings]
        self._environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def ask(self, *arguments: str) -> str:
        """One line or more of text; empty when git refuses."""
        answer = self.read(*arguments, limit=1 << 20)
        return "" if answer is None else answer.decode("utf-8", "replace").strip()

    def tracked(self) -> list[str]:
        """Files below the folder that git tracks, relative to it."""
        answer = self.read("ls-files", "-z", limit=16 << 20) or b""
        return [os.fsdecode(name) for name in answer.split(b"\0") if name]

    def read(self, *arguments: str, limit: int, cut: bool = False) -> bytes | None:
        """What git prints; None when it refuses, takes too long, or prints more than `limit` bytes.

        With `cut` the first `limit` bytes are given then, and one more, which tells.
        """
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,  # so that what it starts, and what holds our pipe, ends with it
            )
        except OSError:
            return None
        timer = threading.Timer(SECONDS, self._give_up, [process])
        timer.start()
        try:
            assert process.stdout is not None
            found = process.stdout.read(limit + 1)
            if len(found) > limit:
                _kill(process)
            status = process.wait()
        finally:
            timer.cancel()
            if process.returncode is None:  # we were interrupted, and in a session of its own it was not
                _kill(process)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if len(found) > limit:
            return found if cut else None
        return found if status == 0 else None

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        self.slow = True
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
