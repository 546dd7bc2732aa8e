"""Commands that are run when something has changed: with a time limit, in a process group of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO

from regsvc.errors import RegsvcError

GRACE = 5.0
"""Seconds between asking the group to end and killing it."""
_STDERR = 2
"""Our stdout is for what the follower says."""
_SAID = 300
"""Characters of what a command complained about that are told."""


class HookFailed(RegsvcError):
    """A command did not end with 0 within its time."""

    reason = "HOOK_FAILED"


def run_hook(command: str, variables: Mapping[str, str], timeout: float) -> None:
    """Run a shell command, its output on our stderr. Raises `HookFailed`, with the last line of its stderr."""
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command,
                shell=True,
                env={**os.environ, **variables},
                stdout=_STDERR,
                stderr=complaints,
                start_new_session=True,
            )
        except OSError as error:
            raise HookFailed(f"the hook cannot be started: {error.strerror}") from None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            raise HookFailed(f"the hook did not end within {timeout:g} s{_said(complaints)}") from None
        except BaseException:
            _end(process)
            raise
        said = _said(complaints)
        if status != 0:
            how = f"status {status}" if status > 0 else signal.Signals(-status).name
            raise HookFailed(f"the hook ended with {how}{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """TERM, then KILL, to the whole group; what the command left behind in it too."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    process.wait()


def _said(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    text = complaints.read().decode(errors="replace")
    sys.stderr.write(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {''.join(char for char in lines[-1] if char.isprintable())[:_SAID]}" if lines else ""
