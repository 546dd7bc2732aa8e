"""The sources of a folder as one archive, which is the same bytes whenever the sources are the same."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SNAPSHOT = "source.tar.gz"
"""Name of the attachment."""
MAX_FILE_BYTES = 4 << 20
"""A larger file holds data, not code."""
MAX_SNAPSHOT_BYTES = 48 << 20
"""Of all files, before compression; an attachment may have 64 MiB."""
MAX_FILES = 20_000
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})
"""Folders that hold no sources; nor do those whose name begins with a dot."""


def snapshot(folder: Path, tracked: Sequence[str] | None, gaps: list[str]) -> bytes | None:
    """A tar.gz of the files that git tracks, as they are now; of all files where there is no git. None if too large.

    Large files, symlinks and what cannot be read are left out, and said in `gaps`.
    """
    buffer = io.BytesIO()
    left_out = total = count = 0
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(set(tracked)) if tracked is not None else _walk(folder):
            data = _read(folder / name)
            if data is None:
                left_out += 1
                continue
            total, count = total + len(data), count + 1
            if total > MAX_SNAPSHOT_BYTES or count > MAX_FILES:
                limit = f"{MAX_SNAPSHOT_BYTES >> 20} MiB or {MAX_FILES:,} files"
                gaps.append(f"code: no snapshot, the sources are more than {limit}")
                return None
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o755 if os.access(folder / name, os.X_OK) else 0o644
            archive.addfile(entry, io.BytesIO(data))
    if left_out:
        limit = f"{MAX_FILE_BYTES >> 20} MiB"
        gaps.append(
            f"code: {left_out} files are not in the snapshot: symlinks, over {limit}, or not readable"
        )
    return buffer.getvalue() if count else None


def _walk(folder: Path) -> Iterator[str]:
    """Files below a folder, by name, without hidden ones."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in _SKIPPED)
        for name in sorted(each for each in files if not each.startswith(".")):
            yield (Path(place) / name).relative_to(folder).as_posix()


def _read(path: Path) -> bytes | None:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return None
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_FILE_BYTES else None
