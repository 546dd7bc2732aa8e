"""Removing folders of which nothing is known but that they are to go."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from typing import Any


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, also what steps made read-only, and however deep. Follows no link.

    Raises `OSError` when something stays.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            shutil.rmtree(path, onerror=_once_more)
        except (RecursionError, OSError):
            _by_program(path)


def _once_more(function: Callable[..., Any], path: str, found: Any) -> None:
    """Make the folder that we may not change ours, and try again."""
    error = found[1]
    if isinstance(error, FileNotFoundError):
        return
    if not isinstance(error, PermissionError):
        raise error
    for folder in (os.path.dirname(path), path):
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(folder).st_mode):
                os.chmod(folder, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, onerror=_raise)
    else:
        os.unlink(path)


def _raise(function: Callable[..., Any], path: str, found: Any) -> None:
    raise found[1]


def _by_program(path: str) -> None:
    """`rm`, which goes deeper than our stack and our open files do, when all folders are ours."""
    for command in (["chmod", "-R", "u+rwX", "--", path], ["rm", "-rf", "--", path]):
        with contextlib.suppress(OSError):
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    if os.path.lexists(path):
        raise OSError(f"{path} cannot be removed whole")
