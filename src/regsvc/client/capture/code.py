"""The git repository that a folder lies in: remote, commit, branch, and what is not committed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from regsvc.client.capture import git as git_program
from regsvc.client.capture.credentials import without_credentials as without_credentials  # noqa: PLC0414 - others take it here
from regsvc.client.capture.git import Git
from regsvc.client.capture.snapshot import SNAPSHOT
from regsvc.client.capture.snapshot import snapshot as take_snapshot
from regsvc.content.record import Code

MAX_DIFF_BYTES = 16 << 20
"""A larger diff is not kept: it holds data, not code."""
DIFF = "code.diff"
"""Name of the attachment."""

_DIFF_COMMAND = (
    *("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
    *("--submodule=short", "--ignore-submodules=none", "--src-prefix=a/", "--dst-prefix=b/", "HEAD"),
)
"""One that applies, whatever the settings of the user and the repository say."""

_MAX_STATUS_BYTES = 64 << 20
_SUBMODULE = re.compile(rb"^\+Subproject commit [0-9a-f]+-dirty$", re.MULTILINE)


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
    if not _is_there(folder):
        gaps.append("code: the folder is none, or was deleted")
        return Code(), None
    git = shutil.which("git")
    if git is None:
        if _looks_like_a_repository(folder):
            gaps.append("code: git is not installed")
        return Code(), None
    repository = Git(git, folder)
    inside = repository.ask("rev-parse", "--is-inside-work-tree")
    if inside != "true":
        if repository.slow:
            gaps.append(_slow())
        elif inside == "false":
            gaps.append("code: a repository without a work tree has no sources")
        elif _looks_like_a_repository(folder):
            gaps.append(
                "code: git does not read the repository; it may be damaged, or another user's (safe.directory)"
            )
        return Code(), None
    remote = without_credentials(repository.ask("remote", "get-url", "origin") or _first_remote(repository))
    commit = repository.ask("rev-parse", "--verify", "--quiet", "HEAD")
    branch = repository.ask("symbolic-ref", "--short", "--quiet", "HEAD")
    status = repository.read("status", "--porcelain", "--untracked-files=normal", limit=_MAX_STATUS_BYTES)
    lines = (status or b"").splitlines()
    if status is None:
        gaps.append("code: git does not tell what is not committed")
    if not commit:
        gaps.append("code: the repository has no commits")
        return Code(remote=remote, branch=branch, dirty=bool(lines)), repository.tracked
    untracked = sum(line.startswith(b"??") for line in lines)
    if untracked:
        gaps.append(f"code: {untracked} untracked files or folders are not in the diff")
    # Whether there are changes may be unknown; the diff tells then.
    diff = b"" if len(lines) == untracked and status is not None else _diff(repository, attachments, gaps)
    if repository.slow:
        gaps.append(_slow())
    dirty = bool(lines) or diff is None or bool(diff)
    code = Code(remote=remote, commit=commit, branch=branch, dirty=dirty, diff=DIFF if diff else "")
    return code, repository.tracked


def _diff(repository: Git, attachments: dict[str, bytes], gaps: list[str]) -> bytes | None:
    """The diff, kept as an attachment; None when it is not known."""
    diff = repository.read(*_DIFF_COMMAND, limit=MAX_DIFF_BYTES)
    if diff is None:
        gaps.append(f"code: the diff is larger than {MAX_DIFF_BYTES >> 20} MiB, or could not be read")
    elif diff:
        attachments[DIFF] = diff
        inside = len(_SUBMODULE.findall(diff))
        if inside:
            gaps.append(f"code: changes within {inside} submodules are not in the diff")
    return diff


def _is_there(folder: Path) -> bool:
    try:
        return folder.absolute().is_dir()
    except OSError:  # as of "." when it was deleted
        return False


def _looks_like_a_repository(folder: Path) -> bool:
    place = folder.absolute()
    return any(os.path.lexists(parent / ".git") for parent in (place, *place.parents))


def _slow() -> str:
    return f"code: git did not answer within {git_program.SECONDS:g} s"


def _first_remote(repository: Git) -> str:
    names = repository.ask("remote").splitlines()
    return repository.ask("remote", "get-url", names[0]) if names else ""
