"""Pages of commands work when they are followed from their top, on a fresh server and in an empty folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Server

from .reading import ROOT

PAGES = ["records", "compare", "search", "metrics", "datasets", "lineage", "promotion", "deployment"]
_STEP = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$|^ {4}(regsvc [^\n]*)$", re.MULTILINE | re.DOTALL)


def steps(page: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, file, text) of what is to be done, in the page's order: shell, Python, files of Python."""
    for language, file, block, command in _STEP.findall(page.read_text()):
        if command or language in ("sh", "python"):
            yield ("sh" if command else language), file, command or block


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_from_its_top(server: Server, page: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "REGSVC_ENDPOINT": server.endpoint,
        "REGSVC_CAPTURE": "",
        **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    exported = ""
    done = 0
    try:
        for kind, file, text in steps(ROOT / f"docs/{page}.md"):
            if file:
                (tmp_path / file).write_text(text)
                continue
            exported += "".join(line + "\n" for line in text.splitlines() if line.startswith("export "))
            command = (
                ["python", "-c", text] if kind == "python" else ["bash", "-ec", f"{exported}{_here(text)}"]
            )
            ran = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert ran.returncode == 0, f"{text}\n{ran.stdout}\n{ran.stderr}"
            done += 1
    finally:
        with contextlib.suppress(OSError):
            os.kill(int((tmp_path / "server.pid").read_text()), signal.SIGKILL)
    assert done > 3


def _here(command: str) -> str:
    """A command as a test can run it: it ends, and needs no program that is not there."""
    if " follow " in command:
        return f"{command} --once"
    return command if shutil.which("b3sum") else command.replace("| b3sum", "> /dev/null")
