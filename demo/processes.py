"""Real processes for the demo: a server, commands, followers. Every one is ended, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT = 60.0
STOP_LIMIT = 40.0


class CommandFailed(RuntimeError):
    """A command did not exit with 0; the message has its stderr."""


@contextlib.contextmanager
def server(data: Path) -> Iterator[str]:
    """`regsvc serve` on a free port; gives its address."""
    with (data.parent / "server.log").open("w") as log:
        command = _regsvc("serve", "--data", str(data), "--listen", "127.0.0.1:0")
        with _ended(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)) as process:
            killer = threading.Timer(START_LIMIT, process.kill)
            killer.start()
            line = process.stdout.readline()
            killer.cancel()
            if not line.startswith("regsvc listening on "):
                raise CommandFailed(f"the server did not start: {Path(log.name).read_text()}")
            yield line.removeprefix("regsvc listening on ").strip()
        if process.returncode != 0:
            raise CommandFailed(
                f"the server ended with status {process.returncode}: {Path(log.name).read_text()}"
            )


class Regsvc:
    """The command line, against one server."""

    def __init__(self, endpoint: str, folder: Path, say: Callable[[str], None]) -> None:
        self._environment = {
            **os.environ,
            "REGSVC_ENDPOINT": endpoint,
            "REGSVC_AUTHOR": "ann",
            # Nothing of the demo stays behind.
            "REGSVC_CACHE": str(folder / "cache"),
            "REGSVC_STATE": str(folder / "state"),
            # The build's steps are a module of this folder.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        self._say = say

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and give the document it printed."""
        self._say(f"$ regsvc {shlex.join(arguments)}")
        done = subprocess.run(
            _regsvc(*arguments, "--json"),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"regsvc {shlex.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        """Run a command that has to be refused, with status 1, and give its line of error."""
        self._say(f"$ regsvc {shlex.join(arguments)}")
        done = subprocess.run(
            _regsvc(*arguments), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 1:
            raise CommandFailed(f"regsvc {shlex.join(arguments)} ended with {done.returncode}: {done.stdout}")
        return done.stderr.strip()

    def text(self, *arguments: str) -> str:
        """Run a command and give what it printed for people."""
        self._say(f"$ regsvc {shlex.join(arguments)}")
        done = subprocess.run(
            _regsvc(*arguments), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CommandFailed(f"regsvc {shlex.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def started(self, *arguments: str, output: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside this process; its stdout goes to a file, or can be read line by line."""
        self._say(f"$ regsvc {shlex.join(arguments)} &")
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(output.open("w")) if output else subprocess.PIPE
            process = subprocess.Popen(
                _regsvc(*arguments), env=self._environment, stdout=target, stderr=subprocess.PIPE, text=True
            )
            yield stack.enter_context(_ended(process))


def finished(process: subprocess.Popen[str], what: str) -> None:
    """Wait for a process whose stdout was read or goes to a file; raises when its status is not 0."""
    complaint = process.stderr.read()
    if process.wait() != 0:
        raise CommandFailed(f"{what} ended with status {process.returncode}: {complaint.strip()}")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _regsvc(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "regsvc", *arguments]
