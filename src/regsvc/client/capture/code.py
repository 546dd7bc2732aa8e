"""The git repository that a folder lies in: remote, commit, branch, and what is not committed."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from regsvc.client.capture.snapshot import SNAPSHOT
from regsvc.client.capture.snapshot import snapshot as take_snapshot
from regsvc.content.record import Code

MAX_DIFF_BYTES = 16 << 20
"""A larger diff is not kept: it holds data, not code."""
DIFF = "code.diff"
"""Name of the attachment."""

_SECONDS = 10.0
"""For one question to git; a repository on a dead network drive must not hold up a push."""


def capture_code(
    folder: Path, attachments: dict[str, bytes], gaps: list[str], *, snapshot: bool = False
) -> Code:
    """What git tells of the folder; empty outside of a repository. Untracked files are counted, not kept."""
    code, tracked = _of_git(folder, attachments, gaps)
    packed = take_snapshot(folder, tracked() if tracked else None, gaps) if snapshot else None
    if packed is None:
        return code
    attachments[SNAPSHOT] = packed
    return replace(code, snapshot=SNAPSHOT)


def _of_git(
    folder: Path, attachments: dict[str, bytes], gaps: list[str]
) -> tuple[Code, Callable[[], list[str]] | None]:
    """What git tells, and how to list the files below the folder that it tracks."""
    git = shutil.which("git")
    if git is None:
        if any((parent / ".git").exists() for parent in (folder.absolute(), *folder.absolute().parents)):
            gaps.append("code: git is not installed")
        return Code(), None
    repository = _Git(git, folder)
    if repository.ask("rev-parse", "--is-inside-work-tree") != "true":
        if repository.slow:
            gaps.append(f"code: git did not answer within {_SECONDS:g} s")
        return Code(), None
    remote = without_credentials(repository.ask("remote", "get-url", "origin") or _first_remote(repository))
    commit = repository.ask("rev-parse", "--verify", "--quiet", "HEAD")
    branch = repository.ask("symbolic-ref", "--short", "--quiet", "HEAD")
    if not commit:
        gaps.append("code: the repository has no commits")
        dirty = bool(repository.ask("status", "--porcelain"))
        return Code(remote=remote, branch=branch, dirty=dirty), repository.tracked
    status = repository.ask("status", "--porcelain", "--untracked-files=normal").splitlines()
    untracked = sum(line.startswith("??") for line in status)
    if untracked:
        gaps.append(f"code: {untracked} untracked files or folders are not in the diff")
    changed = len(status) > untracked
    name = ""
    if changed:
        diff = repository.read(
            "diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", limit=MAX_DIFF_BYTES
        )
        if diff is None:
            gaps.append(f"code: the diff is larger than {MAX_DIFF_BYTES >> 20} MiB, or could not be read")
        else:
            attachments[DIFF] = diff
            name = DIFF
    if repository.slow:
        gaps.append(f"code: git did not answer within {_SECONDS:g} s")
    code = Code(remote=remote, commit=commit, branch=branch, dirty=bool(status), diff=name)
    return code, repository.tracked


def without_credentials(url: str) -> str:
    """A URL without user, password, query and fragment; `git@host:path` stays as it is."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


class _Git:
    def __init__(self, program: str, folder: Path) -> None:
        self.slow = False
        self._command = [program, "-C", str(folder), "--no-optional-locks"]
        # Never a question to a user, nor a helper that a repository's own settings name.
        self._environment = {
            **os.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.fsmonitor",
            "GIT_CONFIG_VALUE_0": "false",
            "LC_ALL": "C",
        }

    def ask(self, *arguments: str) -> str:
        """One line or more of text; empty when git refuses."""
        answer = self.read(*arguments, limit=1 << 20)
        return "" if answer is None else answer.decode("utf-8", "replace").strip()

    def tracked(self) -> list[str]:
        """Files below the folder that git tracks, relative to it."""
        answer = self.read("ls-files", "-z", limit=16 << 20) or b""
        return [os.fsdecode(name) for name in answer.split(b"\0") if name]

    def read(self, *arguments: str, limit: int) -> bytes | None:
        """What git prints; None when it refuses, takes too long, or prints more than `limit` bytes."""
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
        except OSError:
            return None
        timer = threading.Timer(_SECONDS, self._give_up, [process])
        timer.start()
        try:
            assert process.stdout is not None
            found = process.stdout.read(limit + 1)
            if len(found) > limit:
                process.kill()
            status = process.wait()
        finally:
            timer.cancel()
            if process.stdout is not None:
                process.stdout.close()
        return found if status == 0 and len(found) <= limit else None

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        self.slow = True
        process.kill()


def _first_remote(repository: _Git) -> str:
    names = repository.ask("remote").splitlines()
    return repository.ask("remote", "get-url", names[0]) if names else ""
