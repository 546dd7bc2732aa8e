"""The machine and the Python that run: versions, packages, accelerators, the lock file."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from regsvc.client.capture.credentials import without_any_credentials
from regsvc.content.record import Accelerator, Environment

VARIABLES = "REGSVC_CAPTURE_VARIABLES"
"""Names of environment variables that may be recorded, or patterns, separated by commas: `CUDA_*,OMP_NUM_THREADS`.

A pattern does not allow what is called like a secret: `AWS_*` has AWS_REGION, and AWS_SECRET_ACCESS_KEY only its name.
"""
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
MAX_VARIABLE_BYTES = 64 << 10
"""Of all variables: a record has 1 MiB, and what is captured must not make a push fail."""
MAX_ACCELERATORS = 64
_MAX_VALUE = 4_096
_MAX_TEXT = 256
"""Of what drivers, installers and the like call themselves."""
_SECRET = re.compile(
    r"(?i)secret|token|passw|pwd|passphrase|credential|private|auth|cookie|(^|_)(key|pat|pass|dsn|sas)($|_)|apikey"
)
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
        variables=_variables(gaps),
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
                found.setdefault(normalised(_text(name)), _text(version))  # the first on the path
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
    for line in done.stdout.decode("utf-8", "replace").splitlines()[:MAX_ACCELERATORS]:
        name, _, rest = line.partition(",")
        memory, _, driver = rest.partition(",")
        if name.strip():
            size = int(memory) << 20 if re.fullmatch(r"[0-9]{1,12}", memory.strip(), re.ASCII) else 0
            found.append(Accelerator(_text(name), size, _text(driver)))
    return tuple(found)


def _variables(gaps: list[str]) -> dict[str, str]:
    patterns = [each.strip() for each in os.environ.get(VARIABLES, "").split(",") if each.strip()]
    found: dict[str, str] = {}
    left = MAX_VARIABLE_BYTES
    left_out = 0
    for name in sorted(name for name in os.environ if _allowed(name, patterns)):
        value, _ = without_any_credentials(_utf8(os.environ[name])[:_MAX_VALUE])
        left -= len(name.encode("utf-8", "replace")) + len(value.encode())
        if left < 0 or len(found) == MAX_VARIABLES:
            left_out += 1
        else:
            found[_utf8(name)] = value
    if left_out:
        gaps.append(f"environment: {left_out} variables are not recorded, they are too many or too large")
    return found


def _allowed(name: str, patterns: list[str]) -> bool:
    return name in patterns or (
        _SECRET.search(name) is None and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )


def _lock_file(folder: Path, attachments: dict[str, bytes], gaps: list[str]) -> str:
    for path in _lock_files(folder):
        name = path.name
        try:
            if path.stat().st_size > MAX_LOCK_BYTES:
                gaps.append(f"environment: {name} is larger than {MAX_LOCK_BYTES >> 20} MiB")
                return ""
            # Latin-1 gives back every byte that is no part of a URL.
            text, users = without_any_credentials(path.read_bytes().decode("latin-1"))
        except OSError as error:
            gaps.append(f"environment: {name} cannot be read ({error.strerror})")
            return ""
        if users:
            gaps.append(f"environment: {name} is kept without the credentials of {users} URLs")
        attachments[name] = text.encode("latin-1")
        return name
    return ""


def _lock_files(folder: Path) -> Iterator[Path]:
    """The first of each folder from here up to the repository's; of this one only where there is no repository."""
    try:
        folder = folder.absolute()
    except OSError:  # the folder that we are in was deleted
        return
    places = [folder, *folder.parents]
    root = next((place for place in places if os.path.lexists(place / ".git")), folder)
    for place in places[: places.index(root) + 1]:
        yield from (place / name for name in LOCK_FILES if os.path.isfile(place / name))


def _utf8(text: str) -> str:
    """Text that messages can carry, of a name or value that may be any bytes."""
    return text.encode("utf-8", "replace").decode()


def _text(text: str) -> str:
    return _utf8(text.strip())[:_MAX_TEXT]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(("model name", "Model", "cpu model")):
                    return _text(line.partition(":")[2])
    except OSError:
        pass
    return platform.processor()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0
