"""Make what the Makefile's targets need: `environment.py python | node | lock`.

    python   .venv with everything that requirements.lock names, and this project, editable
    node     clients/typescript/node_modules as package-lock.json says
    lock     write requirements.lock anew from pyproject.toml

Runs on the Python that is there, without any package. Does nothing when nothing has changed, and may be called
twice at the same time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
OLDEST = (3, 11)

HEADER = """\
# Every package of the development environment with its version, made by `make lock`.
# What the service itself needs is in pyproject.toml; docs/dependencies.md says what each is for.
"""


def main(arguments: list[str]) -> None:
    match arguments:
        case ["python"]:
            python_ready()
        case ["node"]:
            node_ready()
        case ["lock"]:
            write_lock()
        case _:
            sys.exit(__doc__)


def python_ready() -> None:
    """Make .venv, or bring it up to date."""
    folder = ROOT / ".venv"
    stamp = folder / ".ready"
    with _alone(ROOT / ".cache/python.lock"):
        # The project's path is part of it: a moved checkout needs a new editable install.
        wanted = _fingerprint(LOCK, ROOT / "pyproject.toml", words=[str(ROOT), sys.version])
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print("making .venv", file=sys.stderr)
        if not (folder / "bin/python").exists():
            venv.create(folder, clear=folder.exists(), with_pip=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run(*pip, "--requirement", str(LOCK))
        # The build backend is in the lock too, so nothing that is not pinned takes part.
        _run(*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        stamp.write_text(wanted)


def node_ready() -> None:
    """Make clients/typescript/node_modules, or bring it up to date."""
    package = ROOT / "clients/typescript"
    # npm writes this file last, so an interrupted install is done again.
    installed, locked = package / "node_modules/.package-lock.json", package / "package-lock.json"
    with _alone(package / "build/lock"):  # the tests, which build there, take the same one
        if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
            print("making clients/typescript/node_modules", file=sys.stderr)
            _run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=package)


def write_lock() -> None:
    """Resolve what pyproject.toml asks for in an empty environment, and note what came."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        "editables",  # what the build backend asks for when an install is editable
    ]
    with tempfile.TemporaryDirectory() as temporary:
        venv.create(temporary, with_pip=True)
        python = f"{temporary}/bin/python"
        _run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *wanted)
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format=freeze", "--exclude", "pip"],
            capture_output=True,
            text=True,
            check=True,
        )
    pins = sorted(
        (line for line in listed.stdout.splitlines() if re.fullmatch(r"[\w.-]+==[\w.+!]+", line)),
        key=str.lower,
    )
    LOCK.write_text(HEADER + "\n".join(pins) + "\n")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that a second call of the same kind waits for."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fingerprint(*files: Path, words: list[str]) -> str:
    parts = [*(file.read_text() for file in files), *words]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _run(*command: str, cwd: Path = ROOT) -> None:
    # What the caller's own virtual environment says must not reach the one that is being made.
    environment = {
        key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} ... ended with status {done.returncode}")


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        sys.exit("regsvc needs Python 3.11 or newer: make PYTHON=python3.11")
    main(sys.argv[1:])
