"""A commit of a git repository in the work folder: nothing is asked, no hook runs, only that commit is fetched."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

from regsvc.client.capture.credentials import without_any_credentials
from regsvc.client.working.own_processes import MARK
from regsvc.client.working.stopping import Stop, WorkFailed
from regsvc.client.working.work_folder import WorkFolder

SECONDS = 1800.0
"""Longest time for one command of git."""

_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:[^:].*|[A-Za-z0-9.-]{2,}:[^:/@][^@]*")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_SHORT = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|^[-+/]")
"""What no name of a branch or tag holds (git-check-ref-format), and what git would take for an option."""
_SETTINGS = (
    *(
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.askPass=",
        "gc.auto=0",
        "maintenance.auto=false",
    ),
    *("fetch.recurseSubmodules=false", "submodule.recurse=false", "protocol.ext.allow=never"),
    *("advice.detachedHead=false", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60"),
)
_SAID = 400
"""Characters of what git complains about that are told."""
_OUTPUT = 1 << 20


@dataclass(frozen=True)
class Checkout:
    """What is in the work folder."""

    url: str
    commit: str
    branch: str
    """Empty for a tag or a commit."""


def check_url(url: str) -> None:
    """Raises `WorkFailed` for one with credentials, or that git would take for something else than a repository."""
    if not url or url.startswith("-") or any(ord(char) < 0x20 for char in url):
        raise WorkFailed("the source's URL is none")
    scheme = _SCHEME.match(url)
    if scheme is None:
        if not url.startswith("/") and ("::" in url or not _SCP.fullmatch(url)):
            raise WorkFailed("the source's URL is no https, ssh or absolute path")
        return
    if scheme[1].lower() not in _SCHEMES:
        raise WorkFailed(f"the source's URL begins with {scheme[1]}://, which is not fetched")
    try:
        parts = urlsplit(url)
        with_credentials = parts.password is not None or (
            parts.username is not None and parts.scheme.lower() in ("http", "https")
        )
    except ValueError:
        raise WorkFailed("the source's URL is none") from None
    if with_credentials or parts.query or parts.fragment:
        raise WorkFailed(
            "the source's URL has credentials in it, or a query that may be one; the runner has its own"
        )


class GitFetch:
    """Brings one commit into the empty work folder of a build."""

    def __init__(self, folder: WorkFolder, stop: Stop) -> None:
        self._folder = folder
        self._stop = stop
        self._program = shutil.which("git") or ""
        self._environment = {
            # Whoever runs the runner may have said how ssh is to be called; else it must not wait for a keyboard.
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15",
            **{name: value for name, value in os.environ.items() if name not in _REPOSITORY},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES),
            "LC_ALL": "C",
            MARK: folder.path,
        }

    def fetch(self, url: str, wanted: str) -> Checkout:
        """Check out a commit id, tag or branch. Raises `WorkFailed`, `Halted`."""
        check_url(url)
        if not self._program:
            raise WorkFailed("git is not installed on the runner")
        if not wanted or _NO_REF.search(wanted):
            raise WorkFailed(f"'{wanted[:100]}' is no commit, tag or branch")
        self._git("init", "--quiet", "--template=", ".")
        self._git("remote", "add", "origin", url)
        shown, _ = without_any_credentials(url)
        ref = "" if _COMMIT.fullmatch(wanted) else self._look_up(wanted, shown)
        if ref:
            self._git("fetch", "--quiet", "--depth=1", "--no-tags", "origin", f"+{ref}:refs/regsvc/source")
            commit = self._commit_of("refs/regsvc/source")
        elif _SHORT.fullmatch(wanted):
            commit = self._by_id(wanted, shown)
        else:
            commit = ""
        if not commit:
            raise WorkFailed(f"there is no commit, tag or branch '{wanted}' in {shown}")
        self._git("checkout", "--quiet", "--force", "--detach", commit)
        return Checkout(shown, commit, ref.removeprefix(_HEADS) if ref.startswith(_HEADS) else "")

    def _look_up(self, wanted: str, shown: str) -> str:
        """The full name of a tag or branch; empty when the repository has none of that name."""
        names = (f"refs/tags/{wanted}", f"{_HEADS}{wanted}", wanted)
        listed = self._git("ls-remote", "--quiet", "origin", *names)
        there = {line.partition("\t")[2] for line in listed.splitlines()}
        return next((name for name in names if name in there and name.startswith("refs/")), "")

    def _by_id(self, wanted: str, shown: str) -> str:
        """A commit by its id, whole or the beginning; empty when the repository has it not."""
        if _COMMIT.fullmatch(wanted):
            brought = self._try("fetch", "--quiet", "--depth=1", "--no-tags", "origin", wanted)
            if brought == 0:
                return self._commit_of(wanted)
        # Not every server gives away a commit that no branch or tag names; and a short id only we can complete.
        everything = (f"+{_HEADS}*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        self._git("fetch", "--quiet", "--no-tags", "origin", *everything)
        return self._commit_of(wanted)

    def _commit_of(self, name: str) -> str:
        with tempfile.TemporaryFile(dir=self._folder.own) as output:
            status = self._run(
                ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"), output
            )
            return _text(output).strip() if status == 0 else ""

    def _try(self, *arguments: str) -> int:
        with tempfile.TemporaryFile(dir=self._folder.own) as output:
            return self._run(arguments, output)

    def _git(self, *arguments: str) -> str:
        with tempfile.TemporaryFile(dir=self._folder.own) as output:
            with tempfile.TemporaryFile(dir=self._folder.own) as complaints:
                status = self._run(arguments, output, complaints)
                if status != 0:
                    raise WorkFailed(f"git {arguments[0]} failed{_complaint(complaints)}")
            return _text(output)

    def _run(
        self, arguments: Sequence[str], output: IO[bytes], complaints: IO[bytes] | int = subprocess.DEVNULL
    ) -> int:
        settings = [word for each in _SETTINGS for word in ("-c", each)]
        process = subprocess.Popen(
            [self._program, *settings, *arguments],
            cwd=self._folder.work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            start_new_session=True,  # no terminal to ask at, and all that it starts ends with it
        )
        try:
            self._folder.began(process.pid)
            if not self._stop.wait(SECONDS, lambda: process.poll() is not None):
                raise WorkFailed(f"git {arguments[0]} did not end within {SECONDS:g} s")
            return process.returncode
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_HEADS = "refs/heads/"
_REPOSITORY = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"),
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES", "GIT_PREFIX"),
    }
)
"""Variables that would have git work on another repository than that of the work folder."""


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_OUTPUT).decode("utf-8", "replace")


def _complaint(file: IO[bytes]) -> str:
    """The line that says why, without the credentials that the runner's own settings may have put into a URL."""
    lines = [line.strip() for line in _text(file).splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))] or lines[-1:]
    text, _ = without_any_credentials(" ".join(fatal[:2]))
    return f": {''.join(char for char in text if char.isprintable())[:_SAID]}" if text else ""
