"""The machine and the Python that run: versions, packages, accelerators, the lock file."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from regsvc.content.record import Accelerator, Environment

VARIABLES = "REGSVC_CAPTURE_VARIABLES"
"""Patterns of environment variables that may be recorded, separated by commas: `CUDA_*,OMP_NUM_THREADS`."""
LOCK_FILES = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "conda-lock.yml",
    "pixi.lock",
    "requirements.lock",
    "requirements.txt",
)
"""Looked for in the folder and those above it, up to the repository's; the first one is attached."""
MAX_LOCK_BYTES = 8 << 20
MAX_PACKAGES = 5_000
MAX_VARIABLES = 500
_MAX_VALUE = 4_096
_SECONDS = 5.0


def capture_environment(folder: Path | None, attachments: dict[str, bytes], gaps: list[str]) -> Environment:
    """What can be read of it; the rest is said in `gaps`. Without a folder no lock file is looked for."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_processor(),
        cores=os.cpu_count() or 0,
        memory_bytes=_memory(),
        accelerators=_accelerators(gaps),
        packages=_packages(gaps),
        variables=_variables(),
        lock_file="" if folder is None else _lock_file(folder, attachments, gaps),
    )


def normalised(name: str) -> str:
    """The name of a package as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(gaps: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    unreadable = 0
    try:
        for distribution in importlib.metadata.distributions():
            try:
                name, version = _name_and_version(distribution)
            except Exception:  # noqa: BLE001 - metadata of others may be broken in any way; the record says so
                unreadable += 1
                continue
            if name and version:
                found.setdefault(normalised(name), version)  # the first on the path is the one imported
            else:
                unreadable += 1
    except Exception as error:  # noqa: BLE001 - as above, for finders of others
        gaps.append(f"environment: the list of packages cannot be read ({type(error).__name__})")
    if unreadable:
        gaps.append(f"environment: {unreadable} installed packages have unreadable metadata")
    if len(found) > MAX_PACKAGES:
        gaps.append(f"environment: {len(found)} packages, of which {MAX_PACKAGES} are recorded")
    return dict(sorted(found.items())[:MAX_PACKAGES])


def _name_and_version(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    # The folder is called after both, and reading the name of a folder is a hundred times cheaper than a METADATA file.
    folder = getattr(distribution, "_path", None)
    if isinstance(folder, Path) and folder.suffix == ".dist-info" and folder.stem.count("-") == 1:
        name, _, version = folder.stem.partition("-")
        return name, version
    return distribution.metadata["Name"], distribution.version


def _accelerators(gaps: list[str]) -> tuple[Accelerator, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query, capture_output=True, timeout=_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        gaps.append("environment: nvidia-smi does not answer")
        return ()
    found = []
    for line in done.stdout.decode("utf-8", "replace").splitlines()[:1_000]:
        name, _, rest = line.partition(",")
        memory, _, driver = rest.partition(",")
        if name.strip():
            size = int(memory) << 20 if memory.strip().isdigit() else 0
            found.append(Accelerator(name.strip(), size, driver.strip()))
    return tuple(found)


def _variables() -> dict[str, str]:
    patterns = [each.strip() for each in os.environ.get(VARIABLES, "").split(",") if each.strip()]
    names = sorted(
        name for name in os.environ if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )
    return {
        name: os.environ[name].encode("utf-8", "replace").decode()[:_MAX_VALUE]
        for name in names[:MAX_VARIABLES]
    }


def _lock_file(folder: Path, attachments: dict[str, bytes], gaps: list[str]) -> str:
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        for name in LOCK_FILES:
            path = place / name
            if not path.is_file():
                continue
            try:
                if path.stat().st_size > MAX_LOCK_BYTES:
                    gaps.append(f"environment: {name} is larger than {MAX_LOCK_BYTES >> 20} MiB")
                    return ""
                attachments[name] = path.read_bytes()
            except OSError as error:
                gaps.append(f"environment: {name} cannot be read ({error.strerror})")
                return ""
            return name
        if (place / ".git").exists():
            break
        if place == folder and not any((parent / ".git").exists() for parent in folder.parents):
            break
    return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(("model name", "Model", "cpu model")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
